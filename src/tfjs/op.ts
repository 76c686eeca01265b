/** The differentiable operation: checks, and which kernels or operations compute it. */
import type * as tfc from '@tensorflow/tfjs-core';
import { describe } from '../checks.js';
import { countValid } from '../passes/mask.js';
import type { Geometry } from '../runtime/kernels.js';
import { contiguous, elements } from '../runtime/shape.js';
import { newCall } from './call.js';
import { type Inputs, normalise, weightsOf } from './composed.js';
import type { OwnMask } from './context.js';
import { spreadMask } from './masks.js';
import { isFast, runForward, runMoving } from './register.js';

type Core = typeof tfc;
type Tensor = tfc.Tensor;

/** Options of `batchNorm`. */
export interface BatchNormOptions {
  /** The axis of the channels; negative: from the end. Default -1. */
  axis?: number;
  /** [C], or of the rank of x with C on the axis and 1 elsewhere; as are the next three. Default: 1. */
  gamma?: Tensor;
  /** Default: 0. */
  beta?: Tensor;
  /** Added to the variance inside the root; default 1e-3. */
  eps?: number;
  /** Statistics to normalise with; default: those of the batch. Both or none. */
  mean?: Tensor;
  variance?: Tensor;
}

/** What `batchNorm` returns; differentiable, all three. */
export interface BatchNormResult {
  /** Of the shape of x. */
  y: Tensor;
  /** [C], those that normalised. */
  mean: Tensor;
  /** [C], biased. */
  variance: Tensor;
}

/** Further options, for the layer. */
export interface LayerOptions extends BatchNormOptions {
  /** What counts for the statistics: see `spreadMask`. Keras normalises all the same. One that nobody gave may be of another shape. */
  mask?: OwnMask;
}

/** A result, and how moving statistics follow it; the latter is null where statistics were given or there are none. */
export interface Normalised extends BatchNormResult {
  readonly moving: ((momentum: number, mean: Tensor, variance: Tensor) => readonly [Tensor, Tensor]) | null;
}

const KEYS = ['axis', 'gamma', 'beta', 'eps', 'mean', 'variance'];

/** `batchNorm` as users call it. */
export function batchNorm(tf: Core, x: Tensor, options: BatchNormOptions = {}): BatchNormResult {
  return tf.tidy('batchNorm', () => {
    const fail = failure('Error in batchNorm:');
    if (typeof options !== 'object' || options === null) fail(`options must be an object, but got ${describe(options)}`);
    for (const key of Object.keys(options)) if (!KEYS.includes(key)) fail(`options are ${KEYS.join(', ')}, but got '${key}'`);
    const { y, mean, variance } = normaliseTensor(tf, x, options, fail);
    return { y, mean, variance };
  });
}

/** Throws an error of the kind that tfjs throws, naming what was called. */
export type Fail = (message: string) => never;

export function failure(prefix: string): Fail {
  return (message) => { throw new Error(`${prefix} ${message}.`); };
}

/** @param fail - throws, naming the layer or operation */
export function normaliseTensor(tf: Core, input: Tensor, options: LayerOptions, fail: Fail): Normalised {
  const { eps = 1e-3 } = options;
  const x = float(tf, tensorOf(tf, 'x', input, fail));
  const geometry = geometryOn(x.shape, options.axis ?? -1, fail);
  if (typeof eps !== 'number' || !(eps >= 0 && eps < Number.POSITIVE_INFINITY)) {
    fail(`eps must be a finite number of 0 or more, but got ${describe(eps)}`);
  }
  if ((options.mean == null) !== (options.variance == null)) fail('mean and variance must be given together');
  const vector = (name: 'gamma' | 'beta' | 'mean' | 'variance') => vectorOf(tf, name, options[name], x, geometry, options.axis ?? -1, fail);
  const inputs = { x, gamma: vector('gamma'), beta: vector('beta'), mean: vector('mean'), variance: vector('variance') };
  const mask = options.mask ? fittingMask(tf, options.mask, x.shape, geometry, options.axis ?? -1, fail) : null;
  if (mask instanceof tf.Tensor || !isFast(tf)) {
    const weights = mask instanceof tf.Tensor ? mask : weightsOf(tf, mask, geometry);
    const count = mask instanceof Uint8Array ? countValid(mask) : geometry.outer * geometry.inner;
    return withOperations(tf, inputs, geometry, eps, weights, count);
  }
  return withKernels(tf, inputs, geometry, eps, mask);
}

