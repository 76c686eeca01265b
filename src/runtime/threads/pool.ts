/** The calling thread and its workers, if there are any. */

import type { Helpers } from '../engine.js';
import {
  type AnyKernel, ASLEEP, AWAKE, CONTROL_BYTES, Control, DONE, ENDED, FINISHED, FREE, JOB, MOST_WORKERS, PARTS, partOf, REVOKED, rest, SPIN,
  STARTING, STOP, stateOf,
} from './control.js';
import { Governor } from './governor.js';
import { cores, maySleep, type StartedWorker, startWorker } from './hosts.js';
import type { Team } from './sliced.js';

/** Elements of a call from which it pays to wake workers, which takes 25 to 60 us. */
const WAKE = 524_288;
/** Below, they are woken when so many calls have come in a row, each within SPINNING of the end of the one before. */
const BURST = 4;
/** Milliseconds that a worker looks for work before it sleeps: as long as a few calls take. */
const SPINNING = 0.2;
/** Milliseconds that the caller looks whether workers have finished before it sleeps. */
const LOOKING = 0.06;
/** Milliseconds after which a worker that has not started does not count. */
const START = 10_000;
/**
 * Milliseconds that the caller waits, when all else is done, for a part that a worker has claimed: longer than a machine that is busy
 * lets a thread wait. Then that worker is taken to be dead. Where the part cannot be computed again, it has more time.
 */
const LOST = 1000, LOST_FOR_GOOD = 5000;
/** The same in relation to what the call has taken until then, since a part of a large tensor takes long on a slow machine. */
const LOST_FACTOR = 20;

export class Pool implements Team, Helpers {
  readonly control: Control;
  readonly most: number;
  readonly #workers: StartedWorker[] = [];
  readonly #governor: Governor | null;
  readonly #maySleep: boolean;
  /** Whether there is a core for each thread; if not, threads that spin keep others from running. */
  readonly #spins: boolean;
  readonly #say: (reason: string) => void;
  #stopped = false;
  /** Ends with the pool, which it keeps, and with it the memory of the runtime. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Calls in a row, and when the latest ended. */
  #burst = 0;
  #lastEnd = 0;
  /** Of the call between begin() and end(): whether it is timed, and whether it is shared. */
  #timed = false;
  #shares = false;

  /** `governed`: whether to stop sharing where it does not pay; `say`: gets the reason why there are fewer threads than asked for. */
  constructor(threads: number, governed: boolean, say: (reason: string) => void) {
    this.most = Math.min(threads, MOST_WORKERS + 1);
    this.control = new Control(new (this.most > 1 ? SharedArrayBuffer : ArrayBuffer)(CONTROL_BYTES));
    this.#governor = governed ? new Governor() : null;
    this.#maySleep = maySleep(this.control.words);
    this.#spins = this.most <= cores();
    this.#say = say;
  }

