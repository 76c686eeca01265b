import { type BatchNorm, checkBatchNorm } from '../batchnorm/batchnorm.js';
import { checkOneOf, checkOptions, wrongKind } from '../checks.js';
import { areFinite, checkFinite, copyMoments, newTable } from '../passes/channel-table.js';
import { averageBatch, mergePart } from '../passes/formulas.js';
import type { Moments } from '../passes/statistics.js';
import type { Runtime } from '../runtime/engine.js';
import { listed } from '../runtime/shape.js';
import { moments } from './moments.js';
import type { Batch } from './parts.js';

/** How `recalibrate` gets from batches to running statistics. */
export interface RecalibrateOptions {
  /**
   * 'paper' (default): the mean of the batch means and of the unbiased batch variances, Ioffe & Szegedy 2015, Alg. 2.
   * Batches of one value per channel have no unbiased variance and are refused. 'population': mean and biased variance of all
   * values together.
   */
  estimator?: 'paper' | 'population';
  /** Default: that of the layer. */
  runtime?: Runtime;
}

/**
 * Recomputes running statistics from data; parameters stay. Memory does not grow with the number of batches.
 *
 * Batches without values do not count. `onNonFinite` of the layer applies to batches whose statistics are not finite: they
 * are taken like any other, left out ('skip') or refused ('error').
 *
 * @param batches - any iterable, or an async one: then a promise is returned, and what its batches cause rejects it. x
 *   [N, C, ...] or [N, ..., C] in the layout of `bn`
 * @throws {TypeError} a bn without running statistics. @throws {RangeError} no values at all. Nothing changes then.
 */
export function recalibrate(bn: BatchNorm, batches: Iterable<Batch>, options?: RecalibrateOptions): void;
export function recalibrate(bn: BatchNorm, batches: AsyncIterable<Batch>, options?: RecalibrateOptions): Promise<void>;
export function recalibrate(
  bn: BatchNorm, batches: Iterable<Batch> | AsyncIterable<Batch>, options: RecalibrateOptions = {},
): void | Promise<void> {
  checkBatchNorm('recalibrate', bn);
  checkOptions('recalibrate', options, ['estimator', 'runtime']);
  const { estimator = 'paper', runtime = bn.runtime } = options;
  checkOneOf('estimator', estimator, ['paper', 'population']);
  if (!bn.runningMean) {
    throw new TypeError('recalibrate() expected a module with running statistics, got trackRunningStats false');
  }
  const estimate = new Estimate(bn, estimator, runtime);
  if (isIterable(batches)) {
    for (const batch of batches) estimate.add(batch);
    estimate.finish();
    return;
  }
  if (!isAsyncIterable(batches)) throw wrongKind('batches', 'an iterable of { x, shape }', batches);
  return (async () => {
    for await (const batch of batches) estimate.add(batch);
    estimate.finish();
  })();
}

function isIterable(value: unknown): value is Iterable<Batch> {
  return typeof (value as Partial<Iterable<Batch>> | null)?.[Symbol.iterator] === 'function';
}

function isAsyncIterable(value: unknown): value is AsyncIterable<Batch> {
  return typeof (value as Partial<AsyncIterable<Batch>> | null)?.[Symbol.asyncIterator] === 'function';
}

/** Statistics of the batches so far. */
class Estimate {
  readonly #bn: BatchNorm;
  readonly #estimator: 'paper' | 'population';
  readonly #runtime: Runtime;
  readonly #mean: Float64Array;
  /** By 'paper' the mean of the unbiased batch variances, by 'population' the sum of squared deviations. */
  readonly #spread: Float64Array;
  /** Batches, and values per channel in them. */
  #seen = 0;
  #count = 0;
  #skipped = 0;

  constructor(bn: BatchNorm, estimator: 'paper' | 'population', runtime: Runtime) {
    this.#bn = bn;
    this.#estimator = estimator;
    this.#runtime = runtime;
    this.#mean = new Float64Array(bn.channels);
    this.#spread = new Float64Array(bn.channels);
  }

  add(batch: Batch): void {
    const part = this.#momentsOf(batch);
    if (part.count === 0) return;
    if (this.#estimator === 'paper' && part.count === 1) {
      throw new RangeError('recalibrate() expected more than 1 value per channel in a batch, got 1');
    }
    if (this.#isLeftOut(part)) {
      this.#skipped++;
      return;
    }
    this.#seen++;
    // Alg. 2 line 10, or all values together.
    if (this.#estimator === 'paper') averageBatch(this.#mean, this.#spread, this.#seen, part.mean, part.m2, part.count);
    else mergePart(this.#mean, this.#spread, this.#count, part, part.count);
    this.#count += part.count;
  }

  #momentsOf(batch: Batch): Moments {
    if (typeof batch !== 'object' || batch === null) throw wrongKind('batches', '{ x, shape }', batch);
    const { x, shape, mask } = batch, { layout, channels } = this.#bn;
    const part = moments(x, shape, { layout, runtime: this.#runtime, ...(mask && { mask }) });
    if (part.mean.length !== channels) {
      throw new RangeError(`recalibrate() expected batches of ${channels} channels, got shape ${listed(shape)}`);
    }
    return part;
  }

  #isLeftOut({ count, mean, m2 }: Moments): boolean {
    const { onNonFinite, channels } = this.#bn;
    if (onNonFinite === 'propagate') return false;
    const table = newTable(channels);
    copyMoments(table, count, mean, m2);
    if (onNonFinite === 'error') checkFinite(table);
    return !areFinite(table);
  }

  /** Replaces the running statistics. */
  finish(): void {
    const bn = this.#bn, count = this.#count;
    if (this.#seen === 0) {
      const finite = this.#skipped > 0 ? 'finite ' : '';
      throw new RangeError(`recalibrate() expected at least one batch with ${finite}values, got none`);
    }
    bn.runningMean!.set(this.#mean);
    bn.runningVar!.set(this.#estimator === 'paper' ? this.#spread : this.#spread.map((m2) => m2 / count));
    bn.numBatchesTracked = this.#seen;
  }
}
