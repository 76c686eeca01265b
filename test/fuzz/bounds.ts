/** How far a result may be from the oracle's, by what test/tolerances.ts promises. */
import type { DType } from '../../src/index.js';
import * as tolerance from '../tolerances.js';
import type { Channel } from './oracle.js';

/** |mean| / std of a channel; 0 for a constant one, whose statistics are exact. */
export function distanceOf(mean: number, variance: number): number {
  return variance > 0 ? Math.abs(mean) / Math.sqrt(variance) : 0;
}

/**
 * Of y, per unit of weight, for any data: what the mean is off by, and times |xhat| half of what the variance is off by and 4
 * roundings. In float64 also what a plain sum of n values drifts by.
 *
 * @param far - |mean| / std
 * @param deviation - |x - mean| / sqrt(variance + eps)
 */
export function ofOutput(dtype: DType, far: number, deviation: number, n: number): number {
  const u = tolerance.U[dtype], drift = dtype === 'float64' ? (n * u * Math.max(deviation, 1)) / 4 : 0;
  return (18 + 36 * deviation) * u + 1e-13 + 4 * tolerance.U.float64 * far + drift;
}

/**
 * Of the batch variance, relative. The means of two parts are rounded, by u each of |mean|, and enter by the square of their distance:
 * that is at most the variance, times 2 u |mean| / std.
 */
export function ofVariance(dtype: DType, far: number, parts: number): number {
  return tolerance.variance(dtype, far) + (parts > 1 ? 2 * tolerance.U.float64 * far : 0);
}

/** Of d of batch renormalization, (mean - running mean) / running std: what the mean is off by, over a running std that may be tiny. */
export function ofD(dtype: DType, { mean, variance, slopeOfD }: Channel): number {
  return slopeOfD * (tolerance.mean(dtype, distanceOf(mean, variance)) * Math.sqrt(variance) + tolerance.U.float64 * Math.abs(mean));
}

/** Of gradients, relative to the terms that cancel in them: sums of up to 62 values in float32, twice, and what statistics are off by. */
export function ofGradients(dtype: DType, far: number): number {
  return 110 * tolerance.U[dtype] + (dtype === 'float64' ? 1e-13 + 8 * tolerance.U.float64 * far : 0);
}

/** Of running statistics: their own two roundings, and what the batch's are off by. */
export function ofRunning(dtype: DType, factor: number, before: number, after: number, batch: number): number {
  return 2 * tolerance.U[dtype] * (Math.abs(before) + Math.abs(after)) + factor * batch + SMALLEST[dtype];
}

/** Half of the smallest number, by which any result may be rounded; a few of them where terms are added up. */
export const SMALLEST: Record<DType, number> = { float32: 2 ** -149, float64: 5e-324 };
