/**
 * The paper: every per-channel equation, in f64, O(C), without memory or element types of its own.
 *
 * Ioffe & Szegedy 2015, arXiv 1502.03167. `shift` is the mean rounded to the element type: kernels subtract it from x
 * before anything else, and what it lacks of the mean is made up for in the coefficients. Outputs come first; all
 * arrays of a call hold the same channels.
 */
import type { Floats } from './kernels.js';

/**
 * Biased variance from the sum of squared deviations, in place: Alg. 1 line 2, n values a channel.
 */
export function varianceFromM2(m2: Float64Array, n: number): void {
  for (let c = 0; c < m2.length; c++) m2[c]! /= n;
}

/**
 * Inverse standard deviation: rstd = 1 / sqrt(variance + eps).
 * Alg. 1 line 3, the denominator; variance is the biased one. 0 where variance and eps are both 0, so that y is the bias.
 */
export function inverseStd(rstd: Float64Array, variance: Float64Array, eps: number): void {
  for (let c = 0; c < rstd.length; c++) {
    const v = variance[c]! + eps;
    rstd[c] = v === 0 ? 0 : 1 / Math.sqrt(v);
  }
}

/** slope = weight * rstd, the derivative of y by x at fixed statistics. */
export function slopes(slope: Float64Array, weight: Floats | null, rstd: Float64Array): void {
  for (let c = 0; c < slope.length; c++) slope[c] = weight ? weight[c]! * rstd[c]! : rstd[c]!;
}

/**
 * y = (x - mean) * rstd * weight + bias  as  (x - shift) * scale + offset.
 * Alg. 1 lines 3 and 4; with running statistics Alg. 2 line 11.
 */
export function affineCoefficients(
  shift: Floats, scale: Floats, offset: Floats, mean: Float64Array, slope: Float64Array, bias: Floats | null,
): void {
  for (let c = 0; c < shift.length; c++) {
    const a = slope[c]!;
    shift[c] = mean[c]!;
    scale[c] = a;
    offset[c] = (bias ? bias[c]! : 0) - (mean[c]! - shift[c]!) * a;
  }
}

/**
 * The two parameter gradients from the kernel's sums total = sum dy and dot = sum dy * (x - shift).
 * Section 3: dl/dbeta = sum dy, dl/dgamma = sum dy * xhat. `dot` becomes sum dy * (x - mean).
 */
export function parameterGradients(
  dweight: Floats | null, dbias: Floats | null, dot: Float64Array, total: Float64Array,
  shift: Floats, mean: Float64Array, rstd: Float64Array,
): void {
  for (let c = 0; c < shift.length; c++) {
    dot[c]! -= (mean[c]! - shift[c]!) * total[c]!;
    if (dweight) dweight[c] = dot[c]! * rstd[c]!;
    if (dbias) dbias[c] = total[c]!;
  }
}

/**
 * dx = slope * (dy - sum dy / n - xhat * sum(dy * xhat) / n)  as  dy * p + ((x - shift) * q + r).
 * Section 3, dl/dx with dl/dvar and dl/dmean put in (the sum of x - mean in dl/dmean is 0); n values a channel.
 */
export function gradientCoefficients(
  p: Floats, q: Floats, r: Floats, total: Float64Array, dot: Float64Array,
  shift: Floats, mean: Float64Array, rstd: Float64Array, slope: Float64Array, n: number,
): void {
  const inverse = 1 / n;
  for (let c = 0; c < shift.length; c++) {
    const a = slope[c]!, s = rstd[c]!;
    const b = -a * s * s * dot[c]! * inverse;
    p[c] = a;
    q[c] = b;
    r[c] = -a * total[c]! * inverse - (mean[c]! - shift[c]!) * b;
  }
}

/** The same at fixed statistics, dx = slope * dy, as (dy - 0) * slope + 0: Alg. 2 line 11 is linear in x. */
export function linearCoefficients(shift: Floats, scale: Floats, offset: Floats, slope: Float64Array): void {
  shift.fill(0);
  offset.fill(0);
  scale.set(slope);
}
