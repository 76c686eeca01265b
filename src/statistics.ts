/** Statistics of a batch: merging parts of it, and what becomes of them in the running statistics. */
import type { RunningVariance } from './conventions.js';
import { type ChannelNumbers, type ChannelRange, FIELDS, MEAN, VARIANCE } from './formulas.js';
import type { Floats } from './kernels.js';

/**
 * Merges a part of n2 values a channel, its mean and sum of squared deviations m2, into mean and variance of n1 values.
 * Chan, Golub & LeVeque 1979, eq. 2.1, divided by n1 + n2; n1 may be 0.
 */
export function mergeInto(
  numbers: ChannelNumbers, n1: number, mean: Float64Array, m2: Float64Array, n2: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  const inverse = 1 / (n1 + n2);
  const keep = n1 * inverse, shareOfPart = n2 * inverse;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    if (n1 === 0) {
      numbers[i + MEAN] = mean[c]!;
      numbers[i + VARIANCE] = m2[c]! / n2;
    } else {
      const before = numbers[i + MEAN]!, delta = mean[c]! - before;
      numbers[i + MEAN] = before + delta * shareOfPart;
      numbers[i + VARIANCE] = numbers[i + VARIANCE]! * keep + m2[c]! * inverse + delta * delta * (keep * shareOfPart);
    }
  }
}

/** Running statistics as those that normalise. */
export function takeRunning(numbers: ChannelNumbers, runningMean: Floats, runningVar: Floats): void {
  for (let c = 0, i = 0; c < runningMean.length; c++, i += FIELDS) {
    numbers[i + MEAN] = runningMean[c]!;
    numbers[i + VARIANCE] = runningVar[c]!;
  }
}

/**
 * The new running statistics: running + factor * (batch - running), weighed as (1 - factor) * running + factor * batch.
 *
 * @param numbers - with the biased batch variance; n / (n - 1) times it enters where `runningVariance` is 'unbiased'
 *   (Alg. 2)
 */
export function updateRunning(
  runningMean: Floats, runningVar: Floats, numbers: ChannelNumbers,
  factor: number, n: number, runningVariance: RunningVariance,
): void {
  const keep = 1 - factor;
  const correction = runningVariance === 'unbiased' && n > 1 ? factor * (n / (n - 1)) : factor;
  for (let c = 0, i = 0; c < runningMean.length; c++, i += FIELDS) {
    runningMean[c] = keep * runningMean[c]! + factor * numbers[i + MEAN]!;
    runningVar[c] = keep * runningVar[c]! + correction * numbers[i + VARIANCE]!;
  }
}
