/** The collectives of a group that are not complete: who has given what, in any order of arrival. */

interface Collective {
  readonly parts: (Uint8Array | undefined)[];
  /** Of parts that came in several messages. */
  readonly fragments: (Uint8Array | undefined)[][];
  missing: number;
  /** When this rank gave its part; null where others are ahead of it. */
  since: number | null;
  resolve(parts: Uint8Array[]): void;
  reject(error: unknown): void;
}

/** The oldest collective that this rank waits for. */
export interface Waiting {
  readonly sequence: number;
  readonly since: number;
  readonly missing: readonly number[];
}

export class Collectives {
  readonly #size: number;
  readonly #table = new Map<number, Collective>();
  /** The latest that each rank has given a part to; -1 before the first. */
  readonly latest: number[];
  /** The first that a rank which has left takes no part in. */
  readonly #ends: number[];
  #oldest = 0;
  #next = 0;

  constructor(size: number) {
    this.#size = size;
    this.latest = new Array<number>(size).fill(-1);
    this.#ends = new Array<number>(size).fill(Infinity);
  }

  /** The number of the next collective. */
  get next(): number {
    return this.#next;
  }

  /** This rank's part of the next collective. */
  give(rank: number, part: Uint8Array, now: number): Promise<readonly Uint8Array[]> {
    const sequence = this.#next++, collective = this.#at(sequence);
    collective.since = now;
    const result = new Promise<readonly Uint8Array[]>((resolve, reject) => Object.assign(collective, { resolve, reject }));
    this.receive(rank, sequence, part, 0, 1);
    return result;
  }

  /** A part, or a fragment of one. What has been delivered before changes nothing. */
  receive(rank: number, sequence: number, payload: Uint8Array, fragment: number, fragments: number): void {
    if (sequence < this.#oldest) return;
    const collective = this.#at(sequence);
    if (collective.parts[rank] !== undefined) return;
    // A copy: what engines deliver are views of their buffers, at any address. Not payload.slice(), which Buffer makes a view as well.
    const bytes = new Uint8Array(payload);
    const list = collective.fragments[rank] ?? new Array<Uint8Array | undefined>(fragments).fill(undefined);
    collective.fragments[rank] = list;
    list[fragment] = bytes;
    if (list.includes(undefined)) return;
    collective.parts[rank] = fragments === 1 ? bytes : joined(list as Uint8Array[]);
    collective.missing--;
    this.latest[rank] = Math.max(this.latest[rank]!, sequence);
    this.#settle();
  }

  /** A rank takes no part from a collective on. */
  leave(rank: number, sequence: number): void {
    this.#ends[rank] = Math.min(this.#ends[rank]!, sequence);
  }

  waiting(): Waiting | null {
    const collective = this.#table.get(this.#oldest);
    if (collective === undefined || collective.since === null) return null;
    const missing = this.latest.flatMap((_, rank) => (collective.parts[rank] === undefined ? [rank] : []));
    return { sequence: this.#oldest, since: collective.since, missing };
  }

  /** The ranks that have left before a collective which this rank has given its part to. */
  left(): number[] {
    return this.#ends.flatMap((end, rank) => (end < this.#next && this.#table.get(end)?.parts[rank] === undefined ? [rank] : []));
  }

  fail(error: unknown): void {
    for (const collective of this.#table.values()) collective.reject(error);
    this.#table.clear();
  }

  #at(sequence: number): Collective {
    let collective = this.#table.get(sequence);
    if (collective === undefined) {
      collective = { parts: [], fragments: [], missing: this.#size, since: null, resolve: () => {}, reject: () => {} };
      this.#table.set(sequence, collective);
    }
    return collective;
  }

  /** In the order of calls, so that what follows happens in one order on all ranks. */
  #settle(): void {
    for (;;) {
      const collective = this.#table.get(this.#oldest);
      if (collective === undefined || collective.since === null || collective.missing > 0) return;
      this.#table.delete(this.#oldest++);
      collective.resolve(collective.parts as Uint8Array[]);
    }
  }
}

function joined(list: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(list.reduce((total, { length }) => total + length, 0));
  let offset = 0;
  for (const each of list) {
    bytes.set(each, offset);
    offset += each.length;
  }
  return bytes;
}
