/**
 * What threads tell each other: one job, cut into parts, in a block of memory that all of them see. Threads that write to the same cache
 * line wait for each other, so that every word that several write has a line of its own.
 */
import type { DType } from '../kernels.js';

/** Kernels that are cut, by the number that a job calls them by; those of float64 follow those of float32. */
export const KERNELS = ['moments', 'affine', 'reduce', 'gradient'] as const;
export type KernelName = (typeof KERNELS)[number];

/** A kernel as a job calls it. */
export type AnyKernel = (...numbers: number[]) => void;

export const kernelIndex = (kernel: KernelName, dtype: DType): number => KERNELS.indexOf(kernel) + (dtype === 'float32' ? 0 : KERNELS.length);

/** The most workers beside the calling thread, and the most parts of a job. */
export const MOST_WORKERS = 63, MOST_PARTS = 128;

/** Int32 words of a cache line. */
const LINE = 16;

/** Grows by one with every job; workers that sleep wait on it. */
export const JOB = 0;
/** 1: workers end. */
export const STOP = 1;
/** Microseconds that a worker looks for a job before it sleeps. */
export const SPIN = 2;
/** Grows by one with every part that a worker has finished; a caller that sleeps waits on it. */
export const FINISHED = LINE;
/** The state of worker `id`, from 1 on. */
export const stateOf = (id: number): number => LINE * (1 + id);
/** The word of part `i`. */
export const partOf = (i: number): number => LINE * (2 + MOST_WORKERS + i);

const WORDS = LINE * (2 + MOST_WORKERS + MOST_PARTS);

/**
 * Where a job is described, in f64: which kernel, how many parts, how many arguments the kernel has. From ARGUMENTS on those of each part;
 * the last one is the scratch of the calling thread, and that of the next thread is STRIDE bytes further on.
 */
export const KERNEL = 0, PARTS = 1, LENGTH = 2, STRIDE = 3, ARGUMENTS = 4;
/** The most arguments of a kernel. */
export const MOST_ARGUMENTS = 16;
const NUMBERS = ARGUMENTS + MOST_PARTS * MOST_ARGUMENTS;

export const CONTROL_BYTES = 4 * WORDS + 8 * NUMBERS;

/** States of a worker. */
export const STARTING = 0, AWAKE = 1, ASLEEP = 2, ENDED = 3;

/** States of a part, beside the `id + 1` of the thread that has claimed it. Only who changes FREE into its own number works on a part. */
export const DONE = 0, FREE = -1, REVOKED = -2;

export class Control {
  readonly words: Int32Array;
  readonly numbers: Float64Array;

  constructor(buffer: ArrayBufferLike) {
    this.words = new Int32Array(buffer, 0, WORDS);
    this.numbers = new Float64Array(buffer, 4 * WORDS);
  }

  /** Works on part `i` as thread `id`; the calling thread is 0. */
  run(kernels: readonly AnyKernel[], i: number, id: number): void {
    const { numbers } = this, at = ARGUMENTS + MOST_ARGUMENTS * i, length = numbers[LENGTH]!, given: number[] = [];
    for (let k = 0; k < length; k++) given[k] = numbers[at + k]!;
    given[length - 1]! += id * numbers[STRIDE]!;
    kernels[numbers[KERNEL]!]!(...given);
  }
}

/** Tells the processor that this thread is looking for something, where that can be told. */
export function rest(): void {
  (Atomics as { pause?(): void }).pause?.();
}
