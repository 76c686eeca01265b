/**
 * The paper: every per-channel equation, in f64, O(C), without memory or element types of its own.
 *
 * Ioffe & Szegedy 2015, arXiv 1502.03167. `shift` is the mean rounded to the element type: kernels subtract it from x
 * before anything else, and the coefficients make up for what it lacks of the mean. Outputs come first. Parameters and
 * `table` hold all channels of a layer, the rest those of `range`.
 */

import type { Floats } from '../runtime/kernels.js';
import { type ChannelRange, type ChannelTable, FIELDS, INTERCEPT, MEAN, RSTD, SLOPE, VARIANCE } from './channel-table.js';

/** No channels. */
export const NONE: readonly never[] = [];

/** Variance that enters the running statistics: divided by M - 1, or by M. */
export type RunningVariance = 'unbiased' | 'biased';

/** 1 / sqrt(variance + eps): Alg. 1 line 3, the denominator. 0 where both are 0, so that y is the bias. */
export function inverseStd(variance: number, eps: number): number {
  return slopeOf(1, variance, eps);
}

/** weight / sqrt(variance + eps): Alg. 2 line 11. 0 where both are 0. */
export function slopeOf(weight: number, variance: number, eps: number): number {
  const v = variance + eps;
  return v === 0 ? 0 : weight / Math.sqrt(v);
}

/**
 * Merges a part of n2 values per channel, its mean and sum of squared deviations m2, into mean and variance of n1 values.
 * Chan, Golub & LeVeque 1979, eq. 2.1, divided by n1 + n2; n1 may be 0.
 */
export function mergeInto(
  table: ChannelTable, n1: number, mean: Float64Array, m2: Float64Array, n2: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  const inverse = 1 / (n1 + n2);
  const keep = n1 * inverse, shareOfPart = n2 * inverse;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    if (n1 === 0) {
      table[i + MEAN] = mean[c]!;
      table[i + VARIANCE] = m2[c]! / n2;
    } else {
      const before = table[i + MEAN]!, delta = mean[c]! - before;
      table[i + MEAN] = before + delta * shareOfPart;
      table[i + VARIANCE] = table[i + VARIANCE]! * keep + m2[c]! * inverse + delta * delta * (keep * shareOfPart);
    }
  }
}

/** Adds a part of n2 values per channel to mean and m2 of n1 values, in place. Chan, Golub & LeVeque 1979, eq. 2.1; n1 may be 0. */
export function mergePart(
  mean: Float64Array, m2: Float64Array, n1: number, part: { readonly mean: Float64Array; readonly m2: Float64Array }, n2: number,
): void {
  if (n1 === 0) {
    mean.set(part.mean);
    m2.set(part.m2);
    return;
  }
  const n = n1 + n2, shareOfPart = n2 / n, both = (n1 * n2) / n;
  for (let c = 0; c < mean.length; c++) {
    const delta = part.mean[c]! - mean[c]!;
    mean[c]! += delta * shareOfPart;
    m2[c]! += part.m2[c]! + delta * delta * both;
  }
}

/** y = (x - mean) * slope + intercept: Alg. 1 lines 3 and 4; with running statistics Alg. 2 line 11. From mean and variance. */
export function normalise(
  table: ChannelTable, weight: Floats | null, bias: Floats | null, eps: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = start, i = FIELDS * start; c < start + channels; c++, i += FIELDS) {
    const rstd = inverseStd(table[i + VARIANCE]!, eps);
    table[i + RSTD] = rstd;
    table[i + SLOPE] = weight === null ? rstd : weight[c]! * rstd;
    table[i + INTERCEPT] = bias === null ? 0 : bias[c]!;
  }
}

/**
 * `normalise`, then `affineCoefficients`, in one loop: eval of 60x100 and 64x1024 takes 0.95 of the time.
 *
 * @returns what `affineCoefficients` does
 */
export function normaliseInto(
  shift: Floats, scale: Floats, offset: Floats, table: ChannelTable, weight: Floats | null, bias: Floats | null, eps: number,
  range: ChannelRange,
): boolean {
  const { channelStart: start, channels } = range, { least, most, largest } = spanOf(shift);
  let extreme = false;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const rstd = inverseStd(table[i + VARIANCE]!, eps), slope = weight === null ? rstd : weight[start + c]! * rstd;
    const intercept = bias === null ? 0 : bias[start + c]!, mean = table[i + MEAN]!, a = held(slope, largest);
    table[i + RSTD] = rstd;
    table[i + SLOPE] = slope;
    table[i + INTERCEPT] = intercept;
    shift[c] = mean;
    scale[c] = a;
    offset[c] = intercept - (mean - shift[c]!) * a;
    if (isExtreme(rstd, least, most)) extreme = true;
  }
  return extreme;
}

/**
 * A slope in the element type, of which `largest` is the largest number. One that overflows float32 is of a constant channel under a
 * tiny eps, so that it is multiplied by 0: a number that leaves room for products with dy serves as well, while infinity would make NaN.
 */