function withKernels(tf: Core, inputs: Inputs, geometry: Geometry, eps: number, mask: Uint8Array | null): Normalised {
  const count = mask === null ? geometry.outer * geometry.inner : countValid(mask);
  const mode = inputs.mean ? 'running' : 'batch';
  const call = newCall({ geometry, eps, mode, mask: mask && { bytes: mask, total: count }, count });
  const [y, mean, variance] = runForward(tf, call, inputs);
  if (mode === 'running') return { y: y!, mean: tf.clone(inputs.mean!), variance: tf.clone(inputs.variance!), moving: null };
  const moving = (momentum: number, mean: Tensor, variance: Tensor) => runMoving(tf, call, momentum, mean, variance);
  return { y: y!, mean: mean!, variance: variance!, moving: count > 0 ? moving : null };
}

function withOperations(
  tf: Core, inputs: Inputs, geometry: Geometry, eps: number, weights: Tensor | null, count: number,
): Normalised {
  const { y, mean, variance } = normalise(tf, inputs, geometry, eps, weights);
  const follow = (momentum: number, old: Tensor, batch: Tensor) => tf.add(tf.mul(old, momentum), tf.mul(batch, 1 - momentum));
  const moving = (momentum: number, oldMean: Tensor, oldVariance: Tensor) =>
    [follow(momentum, oldMean, mean), follow(momentum, oldVariance, variance)] as const;
  return { y, mean, variance, moving: count > 0 && !inputs.mean ? moving : null };
}

function tensorOf(tf: Core, name: string, value: unknown, fail: Fail): Tensor {
  if (value instanceof tf.Tensor) {
    if (value.dtype === 'string' || value.dtype === 'complex64') {
      fail(`Argument '${name}' passed to 'batchNorm' must be numeric tensor, but got ${value.dtype} tensor`);
    }
    return value;
  }
  if (typeof value === 'number' || Array.isArray(value) || ArrayBuffer.isView(value)) return tf.tensor(value as number[]);
  return fail(`Argument '${name}' passed to 'batchNorm' must be a Tensor or TensorLike, but got '${describe(value)}'`);
}

function float(tf: Core, tensor: Tensor): Tensor {
  return tensor.dtype === 'float32' ? tensor : tf.cast(tensor, 'float32');
}

function geometryOn(shape: readonly number[], axis: number, fail: Fail): Geometry {
  const rank = shape.length;
  if (rank < 1) fail('x must be of rank 1 or more, but got a scalar');
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    fail(`axis must be an integer in [${-rank}, ${rank}) for x of shape [${shape}], but got ${describe(axis)}`);
  }
  const at = axis < 0 ? axis + rank : axis, channels = shape[at]!;
  const outer = elements(shape.slice(0, at)), inner = elements(shape.slice(at + 1));
  return contiguous(outer, channels, inner);
}

/** A parameter as [C] float32. */
function vectorOf(
  tf: Core, name: string, value: Tensor | null | undefined, x: Tensor, { channels }: Geometry, axis: number, fail: Fail,
): Tensor | undefined {
  if (value == null) return undefined;
  const tensor = float(tf, tensorOf(tf, name, value, fail)), { shape } = tensor;
  const at = axis < 0 ? axis + x.rank : axis;
  const kept = shape.length === x.rank && shape.every((size, i) => size === (i === at ? channels : 1));
  if (!kept && (shape.length !== 1 || shape[0] !== channels)) {
    fail(`${name} must be of shape [${channels}] for x of shape [${x.shape}] and axis ${axis}, but got shape [${shape}]`);
  }
  return shape.length === 1 ? tensor : tf.reshape(tensor, [channels]);
}

/** A mask as `spreadMask` has it; null if there is none for this shape. */
function fittingMask(
  tf: Core, { mask, explicit }: OwnMask, shape: readonly number[], geometry: Geometry, axis: number, fail: Fail,
): Uint8Array | Tensor | null {
  if (mask === null) return null;
  const at = axis < 0 ? axis + shape.length : axis, found = spreadMask(tf, mask, shape, geometry, at);
  if (found === null && explicit) {
    const positions = shape.filter((_, i) => i !== at);
    fail(`mask must be of shape [${positions}], or of its first axes, for x of shape [${shape}], but got shape [${mask.shape}]`);
  }
  return found;
}
