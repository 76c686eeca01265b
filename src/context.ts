import type { Floats } from './kernels.js';
import type { MemoryTensor } from './runtime.js';

/** What one forward call leaves for its backward. Immutable, independent of later calls and of the module's mode. */
export interface ForwardContext {
  /** Which statistics normalised. */
  readonly mode: 'batch' | 'running';
  /** [C] */
  readonly mean: Float64Array;
  /** [C], biased. */
  readonly variance: Float64Array;
  /** M, the values of one channel. */
  readonly count: number;
}

/** Per-channel numbers of one forward, in f64. */
export interface Normalisation {
  readonly mean: Float64Array;
  /** Biased. */
  readonly variance: Float64Array;
  /** 1 / sqrt(variance + eps) */
  readonly rstd: Float64Array;
  /** weight * rstd, with the weight of that forward. */
  readonly slope: Float64Array;
}

/** A context with what only the package reads: whose it is, and the x that backward needs. */
export class Context implements ForwardContext, Normalisation {
  readonly mode: 'batch' | 'running';
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  readonly rstd: Float64Array;
  readonly slope: Float64Array;
  readonly count: number;
  readonly shape: readonly number[];
  /** The input itself, not a copy; null where forward wrote its output over it. */
  readonly x: Floats | MemoryTensor | null;

  constructor(
    mode: Context['mode'], channels: number, count: number, shape: readonly number[], x: Context['x'],
  ) {
    this.mode = mode;
    this.mean = new Float64Array(channels);
    this.variance = new Float64Array(channels);
    this.rstd = new Float64Array(channels);
    this.slope = new Float64Array(channels);
    this.count = count;
    this.shape = shape;
    this.x = x;
    Object.freeze(this);
  }
}