function held(slope: number, largest: number): number {
  return Math.abs(slope) <= largest || Number.isNaN(slope) ? slope : Math.sign(slope) * 2 ** 100;
}

/**
 * By bytes of an element: the 1 / std with which kernels compute, since with others squares of it, or of x, leave the range of the
 * type, and the largest slope. Loops over channels take them from locals.
 */
const SPAN = {
  4: { least: 2 ** -60, most: 2 ** 60, largest: (2 - 2 ** -23) * 2 ** 127 },
  8: { least: 2 ** -500, most: 2 ** 500, largest: Infinity },
} as const;

export interface Span {
  readonly least: number;
  readonly most: number;
  readonly largest: number;
}

export function spanOf(type: Floats): Span {
  return SPAN[type.BYTES_PER_ELEMENT as 4 | 8];
}

/** Whether 1 / std is beyond what kernels compute with. 0: the variance is 0 or infinite, and the slope is 0 as well. */
export function isExtreme(rstd: number, least: number, most: number): boolean {
  return rstd > most || (rstd < least && rstd > 0);
}

/**
 * The same as (x - shift) * scale + offset.
 *
 * @returns whether 1 / std of a channel is beyond what kernels compute with. It is 0 where the variance is 0 or infinite, and so
 *   is the slope.
 */
export function affineCoefficients(
  shift: Floats, scale: Floats, offset: Floats, table: ChannelTable, range: ChannelRange,
): boolean {
  const { channelStart: start, channels } = range, { least, most, largest } = spanOf(shift);
  let extreme = false;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const mean = table[i + MEAN]!, slope = held(table[i + SLOPE]!, largest);
    shift[c] = mean;
    scale[c] = slope;
    offset[c] = table[i + INTERCEPT]! - (mean - shift[c]!) * slope;
    const rstd = table[i + RSTD]!;
    if (isExtreme(rstd, least, most)) extreme = true;
  }
  return extreme;
}

/** Batch renormalization of one batch: its correction towards the running statistics, constants to the gradient. */
export interface Renormalisation {
  /** [C] */
  readonly r: Float64Array;
  /** [C] */
  readonly d: Float64Array;
  readonly rMax: number;
  readonly dMax: number;
  readonly runningMean: Floats;
  readonly runningVar: Floats;
}

/**
 * xhat = (x - mean) * rstd * r + d with r = std / running std in [1 / rMax, rMax] and d = (mean - running mean) / running std
 * in [-dMax, dMax]. Ioffe 2017, arXiv 1702.03275, Alg. 1. Writes r and d, and corrects what `normalise` has written.
 */
export function renormalise(
  { r, d, rMax, dMax, runningMean, runningVar }: Renormalisation, table: ChannelTable, weight: Floats | null, eps: number,
  range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = start, i = FIELDS * start; c < start + channels; c++, i += FIELDS) {
    const inverse = inverseStd(runningVar[c]!, eps);
    const std = Math.sqrt(table[i + VARIANCE]! + eps);
    r[c] = Math.min(Math.max(std * inverse, 1 / rMax), rMax);
    d[c] = Math.min(Math.max((table[i + MEAN]! - runningMean[c]!) * inverse, -dMax), dMax);
    table[i + SLOPE]! *= r[c]!;
    table[i + INTERCEPT]! += (weight === null ? 1 : weight[c]!) * d[c]!;
  }
}

/**
 * The new running statistics, (1 - factor) * running + factor * batch, in place. Alg. 2 with a moving average (section 3.1).
 * What has weight 0 has no part in them, even if it is not finite: 0 times infinity would be NaN.
 *
 * @param table - with the biased batch variance; n / (n - 1) times it enters where `runningVariance` is 'unbiased'
 *   (Alg. 2)
 */
export function updateRunning(
  runningMean: Floats, runningVar: Floats, table: ChannelTable,
  factor: number, n: number, runningVariance: RunningVariance,
): void {
  if (factor === 0) return;
  const keep = 1 - factor;
  const correction = runningVariance === 'unbiased' && n > 1 ? factor * (n / (n - 1)) : factor;
  for (let c = 0, i = 0; c < runningMean.length; c++, i += FIELDS) {
    const mean = factor * table[i + MEAN]!, variance = correction * table[i + VARIANCE]!;
    runningMean[c] = keep === 0 ? mean : keep * runningMean[c]! + mean;
    runningVar[c] = keep === 0 ? variance : keep * runningVar[c]! + variance;
  }
}

/**
 * Adds a batch of n values per channel to the means over `batches` batches, itself included: E[x] = E_B[mean],
 * Var[x] = E_B[m2 / (n - 1)]. Alg. 2 line 10. In place.
 */
export function averageBatch(
  mean: Float64Array, variance: Float64Array, batches: number, batchMean: Float64Array, batchM2: Float64Array, n: number,
): void {
  for (let c = 0; c < mean.length; c++) {
    mean[c]! += (batchMean[c]! - mean[c]!) / batches;
    variance[c]! += (batchM2[c]! / (n - 1) - variance[c]!) / batches;
  }
}

