/** Statistics and gradient sums of a batch, as users hold them: merging those of its parts, and checks. */
import { isTypedArray, plainView } from '../arrays.js';
import { isCount, reading, wrongKind, wrongValue } from '../checks.js';
import { checkNumbers, fromJson } from '../lists.js';
import { mergePart } from './formulas.js';

/** Mergeable statistics of each channel. */
export interface Moments {
  /** Values per channel. */
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
 * @throws {TypeError} no parts, or one that is not moments. @throws {RangeError} different numbers of channels, a bad count.
 */
export function mergeMoments(...parts: Moments[]): Moments {
  const first = checkMoments('parts', parts[0]), channels = first.mean.length;
  const checked = parts.map((part, i) => (i === 0 ? first : checkMoments('parts', part, channels)));
  const mean = new Float64Array(channels), m2 = new Float64Array(channels);
  let count = 0;
  for (const part of checked) {
    if (part.count === 0) continue;
    mergePart(mean, m2, count, part, part.count);
    count += part.count;
  }
  return { count, mean, m2 };
}

/**
 * A copy of moments, or of what JSON makes of them.
 *
 * @throws {TypeError} not moments. @throws {RangeError} another number of channels, a count that is not an integer, a negative m2.
 */
export function checkMoments(name: string, value: unknown, channels?: number): Moments {
  const given = reading(name, () => {
    const { count, mean, m2 } = Object(value) as Partial<Moments>;
    return { count, mean, m2 };
  });
  const { count } = given, mean = doublesFrom(`${name}.mean`, given.mean), m2 = doublesFrom(`${name}.m2`, given.m2);
  if (typeof count !== 'number' || !mean || !m2) {
    throw wrongKind(name, '{ count, mean: Float64Array, m2: Float64Array }', value);
  }
  const wanted = channels ?? mean.length;
  if (mean.length !== wanted || m2.length !== wanted) {
    throw wrongValue(name, `mean and m2 of ${wanted} channels`, `${mean.length} and ${m2.length}`);
  }
  if (!isCount(count)) throw wrongValue(name, 'a count that is a non-negative integer', count);
  // A loop: the callback of findIndex takes ten times as long per channel.
  for (let c = 0; c < m2.length; c++) {
    if (m2[c]! < 0) throw wrongValue(name, 'an m2 of 0 or more', `${m2[c]} in channel ${c}`);
  }
  return { count, mean, m2 };
}

/** What gradients need to know of a whole batch, [C] each. Sums of parts are added up element by element. */
export interface GradientSums {
  /** sum dy, after the activation and without what is masked. */
  readonly total: Float64Array;
  /** sum dy * (x - mean). */
  readonly dot: Float64Array;
}

/**
 * The sums of several parts together.
 *
 * @throws {TypeError} no parts, or one that is not sums. @throws {RangeError} different numbers of channels.
 */
export function addGradientSums(...parts: GradientSums[]): GradientSums {
  const first = checkSums(parts[0]), channels = first.total.length;
  const sums = { total: new Float64Array(channels), dot: new Float64Array(channels) };
  parts.forEach((part, i) => {
    const { total, dot } = i === 0 ? first : checkSums(part, channels);
    for (let c = 0; c < channels; c++) {
      sums.total[c]! += total[c]!;
      sums.dot[c]! += dot[c]!;
    }
  });
  return sums;
}

/**
 * A copy of sums, or of what JSON makes of them.
 *
 * @throws {TypeError} not sums. @throws {RangeError} another number of channels.
 */
export function checkSums(value: unknown, channels?: number): GradientSums {
  const given = reading('sums', () => {
    const { total, dot } = Object(value) as Partial<GradientSums>;
    return { total, dot };
  });
  const total = doublesFrom('sums.total', given.total), dot = doublesFrom('sums.dot', given.dot);
  if (!total || !dot) {
    throw wrongKind('sums', '{ total: Float64Array, dot: Float64Array }', value);
  }
  const wanted = channels ?? total.length;
  if (total.length !== wanted || dot.length !== wanted) {
    throw wrongValue('sums', `total and dot of ${wanted} channels`, `${total.length} and ${dot.length}`);
  }
  return { total, dot };
}

/** A copy of a Float64Array, or of what JSON makes of one; undefined for anything else. What is read later may not change it. */
function doublesFrom(name: string, value: unknown): Float64Array | undefined {
  if (isTypedArray(value, 'Float64Array')) return plainView(value, Float64Array).slice();
  const list = fromJson(value);
  if (list === value) return undefined;
  checkNumbers(name, list as unknown[]);
  return Float64Array.from(list as number[]);
}
