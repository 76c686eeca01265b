import { type BatchNorm, checkBatchNorm } from '../batchnorm/batchnorm.js';
import { checkOneOf, checkOptions, wrongKind } from '../checks.js';
import { areFinite, checkFinite, copyMoments, newTable } from '../passes/channel-table.js';
import { averageBatch, mergePart } from '../passes/formulas.js';
import { checkMoments, type Moments } from '../passes/statistics.js';
import type { Runtime } from '../runtime/engine.js';
import { listed } from '../runtime/shape.js';
import { moments } from './moments.js';
import { type Batch, inTurn } from './parts.js';

/**
 * How batches become running statistics. 'paper': the mean of the batch means and of the unbiased batch variances, Ioffe &
 * Szegedy 2015, Alg. 2; batches of one value per channel have no unbiased variance and are refused. 'population': mean and
 * biased variance of all values together.
 */
export type Estimator = 'paper' | 'population';

/** How `recalibrate` gets from batches to running statistics. */
export interface RecalibrateOptions {
  /** Default: 'paper'. */
  estimator?: Estimator;
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
  const inOrder = isIterable<Batch>(batches) ? inTurn(batches) : batches;
  return estimate('recalibrate', bn, inOrder, estimator, '{ x, shape }', (batch) => {
    if (typeof batch !== 'object' || batch === null) throw wrongKind('batches', '{ x, shape }', batch);
    const { x, shape, mask } = batch;
    const part = moments(x, shape, { layout: bn.layout, runtime, ...(mask && { mask }) });
    if (part.mean.length !== bn.channels) {
      throw new RangeError(`recalibrate() expected batches of ${bn.channels} channels, got shape ${listed(shape)}`);
    }
    return part;
  });
}

/**
 * What `recalibrate` does, from the moments of the batches: `momentsOf` gives those of all layers in one pass over the data,
 * and they may come from other processes. The same batches in the same order give the same bits.
 *
 * @param batches - the moments of each batch, [C], from any iterable or an async one, as in `recalibrate`; not merged, since
 *   'paper' averages over batches
 * @param options - `estimator`: default 'paper'
 * @throws {TypeError} a bn without running statistics, or batches that are not moments.
 * @throws {RangeError} no values at all, or moments of another number of channels. Nothing changes then.
 */
export function recalibrateFrom(bn: BatchNorm, batches: Iterable<Moments>, options?: { estimator?: Estimator }): void;
export function recalibrateFrom(bn: BatchNorm, batches: AsyncIterable<Moments>, options?: { estimator?: Estimator }): Promise<void>;
export function recalibrateFrom(
  bn: BatchNorm, batches: Iterable<Moments> | AsyncIterable<Moments>, options: { estimator?: Estimator } = {},
): void | Promise<void> {
  checkBatchNorm('recalibrateFrom', bn);
  checkOptions('recalibrateFrom', options, ['estimator']);
  const { estimator = 'paper' } = options;
  return estimate('recalibrateFrom', bn, batches, estimator, '{ count, mean, m2 }', (part) => checkMoments('batches', part, bn.channels));
}

/** Reads all batches before it writes. `item`: what a batch is, for the message. */
function estimate<T>(
  name: string, bn: BatchNorm, batches: Iterable<T> | AsyncIterable<T>, estimator: Estimator, item: string, read: (batch: T) => Moments,
): void | Promise<void> {
  checkOneOf('estimator', estimator, ['paper', 'population']);
  if (!bn.runningMean) throw new TypeError(`${name}() expected a module with running statistics, got trackRunningStats false`);
  const found = new Estimate(name, bn, estimator);
  if (isIterable<T>(batches)) {
    for (const batch of batches) found.add(read(batch));
    found.finish();
    return;
  }
  if (!isAsyncIterable<T>(batches)) throw wrongKind('batches', `an iterable of ${item}`, batches);
  return (async () => {
    for await (const batch of batches) found.add(read(batch));
    found.finish();
  })();
}

function isIterable<T>(value: unknown): value is Iterable<T> {
  return typeof (value as Partial<Iterable<T>> | null)?.[Symbol.iterator] === 'function';
}

function isAsyncIterable<T>(value: unknown): value is AsyncIterable<T> {
  return typeof (value as Partial<AsyncIterable<T>> | null)?.[Symbol.asyncIterator] === 'function';
}

/** Statistics of the batches so far. */
class Estimate {
  readonly #name: string;
  readonly #bn: BatchNorm;
  readonly #estimator: Estimator;
  readonly #mean: Float64Array;
  /** By 'paper' the mean of the unbiased batch variances, by 'population' the sum of squared deviations. */
  readonly #spread: Float64Array;
  /** Batches, and values per channel in them. */
  #seen = 0;
  #count = 0;
  #skipped = 0;

  constructor(name: string, bn: BatchNorm, estimator: Estimator) {
    this.#name = name;
    this.#bn = bn;
    this.#estimator = estimator;
    this.#mean = new Float64Array(bn.channels);
    this.#spread = new Float64Array(bn.channels);
  }

  add(part: Moments): void {
    if (part.count === 0) return;
    if (this.#estimator === 'paper' && part.count === 1) {
      throw new RangeError(`${this.#name}() expected more than 1 value per channel in a batch, got 1`);
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
      throw new RangeError(`${this.#name}() expected at least one batch with ${finite}values, got none`);
    }
    bn.runningMean!.set(this.#mean);
    bn.runningVar!.set(this.#estimator === 'paper' ? this.#spread : this.#spread.map((m2) => m2 / count));
    bn.numBatchesTracked = this.#seen;
  }
}
