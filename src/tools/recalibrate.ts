import { type BatchNorm, checkBatchNorm } from '../batchnorm/batchnorm.js';
import { checkOneOf, checkOptions, wrongKind } from '../checks.js';
import { averageBatch } from '../passes/formulas.js';
import { type Moments, mergeMoments } from '../passes/statistics.js';
import type { Runtime } from '../runtime/engine.js';
import { listed } from '../runtime/shape.js';
import { moments } from './moments.js';
import type { Batch } from './parts.js';

/**
 * Recomputes running statistics from data; parameters stay. Memory does not grow with the number of batches.
 *
 * 'paper' (default): the mean of the batch means and of the unbiased batch variances, Ioffe & Szegedy 2015, Alg. 2;
 * batches without values do not count, batches of one value per channel have no unbiased variance and are refused.
 * 'population': mean and biased variance of all values together.
 *
 * @param batches - any iterable; x [N, C, ...] or [N, ..., C] in the layout of `bn`
 * @throws {TypeError} a bn without running statistics. @throws {RangeError} no values at all. Nothing changes then.
 */
export function recalibrate(
  bn: BatchNorm, batches: Iterable<Batch>, options: { estimator?: 'paper' | 'population'; runtime?: Runtime } = {},
): void {
  checkBatchNorm('recalibrate', bn);
  checkOptions('recalibrate', options, ['estimator', 'runtime']);
  const { estimator = 'paper', runtime = bn.runtime } = options;
  checkOneOf('estimator', estimator, ['paper', 'population']);
  if (!bn.runningMean || !bn.runningVar) {
    throw new TypeError('recalibrate() expected a module with running statistics, got trackRunningStats false');
  }
  if (typeof (batches as Partial<Iterable<Batch>> | null)?.[Symbol.iterator] !== 'function') {
    throw wrongKind('batches', 'an iterable of { x, shape }', batches);
  }
  const settings = { layout: bn.layout, runtime };
  const parts = function* () {
    for (const batch of batches) {
      if (typeof batch !== 'object' || batch === null) throw wrongKind('batches', '{ x, shape }', batch);
      const { x, shape, mask } = batch;
      const part = moments(x, shape, mask ? { ...settings, mask } : settings);
      if (part.mean.length !== bn.channels) {
        throw new RangeError(`recalibrate() expected batches of ${bn.channels} channels, got shape ${listed(shape)}`);
      }
      if (part.count > 0) yield part;
    }
  };
  const { mean, variance, seen } = estimator === 'paper' ? meanOfBatches(parts()) : wholePopulation(parts());
  if (seen === 0) throw new RangeError('recalibrate() expected at least one batch with values, got none');
  bn.runningMean.set(mean);
  bn.runningVar.set(variance);
  bn.numBatchesTracked = seen;
}

interface Estimate {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  readonly seen: number;
}

/** Alg. 2 line 10: the mean of the batch means, and of the unbiased batch variances. */
function meanOfBatches(parts: Iterable<Moments>): Estimate {
  let mean = new Float64Array(0), variance = mean, seen = 0;
  for (const part of parts) {
    if (part.count === 1) throw new RangeError('recalibrate() expected more than 1 value per channel in a batch, got 1');
    if (seen === 0) {
      mean = new Float64Array(part.mean.length);
      variance = new Float64Array(part.mean.length);
    }
    seen++;
    averageBatch(mean, variance, seen, part.mean, part.m2, part.count);
  }
  return { mean, variance, seen };
}

function wholePopulation(parts: Iterable<Moments>): Estimate {
  let all: Moments | undefined, seen = 0;
  for (const part of parts) {
    all = all ? mergeMoments(all, part) : part;
    seen++;
  }
  if (!all) return { mean: new Float64Array(0), variance: new Float64Array(0), seen };
  return { mean: all.mean, variance: all.m2.map((m2) => m2 / all.count), seen };
}
