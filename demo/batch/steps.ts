/** The steps of Algorithm 1 (in evaluation: of Algorithm 2) for one batch, as the package computes them. */
import type { BatchNorm } from 'batchnorm-wasm';

export const SIZE = 8;

/** The gradient of the first output alone. */
const DY = Float64Array.from({ length: SIZE }, (_, i) => (i === 0 ? 1 : 0));

export interface Steps {
  /** Those that normalise. */
  readonly mean: number;
  readonly variance: number;
  /** [SIZE] */
  readonly normalised: Float64Array;
  readonly y: Float64Array;
  /** Gradient with respect to x, for a dy of 1 at the first value and 0 at the others. */
  readonly dx: Float64Array;
}

/**
 * Runs the layer in its mode, without updating its running statistics.
 *
 * @param bn - one channel, float64
 * @param x - [SIZE]
 */
export function stepsOf(bn: BatchNorm, x: Float64Array): Steps {
  const y = bn.forward(x, [SIZE, 1], { updateStats: false }) as Float64Array;
  const mean = bn.context!.mean[0]!, variance = bn.context!.variance[0]!, rstd = 1 / Math.sqrt(variance + bn.eps);
  const { dx } = bn.backward(DY);
  return { mean, variance, normalised: x.map((value) => (value - mean) * rstd), y, dx: dx as Float64Array };
}
