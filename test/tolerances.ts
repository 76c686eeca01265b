/** The one table of tolerances, each with its derivation. u is half a unit in the last place: 2^-24, 2^-53. */
import type { DType } from '../src/index.js';

export const U: Record<DType, number> = { float32: 2 ** -24, float64: 2 ** -53 };

/**
 * Of the batch mean, in standard deviations: docs/numerics.md derives 18 u for any data. f64 adds its own rounding of the mean.
 */
export const mean = (dtype: DType, meanOverStd: number) => 18 * U[dtype] + 2 * U.float64 * meanOverStd;

/**
 * Of the batch variance, relative: docs/numerics.md derives 64 u for any data, 3.8e-6 in float32. Plain f64 sums drift by 1e-13;
 * where parts are merged, their rounded means enter times the distance between them.
 */
export const variance = (dtype: DType, meanOverStd = 0) => 64 * U[dtype] + 1e-13 + U.float64 * meanOverStd;

/**
 * Of y, per unit of weight, for random data: subtraction, product, sum and two rounded coefficients make 5 u of up to 4.5 standard
 * deviations = 1.3e-6 at the very worst, of which rounding to nearest leaves 1e-6 (the package's bound).
 * In float64 plain sums of n = 1e5 values drift by sqrt(n) u = 4e-14, and the mean itself is rounded: u * |mean| / std.
 */
export const y = (dtype: DType, meanOverStd = 0) => (dtype === 'float32' ? 1e-6 : 1e-13 + 4 * U.float64 * meanOverStd);

/**
 * Of y, per unit of weight, for any data: the error of the mean, and times |xhat| half of that of the variance and 4 roundings.
 * That is 1.1e-6 + 2.2e-6 |xhat| in float32.
 */
export const yOfAny = (dtype: DType, xhat: number, meanOverStd = 0) =>
  (18 + 36 * Math.abs(xhat)) * U[dtype] + 1e-13 + 4 * U.float64 * meanOverStd;

/** Against PyTorch in float64, relative to max(1, |value|): the bounds that the package promises in float32. */
export const GOLDEN: Record<DType, { y: number; dx: number; running: number; parameters: number }> = {
  float32: { y: 2e-6, dx: 4e-6, running: 1e-6, parameters: 8e-6 },
  float64: { y: 1e-12, dx: 1e-12, running: 1e-12, parameters: 1e-12 },
};

/**
 * Of sums over n products dy * xhat, relative to the sum of their absolute values: 62 additions and 4 roundings.
 */
export const sums = (dtype: DType) => 66 * U[dtype] + 1e-14;

/** Of an elementwise kernel on normal data, relative to max(1, |result|): 3 roundings of terms up to 16. */
export const elementwise = (dtype: DType) => 48 * U[dtype];

/** Of central differences in float64 with a step h = 1e-5: h^2 of a third derivative, and u / h of the loss. */
export const FINITE_DIFFERENCES = 1e-8;

/** Between two results of which each is within a bound of the truth, in units of that bound. */
export const BETWEEN = 2;
