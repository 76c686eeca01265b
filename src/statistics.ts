/** Statistics of a batch: merging parts of it, and what becomes of them in the running statistics. */
import type { RunningVariance } from './conventions.js';
import type { Floats } from './kernels.js';

/**
 * Merges a part of n2 values a channel into n1 values (mean, m2), in place.
 * Chan, Golub & LeVeque 1979, eq. 2.1; n1 may be 0.
 */
export function mergeInto(
  mean: Float64Array, m2: Float64Array, n1: number, partMean: Float64Array, partM2: Float64Array, n2: number,
): void {
  if (n1 === 0) {
    mean.set(partMean);
    m2.set(partM2);
    return;
  }
  const n = n1 + n2;
  for (let c = 0; c < mean.length; c++) {
    const delta = partMean[c]! - mean[c]!;
    mean[c]! += delta * (n2 / n);
    m2[c]! += partM2[c]! + delta * delta * ((n1 * n2) / n);
  }
}

/**
 * The new running statistics: running + factor * (batch - running), weighed as (1 - factor) * running + factor * batch.
 *
 * @param variance - biased batch variance; n / (n - 1) times it enters where `runningVariance` is 'unbiased' (Alg. 2)
 */
export function updateRunning(
  runningMean: Floats, runningVar: Floats, mean: Float64Array, variance: Float64Array,
  factor: number, n: number, runningVariance: RunningVariance,
): void {
  const keep = 1 - factor;
  const correction = runningVariance === 'unbiased' && n > 1 ? factor * (n / (n - 1)) : factor;
  for (let c = 0; c < mean.length; c++) {
    runningMean[c] = keep * runningMean[c]! + factor * mean[c]!;
    runningVar[c] = keep * runningVar[c]! + correction * variance[c]!;
  }
}
