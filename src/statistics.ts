/** Statistics of a batch: merging parts of it, and what becomes of them in the running statistics. */
import { isCount, isTypedArray, wrongKind, wrongValue } from './checks.js';
import type { RunningVariance } from './conventions.js';
import { type ChannelNumbers, type ChannelRange, FIELDS, MEAN, VARIANCE } from './formulas.js';
import type { Floats } from './kernels.js';

/** Mergeable statistics of each channel. */
export interface Moments {
  /** Values a channel. */
  readonly count: number;
  /** [C] */
  readonly mean: Float64Array;
  /** [C], the sum of squared deviations from the mean. */
  readonly m2: Float64Array;
}

/**
 * Statistics of several parts together. Counts may differ; parts of no values are neutral. Chan, Golub & LeVeque 1979,
 * eq. 2.1.
 *
 * @throws {TypeError} no parts, or one that is none. @throws {RangeError} different numbers of channels, a bad count.
 */
export function mergeMoments(...parts: Moments[]): Moments {
  const channels = checkMoments('parts', parts[0]).mean.length;
  for (const part of parts) checkMoments('parts', part, channels);
  const mean = new Float64Array(channels), m2 = new Float64Array(channels);
  let count = 0;
  for (const part of parts) {
    if (part.count === 0) continue;
    const n = count + part.count;
    for (let c = 0; c < channels; c++) {
      const delta = part.mean[c]! - mean[c]!;
      mean[c]! += count === 0 ? delta : delta * (part.count / n);
      m2[c]! += count === 0 ? part.m2[c]! : part.m2[c]! + delta * delta * ((count * part.count) / n);
    }
    count = n;
  }
  return { count, mean, m2 };
}

/** @throws {TypeError} no moments. @throws {RangeError} another number of channels, a count that is no integer. */
export function checkMoments(name: string, value: unknown, channels?: number): Moments {
  const { count, mean, m2 } = Object(value) as Partial<Moments>;
  if (typeof count !== 'number' || !isDoubles(mean) || !isDoubles(m2)) {
    throw wrongKind(name, '{ count, mean: Float64Array, m2: Float64Array }', value);
  }
  const wanted = channels ?? mean.length;
  if (mean.length !== wanted || m2.length !== wanted) {
    throw wrongValue(name, `mean and m2 of ${wanted} channels`, `${mean.length} and ${m2.length}`);
  }
  if (!isCount(count)) throw wrongValue(name, 'a count that is a non-negative integer', count);
  const negative = m2.findIndex((value) => value < 0);
  if (negative >= 0) throw wrongValue(name, 'an m2 of 0 or more', `${m2[negative]} in channel ${negative}`);
  return value as Moments;
}

/** What gradients need to know of a whole batch, [C] each. Sums of parts are added up element by element. */
export interface GradientSums {
  /** sum dy, after the activation and without what is masked. */
  readonly total: Float64Array;
  /** sum dy * (x - mean). */
  readonly dot: Float64Array;
}

/** The sums of several parts together. @throws {TypeError} no parts, or one that is none. @throws {RangeError} different numbers of channels. */
export function addGradientSums(...parts: GradientSums[]): GradientSums {
  const channels = checkSums(parts[0]).total.length;
  const sums = { total: new Float64Array(channels), dot: new Float64Array(channels) };
  for (const part of parts) {
    checkSums(part, channels);
    for (let c = 0; c < channels; c++) {
      sums.total[c]! += part.total[c]!;
      sums.dot[c]! += part.dot[c]!;
    }
  }
  return sums;
}

/** @throws {TypeError} no sums. @throws {RangeError} another number of channels. */
export function checkSums(value: unknown, channels?: number): GradientSums {
  const { total, dot } = Object(value) as Partial<GradientSums>;
  if (!isDoubles(total) || !isDoubles(dot)) {
    throw wrongKind('sums', '{ total: Float64Array, dot: Float64Array }', value);
  }
  const wanted = channels ?? total.length;
  if (total.length !== wanted || dot.length !== wanted) {
    throw wrongValue('sums', `total and dot of ${wanted} channels`, `${total.length} and ${dot.length}`);
  }
  return value as GradientSums;
}

function isDoubles(value: unknown): value is Float64Array {
  return isTypedArray(value, 'Float64Array');
}

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

/** Given statistics as those that normalise. */
export function takeMoments(numbers: ChannelNumbers, { count, mean, m2 }: Moments): void {
  for (let c = 0, i = 0; c < mean.length; c++, i += FIELDS) {
    numbers[i + MEAN] = mean[c]!;
    numbers[i + VARIANCE] = m2[c]! / count;
  }
}

/** Whether every mean and variance is a finite number. */
export function areFinite(numbers: ChannelNumbers): boolean {
  for (let i = 0; i < numbers.length; i += FIELDS) {
    if (!Number.isFinite(numbers[i + MEAN]) || !Number.isFinite(numbers[i + VARIANCE])) return false;
  }
  return true;
}

/** @throws {RangeError} where a mean or variance is no finite number. */
export function checkFinite(numbers: ChannelNumbers): void {
  if (areFinite(numbers)) return;
  const c = Math.floor(numbers.findIndex((value, i) => i % FIELDS <= VARIANCE && !Number.isFinite(value)) / FIELDS);
  const mean = numbers[FIELDS * c + MEAN], variance = numbers[FIELDS * c + VARIANCE];
  throw new RangeError(`x expected finite batch statistics, got mean ${mean} and variance ${variance} in channel ${c}`);
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
