/** What a training step needs of the wasm backend, as kernels of tfjs. They are made of operations of the same backend. */
import type * as tfc from '@tensorflow/tfjs-core';
import * as convolution from './convolution.js';
import * as depthwise from './depthwise.js';
import { maxPoolGradient } from './pooling.js';
import { type WindowAttributes, windowOf } from './window.js';

type Core = typeof tfc;
type Tensor = tfc.Tensor;
type Tensor4D = tfc.Tensor4D;

/** A kernel: its inputs by name, which are tensors, and its attributes. */
export type Kernel = (tf: Core, inputs: Record<string, Tensor>, attributes: never) => Tensor;

interface FilterAttributes extends WindowAttributes {
  readonly filterShape: number[];
  readonly dataFormat?: 'NHWC' | 'NCHW';
}

interface InputAttributes extends WindowAttributes {
  readonly inputShape: number[];
  readonly dataFormat?: 'NHWC' | 'NCHW';
}

/** Kernels that the backend lacks. */
export const MISSING: Record<string, Kernel> = {
  Conv2DBackpropFilter: convolutionFilter,
  DepthwiseConv2dNativeBackpropFilter: depthwiseFilter,
  DepthwiseConv2dNativeBackpropInput: depthwiseInput,
  UnsortedSegmentSum: segmentSum,
};

/** Kernels that the backend has, and that are wrong (max pooling) or take ten times as long as operations that do the same. */
export const REPLACED: Record<string, Kernel> = {
  MaxPoolGrad: maxPool,
  Conv2DBackpropInput: convolutionInput,
};

function convolutionFilter(tf: Core, { x, dy }: Record<string, Tensor>, attributes: FilterAttributes): Tensor {
  const image = channelsLast(tf, x!, attributes), gradient = channelsLast(tf, dy!, attributes);
  return convolution.filterGradient(tf, image, gradient, windowOf(tf, image.shape, gradient.shape, attributes.filterShape, attributes));
}

function convolutionInput(tf: Core, { dy, filter }: Record<string, Tensor>, attributes: InputAttributes): Tensor {
  const first = attributes.dataFormat === 'NCHW', shape = attributes.inputShape;
  const inputShape = first ? [0, 2, 3, 1].map((axis) => shape[axis]!) : shape;
  const gradient = channelsLast(tf, dy!, attributes);
  const dx = convolution.inputGradient(
    tf, gradient, filter as Tensor4D, windowOf(tf, inputShape, gradient.shape, filter!.shape, attributes));
  return first ? tf.transpose(dx, [0, 3, 1, 2]) : dx;
}

function depthwiseFilter(tf: Core, { x, dy }: Record<string, Tensor>, attributes: FilterAttributes): Tensor {
  return depthwise.filterGradient(tf, x as Tensor4D, dy as Tensor4D, windowOf(tf, x!.shape, dy!.shape, attributes.filterShape, attributes));
}

function depthwiseInput(tf: Core, { dy, filter }: Record<string, Tensor>, attributes: InputAttributes): Tensor {
  const window = windowOf(tf, attributes.inputShape, dy!.shape, filter!.shape, attributes);
  return depthwise.inputGradient(tf, dy as Tensor4D, filter as Tensor4D, window);
}

function maxPool(
  tf: Core, { dy, input }: Record<string, Tensor>, attributes: WindowAttributes & { readonly filterSize: number | [number, number] },
): Tensor {
  const { filterSize, strides, pad } = attributes, size = typeof filterSize === 'number' ? [filterSize, filterSize] : filterSize;
  const window = windowOf(tf, input!.shape, dy!.shape, size, { strides, pad });
  return tf.tensor(maxPoolGradient(input!.dataSync<'float32'>(), dy!.dataSync<'float32'>(), input!.shape, window), input!.shape);
}

/** Rows of x added by segment; those of a segment that there is not are left out. Gradient of tf.gather, as in an embedding. */
function segmentSum(
  tf: Core, { x, segmentIds }: Record<string, Tensor>, { numSegments }: { readonly numSegments: number },
): Tensor {
  const [rows = 0, ...rest] = x!.shape, spare = numSegments;
  const ids = segmentIds!.dataSync<'int32'>().map((id) => (id >= 0 && id < numSegments ? id : spare));
  const sums = tf.scatterND(tf.tensor2d(ids, [rows, 1], 'int32'), x!, [numSegments + 1, ...rest]);
  return tf.slice(sums, 0, numSegments);
}

function channelsLast(tf: Core, x: Tensor, { dataFormat }: { readonly dataFormat?: 'NHWC' | 'NCHW' }): Tensor4D {
  return (dataFormat === 'NCHW' ? tf.transpose(x, [0, 2, 3, 1]) : x) as Tensor4D;
}
