/**
 * tf.batchNorm in plain loops, for parameters that spread over x in other ways than one per channel. The innermost loops are
 * functions of their own: an engine compiles each of them once, for all spreads. `| 0` tells it that an index is an integer
 * (64x4x4x32 with parameters of 64x1x1x32, first 100 calls: 190 us instead of 300).
 */
import { type Common, eachRun, repeat, sumOf } from './spread.js';

/** Mean, variance, scale and offset, of their own shapes. */
export type Parameters = readonly [mean: Float32Array, variance: Float32Array, scale: Float32Array, offset: Float32Array];

/** y = (x - mean) / sqrt(variance + eps) * scale + offset, with parameters of the common shape. */
export function normaliseRows(
  { over }: Common, eps: number, x: Float32Array, [mean, variance, scale, offset]: Parameters, y: Float32Array,
): void {
  const stride = over.strides[0]!.at(-1)!;
  const slope = slopeOf(scale, variance, eps);
  eachRun(over, 0, (start, at, length) => { normaliseRun(x, mean, slope, offset, y, start, at, stride, length); });
}

/** The gradients by x and by the parameters. */
export function differentiateRows(
  common: Common, eps: number, x: Float32Array, dy: Float32Array, parameters: Parameters, dx: Float32Array, gradients: Parameters,
): void {
  const { size, within, over } = common, [mean, variance, scale] = repeated(common, parameters), stride = over.strides[0]!.at(-1)!;
  if (size === x.length) {
    // Everything is as large as x: gradients that are go straight to where they belong.
    const whole = gradients.map((out, p) => (p === 3 ? dy : out.length === size ? out : new Float32Array(size)));
    differentiateWhole(eps, x, dy, mean, variance, scale, dx, whole[0]!, whole[1]!, whole[2]!);
    gradients.forEach((out, p) => {
      if (out.length !== size) sumOf(within, p, whole[p]!, out);
      else if (out !== whole[p]) out.set(whole[p]!);
    });
    return;
  }
  const rstd = new Float64Array(size), slope = new Float64Array(size), total = new Float64Array(size), dot = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    rstd[i] = 1 / Math.sqrt(variance[i]! + eps);
    slope[i] = rstd[i]! * scale[i]!;
  }
  eachRun(over, 0, (start, at, length) => { differentiateRun(x, dy, mean, slope, dx, total, dot, start, at, stride, length); });
  const byMean = new Float64Array(size), byVariance = new Float64Array(size), byScale = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    byMean[i] = -slope[i]! * total[i]!;
    byScale[i] = rstd[i]! * dot[i]!;
    byVariance[i] = -0.5 * slope[i]! * rstd[i]! * byScale[i]!;
  }
  [byMean, byVariance, byScale, total].forEach((sums, p) => { sumOf(within, p, sums, gradients[p]!); });
}

/** All parameters, repeated to the common shape. */
export function repeated(common: Common, parameters: Parameters): Parameters {
  return parameters.map((values, p) => repeatedTo(common, p, values)) as unknown as Parameters;
}

/** A parameter, repeated to the common shape. */
export function repeatedTo({ size, within }: Common, parameter: number, values: Float32Array): Float32Array {
  if (values.length === size) return values;
  const out = new Float32Array(size);
  repeat(within, parameter, values, out);
  return out;
}

/** scale / sqrt(variance + eps) */
export function slopeOf(scale: Float32Array, variance: Float32Array, eps: number): Float64Array {
  const slope = new Float64Array(scale.length);
  for (let i = 0; i < slope.length; i++) slope[i] = scale[i]! / Math.sqrt(variance[i]! + eps);
  return slope;
}

function normaliseRun(
  x: Float32Array, mean: Float32Array, slope: Float64Array, offset: Float32Array, y: Float32Array,
  start: number, at: number, stride: number, length: number,
): void {
  const end = start + length;
  for (let i = start; i < end; i++) {
    y[i] = (x[i]! - mean[at]!) * slope[at]! + offset[at]!;
    at = (at + stride) | 0;
  }
}

function differentiateRun(
  x: Float32Array, dy: Float32Array, mean: Float32Array, slope: Float64Array, dx: Float32Array, total: Float64Array, dot: Float64Array,
  start: number, at: number, stride: number, length: number,
): void {
  const end = start + length;
  for (let i = start; i < end; i++) {
    dx[i] = dy[i]! * slope[at]!;
    total[at]! += dy[i]!;
    dot[at]! += dy[i]! * (x[i]! - mean[at]!);
    at = (at + stride) | 0;
  }
}

function differentiateWhole(
  eps: number, x: Float32Array, dy: Float32Array, mean: Float32Array, variance: Float32Array, scale: Float32Array,
  dx: Float32Array, byMean: Float32Array, byVariance: Float32Array, byScale: Float32Array,
): void {
  for (let i = 0; i < dx.length; i++) {
    const rstd = 1 / Math.sqrt(variance[i]! + eps), g = dy[i]!, xhat = (x[i]! - mean[i]!) * rstd, through = g * scale[i]! * rstd;
    dx[i] = through;
    byMean[i] = -through;
    byVariance[i] = -0.5 * through * xhat * rstd;
    byScale[i] = g * xhat;
  }
}
