/** tf.batchNorm on these kernels: the FusedBatchNorm kernel of the wasm and cpu backends, and its gradient. */
import type * as tfc from '@tensorflow/tfjs-core';
import { contiguous, elements } from '../runtime/shape.js';
import { type Call, newCall } from './call.js';
import { deviceOf } from './devices.js';
import { BACKENDS, differentiate, normaliseWith } from './register.js';

type Core = typeof tfc;
type Tensor = tfc.Tensor;

const FUSED = 'FusedBatchNorm';

/** Attributes as tf.batchNorm makes them anew for each call, and what the kernel leaves there for the gradient. */
interface Attributes {
  readonly varianceEpsilon: number;
  call?: Call;
  spread?: Spread;
  offsetShape?: readonly number[];
  /** Whether there is a scale. */
  scaled?: boolean;
}

interface Inputs {
  readonly x: tfc.TensorInfo;
  readonly mean: tfc.TensorInfo;
  readonly variance: tfc.TensorInfo;
  scale?: tfc.TensorInfo;
  offset?: tfc.TensorInfo;
}

const kernelFunc: tfc.KernelFunc = ({ inputs, attrs, backend }) =>
  fusedKernel(backend as tfc.KernelBackend, inputs as unknown as Inputs, attrs as unknown as Attributes);

/** Replaces the kernel of both backends. A backend imported later brings its own again. */
export function registerFusedKernels(tf: Core): void {
  for (const backendName of BACKENDS) {
    const present = tf.getKernel(FUSED, backendName);
    if (present?.kernelFunc === kernelFunc) continue;
    // Without this tfjs warns that there are two.
    if (present) tf.unregisterKernel(FUSED, backendName);
    tf.registerKernel({ kernelName: FUSED, backendName, kernelFunc });
  }
}

export function registerFusedGradient(tf: Core): void {
  const stock = tf.getGradient(FUSED);
  if (stock) tf.unregisterGradient(FUSED);
  tf.registerGradient({
    kernelName: FUSED,
    inputsToSave: ['x', 'mean', 'variance', 'scale'],
    gradFunc: (dy, saved, attributes) => {
      const fused = attributes as unknown as Attributes;
      // Another backend ran its own kernel.
      if (!fused.call && stock) return stock.gradFunc(dy, saved, attributes);
      return fusedGradient(tf, dy as Tensor, saved, fused);
    },
  });
}

function fusedKernel(backend: tfc.KernelBackend, inputs: Inputs, attributes: Attributes): tfc.TensorInfo {
  const { x, mean, variance, scale, offset } = inputs;
  const present = [mean, variance, scale, offset].filter((input) => input != null);
  const spread = spreadOf(x.shape, present.map(({ shape }) => shape));
  const { outer, channels, inner } = spread;
  const geometry = contiguous(outer, channels, inner);
  const call = newCall({ geometry, eps: attributes.varianceEpsilon, mode: 'running', mask: null, count: outer * inner });
  const device = deviceOf(backend);
  const source = (input: tfc.TensorInfo | null | undefined) => {
    if (input == null) return null;
    const values = device.locate(input);
    return () => expand(values(), input.shape, spread);
  };
  const [y] = normaliseWith(device, call, x, {
    gamma: source(scale), beta: source(offset), mean: source(mean), variance: source(variance),
  }, false);
  Object.assign(attributes, { call, spread, scaled: scale != null, offsetShape: offset?.shape });
  // tfjs records and saves inputs after this, and stumbles over those that are missing.
  if (scale == null) inputs.scale = mean;
  if (offset == null) delete inputs.offset;
  return y!;
}

