/**
 * The paper: every per-channel equation, in f64, O(C), without memory or element types of its own.
 *
 * Ioffe & Szegedy 2015, arXiv 1502.03167. `shift` is the mean rounded to the element type: kernels subtract it from x
 * before anything else, and what it lacks of the mean is made up for in the coefficients. Outputs come first. Parameters
 * and `numbers` hold all channels of a module, the rest those of `range`.
 */
import type { Floats } from './kernels.js';

/**
 * Per-channel numbers of one forward, side by side: those of channel c start at FIELDS * c.
 *
 * An ordinary array, since V8 makes one of 400 numbers in 0.3 us and a Float64Array in 0.9 us.
 */
export type ChannelNumbers = number[];
export const FIELDS = 5;
export const MEAN = 0;
/** Biased. */
export const VARIANCE = 1;
/** 1 / sqrt(variance + eps) */
export const RSTD = 2;
/** weight * rstd, with batch renormalization times r: the derivative of y by x at fixed statistics. */
export const SLOPE = 3;

/** y at x = mean: the bias, or with batch renormalization bias + weight * d. */
export const INTERCEPT = 4;

/** Consecutive channels. */
export interface ChannelRange {
  readonly channelStart: number;
  readonly channels: number;
}

/** 1 / sqrt(variance + eps): Alg. 1 line 3, the denominator. 0 where both are 0, so that y is the bias. */
export function inverseStd(variance: number, eps: number): number {
  const v = variance + eps;
  return v === 0 ? 0 : 1 / Math.sqrt(v);
}

/** y = (x - mean) * slope + intercept: Alg. 1 lines 3 and 4; with running statistics Alg. 2 line 11. From mean and variance. */
export function normalise(
  numbers: ChannelNumbers, weight: Floats | null, bias: Floats | null, eps: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = start, i = FIELDS * start; c < start + channels; c++, i += FIELDS) {
    const rstd = inverseStd(numbers[i + VARIANCE]!, eps);
    numbers[i + RSTD] = rstd;
    numbers[i + SLOPE] = weight === null ? rstd : weight[c]! * rstd;
    numbers[i + INTERCEPT] = bias === null ? 0 : bias[c]!;
  }
}

/** The same as (x - shift) * scale + offset. */
export function affineCoefficients(
  shift: Floats, scale: Floats, offset: Floats, numbers: ChannelNumbers, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const mean = numbers[i + MEAN]!, slope = numbers[i + SLOPE]!;
    shift[c] = mean;
    scale[c] = slope;
    offset[c] = numbers[i + INTERCEPT]! - (mean - shift[c]!) * slope;
  }
}

/** Correction of a batch towards the running statistics, [C] each: constants to the gradient. */
export interface Renormalisation {
  readonly r: Float64Array;
  readonly d: Float64Array;
}

/**
 * Batch renormalization: xhat = (x - mean) * rstd * r + d with r = std / running std in [1 / rMax, rMax] and
 * d = (mean - running mean) / running std in [-dMax, dMax]. Ioffe 2017, arXiv 1702.03275, Alg. 1.
 */
export function renormalise(
  { r, d }: Renormalisation, numbers: ChannelNumbers, runningMean: Floats, runningVar: Floats, weight: Floats | null,
  eps: number, rMax: number, dMax: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = start, i = FIELDS * start; c < start + channels; c++, i += FIELDS) {
    const inverse = inverseStd(runningVar[c]!, eps);
    const std = Math.sqrt(numbers[i + VARIANCE]! + eps);
    r[c] = Math.min(Math.max(std * inverse, 1 / rMax), rMax);
    d[c] = Math.min(Math.max((numbers[i + MEAN]! - runningMean[c]!) * inverse, -dMax), dMax);
    numbers[i + SLOPE]! *= r[c]!;
    numbers[i + INTERCEPT]! += (weight === null ? 1 : weight[c]!) * d[c]!;
  }
}

/** shift = mean, rounded to its type. */
export function meanShift(shift: Floats, numbers: ChannelNumbers, range: ChannelRange): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) shift[c] = numbers[i + MEAN]!;
}

/** dot = sum dy * (x - mean), from the kernel's sum dy * (x - shift) and total = sum dy, in place. */
export function centerDot(
  dot: Float64Array, total: Float64Array, shift: Floats, numbers: ChannelNumbers, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    dot[c]! -= (numbers[i + MEAN]! - shift[c]!) * total[c]!;
  }
}

/** The two parameter gradients. Section 3: dl/dbeta = sum dy, dl/dgamma = sum dy * xhat. */
export function parameterGradients(
  dweight: Floats | null, dbias: Floats | null, total: Float64Array, dot: Float64Array,
  numbers: ChannelNumbers, renorm: Renormalisation | null, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    if (dbias !== null) dbias[start + c] = total[c]!;
    if (dweight === null) continue;
    const sum = dot[c]! * numbers[i + RSTD]!;
    dweight[start + c] = renorm === null ? sum : sum * renorm.r[start + c]! + total[c]! * renorm.d[start + c]!;
  }
}

/**
 * dx = slope * (dy - sum dy / n - xhat * sum(dy * xhat) / n)  as  dy * p + ((x - shift) * q + r).
 * Section 3, dl/dx with dl/dvar and dl/dmean put in (the sum of x - mean in dl/dmean is 0); n values a channel. A single
 * value is its own mean, and y does not depend on it.
 */
export function gradientCoefficients(
  p: Floats, q: Floats, r: Floats, total: Float64Array, dot: Float64Array,
  shift: Floats, numbers: ChannelNumbers, n: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  const inverse = 1 / n;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const a = n === 1 ? 0 : numbers[i + SLOPE]!, rstd = numbers[i + RSTD]!;
    const b = -a * rstd * rstd * dot[c]! * inverse;
    p[c] = a;
    q[c] = b;
    r[c] = -a * total[c]! * inverse - (numbers[i + MEAN]! - shift[c]!) * b;
  }
}

/** The same at fixed statistics, dx = slope * dy: Alg. 2 line 11 is linear in x. */
export function linearCoefficients(p: Floats, q: Floats, r: Floats, numbers: ChannelNumbers, range: ChannelRange): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    p[c] = numbers[i + SLOPE]!;
    q[c] = 0;
    r[c] = 0;
  }
}
