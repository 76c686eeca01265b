/** What the methods of a module take and give. */
import type { ForwardContext } from './context.js';
import type { Floats } from './kernels.js';

/** Options of one `forward`. */
export interface ForwardOptions<A> {
  /** Written and returned; of the shape and type of x. May be the residual itself, or x where no backward will follow. */
  out?: A;
  /** Added after the affine map, before the activation; of the shape and type of x. */
  residual?: A;
  /** [N, ...positions], 0 where a position does not count: it takes no part in statistics or gradients, and y is 0. Copied. */
  mask?: Uint8Array;
  /** Default true in training; false leaves running statistics and the counter untouched. */
  updateStats?: boolean;
}

/** Options of one `backward`. */
export interface BackwardOptions<A> {
  /** Of which forward; default: the latest. */
  context?: ForwardContext;
  /** Takes dx; of the shape and type of dy. May be dy itself. */
  out?: A;
  /** Whether dweight and dbias are wanted; default true. */
  parameters?: boolean;
}

/** What `backward` returns. */
export interface Gradients<A> {
  dx: A;
  /** [C]; null where there is no weight, or it was not wanted. */
  dweight: Floats | null;
  /** [C]; null where there is no bias, or it was not wanted. */
  dbias: Floats | null;
  /** null where forward had no residual. */
  dresidual: A | null;
}

/** Running statistics at one time, for `restore`. */
export interface Snapshot {
  readonly runningMean: Floats | null;
  readonly runningVar: Floats | null;
  readonly numBatchesTracked: number;
}

/** A batch of what enters a module, or a part of one. */
export interface Batch {
  readonly x: Floats;
  readonly shape: readonly number[];
  /** [N, ...positions], 0 where a position does not count. */
  readonly mask?: Uint8Array;
}