function fusedGradient(
  tf: Core, dy: Tensor, [x, mean, variance, scale]: Tensor[], { call, spread, scaled, offsetShape }: Attributes,
): Record<string, () => Tensor> {
  const flat = (tensor: Tensor) => expandTensor(tf, tensor, spread!);
  const gradients = differentiate(tf, call!, [dy], {
    x: x!, mean: flat(mean!), variance: flat(variance!), gamma: scaled ? flat(scale!) : undefined,
  });
  const back = (gradient: Tensor, shape: readonly number[]) => () => reduceTensor(tf, gradient, shape, spread!);
  return {
    x: () => gradients.x,
    mean: back(gradients.mean, mean!.shape),
    variance: back(gradients.variance, variance!.shape),
    scale: scaled ? back(gradients.gamma, scale!.shape) : () => tf.zerosLike(scale!),
    ...(offsetShape && { offset: back(gradients.beta, offsetShape) }),
  };
}

/** The axes that parameters vary along, from the first to the last, together as channels. */
interface Spread {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
  /** The rank of x, and the first of the axes. */
  readonly rank: number;
  readonly from: number;
  /** Sizes of the axes. */
  readonly dimensions: readonly number[];
}

/** @throws where a shape does not spread over that of x. */
function spreadOf(x: readonly number[], shapes: readonly (readonly number[])[]): Spread {
  const rank = x.length;
  let from = rank, to = 0;
  for (const shape of shapes) {
    shape.forEach((size, i) => {
      const axis = rank - shape.length + i;
      if (size !== 1 && size !== x[axis]) {
        throw new Error(`Error in batchNorm: parameters of shape [${shape}] do not spread over x of shape [${x}].`);
      }
      if (size === 1) return;
      from = Math.min(from, axis);
      to = Math.max(to, axis + 1);
    });
  }
  const dimensions = x.slice(from, Math.max(from, to));
  return {
    rank, from, dimensions,
    outer: elements(x.slice(0, from)), channels: elements(dimensions), inner: elements(x.slice(Math.max(from, to))),
  };
}

/** Sizes of a parameter along the axes of a spread: 1 where it does not vary. */
function sizesAlong(shape: readonly number[], { rank, from, dimensions }: Spread): number[] {
  return dimensions.map((_, i) => shape[from + i - (rank - shape.length)] ?? 1);
}

/** A parameter as [channels]. */
function expand(values: Float32Array, shape: readonly number[], spread: Spread): Float32Array {
  if (values.length === spread.channels) return values;
  const sizes = sizesAlong(shape, spread), result = new Float32Array(spread.channels);
  for (let c = 0; c < result.length; c++) {
    let rest = c, index = 0, stride = 1;
    for (let i = sizes.length - 1; i >= 0; i--) {
      const dimension = spread.dimensions[i]!, place = rest % dimension;
      rest = (rest - place) / dimension;
      if (sizes[i] !== 1) index += place * stride;
      stride *= sizes[i]!;
    }
    result[c] = values[index]!;
  }
  return result;
}

/** The same with operations, for gradients of gradients. */
function expandTensor(tf: Core, tensor: Tensor, spread: Spread): Tensor {
  const { channels, dimensions } = spread;
  if (tensor.size === channels) return tf.reshape(tensor, [channels]);
  const sizes = sizesAlong(tensor.shape, spread);
  return tf.reshape(tf.tile(tf.reshape(tensor, sizes), dimensions.map((size, i) => (sizes[i] === 1 ? size : 1))), [channels]);
}

/** The gradient by a parameter from that by [channels]: summed where it was spread. */
function reduceTensor(tf: Core, gradient: Tensor, shape: readonly number[], spread: Spread): Tensor {
  if (elements(shape) === spread.channels) return tf.reshape(gradient, [...shape]);
  const sizes = sizesAlong(shape, spread);
  const summed = sizes.map((size, i) => ({ size, i })).filter(({ size, i }) => size === 1 && spread.dimensions[i] !== 1);
  const cube = tf.reshape(gradient, [...spread.dimensions]);
  return tf.reshape(tf.sum(cube, summed.map(({ i }) => i)), [...shape]);
}