  /** Starts the workers. Until it is called, and where it never is, the calling thread works alone. */
  start(module: WebAssembly.Module, memory: WebAssembly.Memory, make: (() => Worker) | undefined): void {
    const control = this.control.words.buffer as SharedArrayBuffer;
    for (let id = 1; id < this.most; id++) {
      try {
        this.#workers[id] = startWorker({ module, memory, control, id }, make, (reason) => this.#lose(id, reason));
      } catch (error) {
        this.#lose(id, String(error));
      }
    }
    const giveUp = () => {
      for (let id = 1; id < this.most; id++) if (this.#is(id, STARTING)) this.#lose(id, 'a worker has not started');
    };
    this.#timer = setTimeout(giveUp, START);
    (this.#timer as { unref?(): void }).unref?.();
  }

  /** Threads that work now, the caller among them. */
  get threads(): number {
    return 1 + this.#count(AWAKE) + this.#count(ASLEEP);
  }

  /** Kept waiting by a timer, since workers keep no process alive. */
  get ready(): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.#count(STARTING) === 0) resolve();
        else setTimeout(look, 1);
      };
      look();
    });
  }

  begin(kernel: number, elements: number): number {
    const awake = this.#count(AWAKE), working = awake + this.#count(ASLEEP);
    this.#timed = working > 0;
    this.#shares = false;
    if (!this.#timed) return 1;
    const now = performance.now();
    this.#burst = now - this.#lastEnd < SPINNING ? this.#burst + 1 : 0;
    const possible = awake > 0 || elements >= WAKE || this.#burst >= BURST;
    this.#shares = this.#governor === null ? possible : this.#governor.begin(kernel, elements, now, possible);
    // Workers that are not wanted leave their cores to others.
    this.control.words[SPIN] = this.#spins && this.#shares ? SPINNING * 1000 : 0;
    return this.#shares ? 1 + working : 1;
  }

  end(): void {
    if (!this.#timed) return;
    this.#lastEnd = performance.now();
    this.#governor?.end(this.#lastEnd);
  }

  /** @throws {Error} a worker has ended in the middle of a part that cannot be computed again. */
  run(kernels: readonly AnyKernel[], repeatable: boolean): void {
    const { control } = this, { words } = control, parts = control.numbers[PARTS]!;
    if (!this.#shares) {
      for (let i = 0; i < parts; i++) control.run(kernels, i, 0);
      return;
    }
    const start = performance.now();
    // Atomic, so that who sees a part free sees the job too.
    for (let i = 0; i < parts; i++) Atomics.store(words, partOf(i), FREE);
    Atomics.add(words, JOB, 1);
    Atomics.notify(words, JOB);
    for (let i = 0; i < parts; i++) {
      if (Atomics.compareExchange(words, partOf(i), FREE, 1) !== FREE) continue;
      control.run(kernels, i, 0);
      Atomics.store(words, partOf(i), DONE);
    }
    const lost = this.#wait(start, repeatable ? LOST : LOST_FOR_GOOD);
    if (lost.length > 0 && !repeatable) {
      throw new Error('a worker ended while it wrote over its input; the output is lost, nothing else has changed');
    }
    for (const i of lost) control.run(kernels, i, 0);
  }

  /** Workers end after what they are at. */
  dispose(): void {
    const { words } = this.control;
    this.#stopped = true;
    clearTimeout(this.#timer);
    Atomics.store(words, STOP, 1);
    Atomics.add(words, JOB, 1);
    Atomics.notify(words, JOB);
  }

  /** Waits for the parts that workers have claimed, and returns those that were not finished in time. */
  #wait(start: number, least: number): number[] {
    const { words, numbers } = this.control, now = performance.now(), patience = Math.max(least, LOST_FACTOR * (now - start));
    const lost: number[] = [];
    for (let i = 0; i < numbers[PARTS]!; i++) {
      const part = partOf(i);
      for (let looks = 1; ; looks++) {
        const state = Atomics.load(words, part);
        if (state === DONE) break;
        rest();
        if (looks % 32) continue;
        const waited = performance.now() - now;
        if (waited > patience) {
          if (Atomics.compareExchange(words, part, state, REVOKED) !== state) continue;
          this.#lose(state - 1, 'a worker has ended');
          lost.push(i);
          break;
        }
        if (!this.#maySleep || (this.#spins && waited < LOOKING)) continue;
        const finished = Atomics.load(words, FINISHED);
        if (Atomics.load(words, part) !== DONE) Atomics.wait(words, FINISHED, finished, patience - waited);
      }
    }
    return lost;
  }

  #count(state: number): number {
    if (this.#stopped) return 0;
    let count = 0;
    for (let id = 1; id < this.most; id++) if (this.#is(id, state)) count++;
    return count;
  }

  #is(id: number, state: number): boolean {
    return Atomics.load(this.control.words, stateOf(id)) === state;
  }

  /** Goes on without a worker. */
  #lose(id: number, reason: string): void {
    if (this.#stopped || Atomics.exchange(this.control.words, stateOf(id), ENDED) === ENDED) return;
    this.#workers[id]?.terminate();
    this.#say(reason);
  }
}
