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
export const FIELDS = 4;
export const MEAN = 0;
/** Biased. */
export const VARIANCE = 1;
/** 1 / sqrt(variance + eps) */
export const RSTD = 2;
/** weight * rstd, the derivative of y by x at fixed statistics. */
export const SLOPE = 3;

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

/**
 * y = (x - mean) * rstd * weight + bias  as  (x - shift) * scale + offset. Alg. 1 lines 3 and 4; with running statistics
 * Alg. 2 line 11. From mean and variance in `numbers`, where rstd and slope are filled in.
 */
export function affineCoefficients(
  shift: Floats, scale: Floats, offset: Floats, numbers: ChannelNumbers,
  weight: Floats | null, bias: Floats | null, eps: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const mean = numbers[i + MEAN]!;
    const rstd = inverseStd(numbers[i + VARIANCE]!, eps);
    const slope = weight === null ? rstd : weight[start + c]! * rstd;
    numbers[i + RSTD] = rstd;
    numbers[i + SLOPE] = slope;
    shift[c] = mean;
    scale[c] = slope;
    offset[c] = (bias === null ? 0 : bias[start + c]!) - (mean - shift[c]!) * slope;
  }
}

/** shift = mean, rounded to its type. */
export function meanShift(shift: Floats, numbers: ChannelNumbers, range: ChannelRange): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) shift[c] = numbers[i + MEAN]!;
}

/**
 * The two parameter gradients from the kernel's sums total = sum dy and dot = sum dy * (x - shift).
 * Section 3: dl/dbeta = sum dy, dl/dgamma = sum dy * xhat. `dot` becomes sum dy * (x - mean).
 */
export function parameterGradients(
  dweight: Floats | null, dbias: Floats | null, dot: Float64Array, total: Float64Array,
  shift: Floats, numbers: ChannelNumbers, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const centered = dot[c]! - (numbers[i + MEAN]! - shift[c]!) * total[c]!;
    dot[c] = centered;
    if (dweight !== null) dweight[start + c] = centered * numbers[i + RSTD]!;
    if (dbias !== null) dbias[start + c] = total[c]!;
  }
}

/**
 * dx = slope * (dy - sum dy / n - xhat * sum(dy * xhat) / n)  as  dy * p + ((x - shift) * q + r).
 * Section 3, dl/dx with dl/dvar and dl/dmean put in (the sum of x - mean in dl/dmean is 0); n values a channel.
 */
export function gradientCoefficients(
  p: Floats, q: Floats, r: Floats, total: Float64Array, dot: Float64Array,
  shift: Floats, numbers: ChannelNumbers, n: number, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  const inverse = 1 / n;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    const a = numbers[i + SLOPE]!, rstd = numbers[i + RSTD]!;
    const b = -a * rstd * rstd * dot[c]! * inverse;
    p[c] = a;
    q[c] = b;
    r[c] = -a * total[c]! * inverse - (numbers[i + MEAN]! - shift[c]!) * b;
  }
}

/** The same at fixed statistics, dx = slope * dy, as (dy - 0) * slope + 0: Alg. 2 line 11 is linear in x. */
export function linearCoefficients(
  shift: Floats, scale: Floats, offset: Floats, numbers: ChannelNumbers, range: ChannelRange,
): void {
  const { channelStart: start, channels } = range;
  for (let c = 0, i = FIELDS * start; c < channels; c++, i += FIELDS) {
    shift[c] = 0;
    scale[c] = numbers[i + SLOPE]!;
    offset[c] = 0;
  }
}
