/**
 * The same arithmetic composed of tfjs operations: where a backend has no kernels of this package, where a mask differs
 * from channel to channel, and where gradients are differentiated again. tfjs differentiates it to any order.
 */
import type * as tfc from '@tensorflow/tfjs-core';
import type { Geometry } from '../runtime/kernels.js';
import type { Call } from './call.js';

type Tensor = tfc.Tensor;
type Core = typeof tfc;

/** Everything that enters a forward. [channels] each but x. */
export interface Inputs {
  readonly x: Tensor;
  readonly gamma?: Tensor | undefined;
  readonly beta?: Tensor | undefined;
  readonly mean?: Tensor | undefined;
  readonly variance?: Tensor | undefined;
}

const AXES = [0, 2];

/** [outer, channels, inner] */
function cube(tf: Core, x: Tensor, { outer, channels, inner }: Geometry): Tensor {
  return tf.reshape(x, [outer, channels, inner]);
}

/** [channels] as what spreads over a cube. */
function spread(tf: Core, vector: Tensor): Tensor {
  return tf.reshape(vector, [1, vector.size, 1]);
}

/** Weights of a mask: [outer, 1, inner], 1 where a position counts. */
export function weightsOf(tf: Core, mask: Uint8Array | null, { outer, inner }: Geometry): Tensor | null {
  return mask && tf.tensor3d(Float32Array.from(mask, (value) => (value === 0 ? 0 : 1)), [outer, 1, inner], 'float32');
}

interface Centred {
  /** x - mean */
  readonly deviation: Tensor;
  readonly mean: Tensor;
  readonly variance: Tensor;
  /** Values that the statistics are of: a number, or one of each channel. */
  readonly count: Tensor;
}

/** Mean and biased variance of each channel, in two sweeps. */
function centre(tf: Core, x: Tensor, weights: Tensor | null, { outer, inner }: Geometry): Centred {
  const weigh = (values: Tensor) => (weights === null ? values : tf.mul(values, weights));
  const count = weights === null
    ? tf.scalar(Math.max(outer * inner, 1))
    : tf.maximum(tf.mul(tf.sum(weights, AXES, true), (outer * inner * weights.shape[1]!) / weights.size), 1);
  const mean = tf.div(tf.sum(weigh(x), AXES, true), count), deviation = tf.sub(x, mean);
  const variance = tf.div(tf.sum(weigh(tf.square(deviation)), AXES, true), count);
  return { deviation, mean, variance, count };
}

/** y of the shape of x, mean and variance of [channels]. `weights` spread over the cube; null: all values count. */
export function normalise(
  tf: Core, { x, gamma, beta, mean, variance }: Inputs, geometry: Geometry, eps: number, weights: Tensor | null,
): { y: Tensor; mean: Tensor; variance: Tensor } {
  const values = cube(tf, x, geometry), { channels } = geometry;
  const given = mean && variance && { mean: spread(tf, mean), variance: spread(tf, variance) };
  const used = given ? { ...given, deviation: tf.sub(values, given.mean) } : centre(tf, values, weights, geometry);
  let y = tf.mul(used.deviation, tf.rsqrt(tf.add(used.variance, eps)));
  if (gamma) y = tf.mul(y, spread(tf, gamma));
  if (beta) y = tf.add(y, spread(tf, beta));
  return { y: tf.reshape(y, x.shape), mean: tf.reshape(used.mean, [channels]), variance: tf.reshape(used.variance, [channels]) };
}

/** Gradients by everything that enters a forward. */
export interface InputGradients {
  readonly x: Tensor;
  readonly gamma: Tensor;
  readonly beta: Tensor;
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/** Section 3 of the paper; in mode 'batch' with what comes back through the statistics that were given out. */
export function gradients(
  tf: Core, call: Call, dy: Tensor, dmean: Tensor | undefined, dvariance: Tensor | undefined, inputs: Inputs,
): InputGradients {
  const { geometry, eps, mask, mode } = call;
  const { channels } = geometry, vector = (values: Tensor) => tf.reshape(values, [channels]);
  const x = cube(tf, inputs.x, geometry), g = cube(tf, dy, geometry);
  const weights = weightsOf(tf, mask?.bytes ?? null, geometry);
  const { deviation, mean, variance, count } = mode === 'batch'
    ? centre(tf, x, weights, geometry)
    : given(tf, x, inputs.mean!, inputs.variance!);
  const rstd = tf.rsqrt(tf.add(variance, eps)), xhat = tf.mul(deviation, rstd);
  const slope = inputs.gamma ? tf.mul(rstd, spread(tf, inputs.gamma)) : rstd;
  const total = tf.sum(g, AXES, true), dot = tf.sum(tf.mul(g, xhat), AXES, true);
  let dx = tf.mul(g, slope);
  if (mode === 'batch') {
    const byMean = tf.sub(spread(tf, dmean!), tf.mul(slope, total));
    const byVariance = tf.sub(tf.mul(deviation, tf.mul(spread(tf, dvariance!), 2)), tf.mul(xhat, tf.mul(slope, dot)));
    const through = tf.div(tf.add(byVariance, byMean), count);
    dx = tf.add(dx, weights === null ? through : tf.mul(through, weights));
  }
  return {
    x: tf.reshape(dx, inputs.x.shape), gamma: vector(dot), beta: vector(total),
    mean: mode === 'batch' ? vector(tf.zerosLike(mean)) : vector(tf.neg(tf.mul(slope, total))),
    variance: mode === 'batch' ? vector(tf.zerosLike(mean)) : vector(tf.mul(tf.mul(tf.mul(slope, rstd), dot), -0.5)),
  };
}

function given(tf: Core, x: Tensor, mean: Tensor, variance: Tensor): Centred {
  const spreadMean = spread(tf, mean);
  return { deviation: tf.sub(x, spreadMean), mean: spreadMean, variance: spread(tf, variance), count: tf.scalar(1) };
}

/**
 * Gradients of tf.batchNorm, whose parameters spread over x: by x, and by mean, variance, scale and offset.
 *
 * @param shapes - of these four; without one there is no gradient by it
 */
export function spreadGradients(
  tf: Core, eps: number, dy: Tensor, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor | null,
  shapes: readonly (readonly number[] | undefined)[],
): Tensor[] {
  const rstd = tf.rsqrt(tf.add(variance, eps)), xhat = tf.mul(tf.sub(x, mean), rstd);
  const through = tf.mul(scale ? tf.mul(dy, scale) : dy, rstd);
  const byVariance = tf.mul(tf.mul(tf.mul(through, xhat), rstd), -0.5);
  const whole = [tf.neg(through), byVariance, tf.mul(dy, xhat), dy];
  return [through, ...whole.map((gradient, p) => (shapes[p] ? sumTo(tf, gradient, shapes[p]) : gradient))];
}

/** Sums over the axes that a shape spreads over. */
function sumTo(tf: Core, gradient: Tensor, shape: readonly number[]): Tensor {
  const { rank } = gradient, axes = gradient.shape.flatMap((_, axis) => ((shape[axis - rank + shape.length] ?? 1) === 1 ? [axis] : []));
  return tf.reshape(tf.sum(gradient, axes), [...shape]);
}