/** shift = mean, rounded to its type. Returns what `affineCoefficients` does. */
export function meanShift(shift: Floats, table: ChannelTable, range: ChannelRange): boolean {
  const { channelStart: start, channels } = range, { least, most } = spanOf(shift);
  let extreme = false;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    shift[c] = table[i + MEAN]!;
    const rstd = table[i + RSTD]!;
    if (isExtreme(rstd, least, most)) extreme = true;
  }
  return extreme;
}

/** dot = sum dy * (x - mean), from the kernel's sum dy * (x - shift) and total = sum dy, in place. */
export function centerDot(
  dot: Float64Array, total: Float64Array, shift: Floats, table: ChannelTable, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    dot[c]! -= (table[i + MEAN]! - shift[c]!) * total[c]!;
  }
}

/** The two parameter gradients. Section 3: dl/dbeta = sum dy, dl/dgamma = sum dy * xhat. */
export function parameterGradients(
  dweight: Floats | null, dbias: Floats | null, total: Float64Array, dot: Float64Array,
  table: ChannelTable, renorm: Renormalisation | null, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    if (dbias !== null) dbias[start + c] = total[c]!;
    if (dweight === null) continue;
    const sum = dot[c]! * table[i + RSTD]!;
    dweight[start + c] = renorm === null ? sum : sum * renorm.r[start + c]! + total[c]! * renorm.d[start + c]!;
  }
}

/**
 * dx = slope * (dy - sum dy / n - xhat * sum(dy * xhat) / n)  as  dy * p + ((x - shift) * q + r).
 * Section 3, dl/dx with dl/dvar and dl/dmean put in (the sum of x - mean in dl/dmean is 0); n values per channel. A single
 * value is its own mean, and y does not depend on it.
 *
 * @returns the channels of which q or r is finite, but not in the element type
 */
export function gradientCoefficients(
  p: Floats, q: Floats, r: Floats, total: Float64Array, dot: Float64Array,
  shift: Floats, table: ChannelTable, n: number, range: ChannelRange,
): readonly number[] {
  const { channelStart: start, channels } = range;
  const inverse = 1 / n, { largest } = spanOf(p);
  const beyond: number[] = [];
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const a = n === 1 ? 0 : held(table[i + SLOPE]!, largest), rstd = table[i + RSTD]!;
    // In this order the product of two large and two small factors stays within float64.
    const b = dot[c] === 0 ? 0 : -(a * rstd) * (rstd * (dot[c]! * inverse));
    const rest = -a * total[c]! * inverse - (table[i + MEAN]! - shift[c]!) * b;
    p[c] = a;
    q[c] = b;
    r[c] = rest;
    // Nearly always true, and faster than the next line, which reads back what has just been written: 0.8 of the time.
    if (Math.abs(b) < largest && Math.abs(rest) < largest) continue;
    if (Number.isFinite(b) && !(Number.isFinite(q[c]!) && Number.isFinite(r[c]!))) beyond.push(c);
  }
  return beyond.length > 0 ? beyond : NONE;
}

/** The same at fixed statistics, dx = slope * dy: Alg. 2 line 11 is linear in x. */
export function linearCoefficients(p: Floats, q: Floats, r: Floats, table: ChannelTable, range: ChannelRange): void {
  const { channelStart: start, channels } = range, { largest } = spanOf(p);
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    p[c] = held(table[i + SLOPE]!, largest);
    q[c] = 0;
    r[c] = 0;
  }
}

/**
 * Gradients by statistics that were given: y = (x - mean) * slope + bias with slope = weight / sqrt(variance + eps).
 * dmean = -slope * dbias and dvariance = -slope * rstd / 2 * dweight.
 */
export function statisticsGradients(
  dmean: Floats, dvariance: Floats, dweight: Float64Array, dbias: Float64Array, table: ChannelTable,
): void {
  for (let c = 0, i = 0; c < dmean.length; c++, i += FIELDS) {
    const slope = table[i + SLOPE]!, rstd = table[i + RSTD]!;
    dmean[c] = -slope * dbias[c]!;
    dvariance[c] = -0.5 * slope * rstd * dweight[c]!;
  }
}

/**
 * What reaches the values of a batch through its statistics, (x - mean) * q + r for each of them: section 3, dl/dx without
 * dy * slope. dmean and dvariance are gradients by the statistics where these are used elsewhere as well; n values per channel.
 */
export function throughStatistics(
  q: Float64Array, r: Float64Array, dmean: Floats, dvariance: Floats, total: Float64Array, dot: Float64Array,
  table: ChannelTable, n: number,
): void {
  for (let c = 0, i = 0; c < q.length; c++, i += FIELDS) {
    const slope = table[i + SLOPE]!, rstd = table[i + RSTD]!;
    q[c] = (2 * dvariance[c]! - slope * rstd * rstd * dot[c]!) / n;
    r[c] = (dmean[c]! - slope * total[c]!) / n;
  }
}
