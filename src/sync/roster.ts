/**
 * Who is in a group. Engines drop what nobody listens to yet, so every rank repeats a hello that lists whom it has heard. A
 * rank is through once every list is complete: then any two ranks hear each other. (That everybody has heard *this* rank is
 * not enough: it might send to two others of which one does not listen yet.)
 */
import { digest } from './digest.js';
import { ranks } from './group.js';
import { doublesOf, type Message } from './message.js';

/**
 * Messages of an earlier run may still be on their way, and come all at once: what does not fit is an error only where the same
 * process says it again after so many milliseconds.
 */
const PATIENCE = 100;

export class Roster {
  readonly rank: number;
  readonly size: number;
  /** By rank; 0 where a rank has not been heard. */
  readonly incarnations: Float64Array;
  /** What each rank last said of whom it has heard. */
  readonly #lists: (Float64Array | undefined)[] = [];
  /** When each process first said what does not fit. */
  readonly #odd = new Map<number, number>();
  readonly #replaced = new Set<number>();
  #through = false;

  constructor(rank: number, size: number, incarnation: number) {
    this.rank = rank;
    this.size = size;
    this.incarnations = new Float64Array(size);
    this.incarnations[rank] = incarnation;
  }

  /** Takes a hello or a welcome of another process; true where it changed whom this rank has heard. @throws {Error} it cannot fit. */
  hear({ rank, size, incarnation, payload }: Message, now: number): boolean {
    const odd = (sentence: string) => {
      const since = this.#odd.get(incarnation);
      if (since === undefined) this.#odd.set(incarnation, now);
      else if (now - since >= PATIENCE) throw new Error(sentence);
      return false;
    };
    if (size !== this.size) return odd(`ranks disagree on the size of the group: ${size} on rank ${rank}, ${this.size} on rank ${this.rank}`);
    if (rank === this.rank) return odd(`two processes say that they are rank ${rank}`);
    const known = this.incarnations[rank], isNew = known !== incarnation;
    if (isNew && this.#through) return odd(`rank ${rank} has started again, or two processes say that they are rank ${rank}`);
    // A process that has started again has replaced another for good.
    if (isNew && known !== 0) this.#replaced.add(known!);
    if (isNew && this.#replaced.has(incarnation)) odd(`two processes say that they are rank ${rank}`);
    this.incarnations[rank] = incarnation;
    this.#lists[rank] = doublesOf(payload);
    this.#through ||= this.#lists.filter((list, from) => from !== this.rank && this.#isComplete(list)).length === this.size - 1;
    return isNew;
  }

  /** Whether all ranks hear each other. */
  get through(): boolean {
    return this.#through || this.size === 1;
  }

  get session(): number {
    return digest(this.incarnations);
  }

  has({ rank, incarnation }: Message): boolean {
    return this.incarnations[rank] === incarnation;
  }

  /** What is still missing, for an error. */
  missing(): string {
    const unheard = this.#where((rank) => this.incarnations[rank] === 0);
    if (unheard.length > 0) return `no word from ${ranks(unheard)}`;
    return `${ranks(this.#where((rank) => !this.#isComplete(this.#lists[rank])))} cannot hear all others`;
  }

  #isComplete(list: Float64Array | undefined): boolean {
    return list?.length === this.size && list.every((incarnation, rank) => incarnation !== 0 && incarnation === this.incarnations[rank]);
  }

  #where(holds: (rank: number) => boolean): number[] {
    return Array.from(this.incarnations.keys()).filter((rank) => rank !== this.rank && holds(rank));
  }
}
