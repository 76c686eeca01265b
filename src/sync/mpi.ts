/** Groups of a job of Open MPI. */
import { checkNumber, checkOptions, wrongKind } from '../checks.js';
import { type Group, messageOf } from './group.js';

/** What is used of the package `koffi`, which calls functions of C libraries. */
export interface Koffi {
  /** Opens a library by its file name. */
  load(path: string): KoffiLibrary;
}

/** What is used of a library. */
export interface KoffiLibrary {
  /** A function by its C prototype. */
  func(definition: string): (...values: unknown[]) => unknown;
}

/** Open MPI 4 and 5; the numbers below are its own. */
const LIBRARY = 'libmpi.so.40';
const WORLD = 0;
const BYTE = 1;

/** Parameters of each function: i is an int, p a pointer. */
const FUNCTIONS = {
  Initialized: 'p', Init: 'pp', Finalize: '', Abort: 'pi', Type_size: 'pp', Comm_rank: 'pp', Comm_size: 'pp',
  Iallgather: 'pippippp', Iallgatherv: 'pippppppp', Test: 'ppp',
};
type Name = keyof typeof FUNCTIONS;

/** How often a collective is looked at before other work of this process gets its turn: most are there by then. */
const LOOKS = 200;
/** Milliseconds after which a rank that waits leaves its core to others, who may be the ones that it waits for. */
const BUSY = 2;

/**
 * The group of all processes of a job: `mpirun -n 4 node train.js`, with `npm install koffi`. Collectives can wait in place.
 *
 * Where a process dies, mpirun ends the others. Open MPI cannot say who is missing: a collective that takes longer than the
 * time-out throws, and a process that then ends with an error ends the job. `abort` ends all processes of the job at once.
 * `close` ends MPI in this process, and waits until all have called it.
 *
 * @param koffi - the package's default export
 * @param options - `timeout`: of a collective, in milliseconds; default 30,000
 * @throws {Error} there is no Open MPI, or it is another MPI than this adapter knows.
 */
export function mpiGroup(koffi: Koffi, options: { timeout?: number } = {}): Group {
  if (typeof koffi?.load !== 'function') throw wrongKind('koffi', "koffi's default export", koffi);
  checkOptions('mpiGroup', options, ['timeout']);
  const { timeout = 30_000 } = options;
  checkNumber('timeout', timeout, 1);
  return new MpiGroup(new Mpi(koffi), timeout);
}

/** Arrays that MPI may still write to after a time-out. */
const abandoned: unknown[] = [];


/** MPI, initialised. */
class Mpi {
  readonly #functions: Record<string, (...values: unknown[]) => unknown> = {};
  readonly world: unknown;
  readonly byte: unknown;

  constructor(koffi: Koffi) {
    const library = koffi.load(LIBRARY);
    for (const [name, parameters] of Object.entries(FUNCTIONS)) {
      const types = Array.from(parameters, (letter) => (letter === 'i' ? 'int' : 'void *'));
      this.#functions[name] = library.func(`int MPI_${name}(${types.join(', ')})`);
    }
    if (this.number('Initialized') === 0) this.call('Init', null, null);
    this.world = library.func('void *MPI_Comm_f2c(int)')(WORLD);
    this.byte = library.func('void *MPI_Type_f2c(int)')(BYTE);
    if (this.number('Type_size', this.byte) !== 1) throw new Error(`mpiGroup() expected ${LIBRARY} of Open MPI, got another MPI`);
  }

  call(name: Name, ...values: unknown[]): void {
    const code = this.#functions[name]!(...values);
    if (code !== 0) throw new Error(`MPI_${name} has failed with code ${code}`);
  }

  /** What a function writes to its last argument. */
  number(name: Name, ...values: unknown[]): number {
    const result = new Int32Array(1);
    this.call(name, ...values, result);
    return result[0]!;
  }
}

class MpiGroup implements Group {
  readonly rank: number;
  readonly size: number;
  readonly #mpi: Mpi;
  readonly #timeout: number;
  /** The collective that was asked for last: all ranks must start them in one order. */
  #last: Promise<unknown> = Promise.resolve();
  #running = 0;
  #failure: { readonly error: unknown } | null = null;

  constructor(mpi: Mpi, timeout: number) {
    this.#mpi = mpi;
    this.#timeout = timeout;
    this.rank = mpi.number('Comm_rank', mpi.world);
    this.size = mpi.number('Comm_size', mpi.world);
  }

  async allGather(bytes: Uint8Array): Promise<readonly Uint8Array[]> {
    // What is given is what it was at the time of the call.
    const part = bytes.slice(), before = this.#last;
    this.#running++;
    const result = (async () => {
      await before.catch(() => {});
      const steps = this.#gather(part), start = performance.now();
      for (;;) {
        for (let look = 0; look < LOOKS; look++) {
          const { done, value } = steps.next();
          if (done) return value;
        }
        await turn(performance.now() - start < BUSY ? 0 : 1);
      }
    })();
    this.#last = result;
    try {
      return await result;
    } finally {
      this.#running--;
    }
  }

  allGatherBlocking(bytes: Uint8Array): readonly Uint8Array[] {
    if (this.#running > 0) throw new Error('allGatherBlocking() expected earlier collectives to have ended, got one that is under way');
    for (const steps = this.#gather(bytes); ;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  abort(reason: unknown): void {
    console.error(`rank ${this.rank} has aborted: ${messageOf(reason)}`);
    this.#failure ??= { error: reason };
    this.#mpi.call('Abort', this.#mpi.world, 1);
  }

  close(): void {
    if (this.#failure) return;
    this.#failure = { error: new Error(`rank ${this.rank} has left the group`) };
    const finalize = () => this.#mpi.call('Finalize');
    if (this.#running > 0) this.#last.then(finalize, () => {});
    else finalize();
  }

  /** Lengths first, then the bytes; yields while it waits. */
  *#gather(part: Uint8Array): Generator<void, Uint8Array[]> {
    if (this.#failure) throw this.#failure.error;
    try {
      const { world, byte } = this.#mpi;
      const length = Int32Array.of(part.length), lengths = new Int32Array(this.size);
      yield* this.#wait('Iallgather', length, 4, byte, lengths, 4, byte, world);
      const starts = new Int32Array(this.size);
      for (let rank = 1; rank < this.size; rank++) starts[rank] = starts[rank - 1]! + lengths[rank - 1]!;
      const all = new Uint8Array(starts.at(-1)! + lengths.at(-1)!);
      yield* this.#wait('Iallgatherv', part, part.length, byte, all, lengths, starts, byte, world);
      return Array.from(starts, (start, rank) => all.slice(start, start + lengths[rank]!));
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  *#wait(name: Name, ...values: unknown[]): Generator<void, void> {
    const request = new BigInt64Array(1), done = new Int32Array(1), deadline = performance.now() + this.#timeout;
    this.#mpi.call(name, ...values, request);
    for (;;) {
      this.#mpi.call('Test', request, done, null);
      if (done[0] !== 0) return;
      if (performance.now() > deadline) {
        abandoned.push(values);
        throw new Error(`rank ${this.rank} has waited ${this.#timeout / 1000} s for the other ranks`);
      }
      yield;
    }
  }
}

/** Lets other work of this process run, at once or after a pause. */
function turn(milliseconds: number): Promise<void> {
  const { setImmediate } = globalThis as unknown as { setImmediate(callback: () => void): void };
  return new Promise((resolve) => {
    if (milliseconds === 0) setImmediate(resolve);
    else setTimeout(resolve, milliseconds);
  });
}
