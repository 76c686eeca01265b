/** Where the window of a convolution or of pooling reads, along one axis. */
import type * as tfc from '@tensorflow/tfjs-core';

/** One axis of a window: output o reads input `o * stride + k * dilation - before` at tap k, and 0 outside of the input. */
export interface Axis {
  readonly inputs: number;
  readonly outputs: number;
  readonly taps: number;
  readonly stride: number;
  readonly dilation: number;
  /** The padding before the first input. */
  readonly before: number;
}

/** Rows and columns. */
export type Window = readonly [Axis, Axis];

/** What kernels of tfjs are told about a window. */
export interface WindowAttributes {
  readonly strides: number | [number, number];
  readonly pad: Parameters<typeof tfc.conv2d>[3];
  /** null as layers of tfjs have it. */
  readonly dilations?: number | [number, number] | null;
}

type Sides = [number, number];

/** @param outputShape - of dy [N, H, W, C]: it follows the rounding of the forward, of which gradients of tfjs are not told */
export function windowOf(
  tf: typeof tfc, inputShape: readonly number[], outputShape: readonly number[], filterSize: readonly number[],
  { strides, pad, dilations }: WindowAttributes,
): Window {
  const [height, width] = filterSize as Sides;
  const info = tf.backend_util.computeConv2DInfo(inputShape as never, [height, width, 1, 1], strides, dilations ?? 1, pad);
  return [
    {
      inputs: info.inHeight, outputs: outputShape[1]!, taps: height,
      stride: info.strideHeight, dilation: info.dilationHeight, before: info.padInfo.top,
    }, {
      inputs: info.inWidth, outputs: outputShape[2]!, taps: width,
      stride: info.strideWidth, dilation: info.dilationWidth, before: info.padInfo.left,
    },
  ];
}

export function isDilated(dilations: WindowAttributes['dilations']): boolean {
  return [dilations ?? 1].flat().some((dilation) => dilation !== 1);
}

/** A number for each of both axes, as operations take strides and dilations. */
export function both(window: Window, number: (axis: Axis) => number): Sides {
  return [number(window[0]), number(window[1])];
}

/**
 * Paddings for an operation, in place of which x [N, H, W, C] is cut where they are negative.
 *
 * @param padding - before and after an axis
 */
export function framed(
  tf: typeof tfc, x: tfc.Tensor4D, window: Window, padding: (axis: Axis) => Sides,
): { x: tfc.Tensor4D; pad: tfc.backend_util.ExplicitPadding } {
  const [[top, bottom], [left, right]] = [padding(window[0]), padding(window[1])];
  const cut = (side: number) => Math.max(0, -side), filled = (side: number) => Math.max(0, side);
  const pad: tfc.backend_util.ExplicitPadding = [[0, 0], [filled(top), filled(bottom)], [filled(left), filled(right)], [0, 0]];
  if (Math.min(top, bottom, left, right) >= 0) return { x, pad };
  const [batch, height, width, channels] = x.shape;
  const size: [number, number, number, number] = [batch, height - cut(top) - cut(bottom), width - cut(left) - cut(right), channels];
  return { x: tf.slice4d(x, [0, cut(top), cut(left), 0], size), pad };
}

/** dy [N, H, W, C] with stride - 1 zeros between its rows and its columns. */
export function spread(tf: typeof tfc, dy: tfc.Tensor4D, window: Window): tfc.Tensor4D {
  const [rows, columns] = both(window, ({ stride }) => stride);
  if (rows === 1 && columns === 1) return dy;
  const [batch, height, width, channels] = dy.shape, row = width * columns * channels;
  // Zeros after each pixel and after each row, in two pads of few axes: 3 times as fast as by concatenation.
  const wide = tf.pad3d(tf.reshape(dy, [batch * height, width, channels]), [[0, 0], [0, 0], [0, (columns - 1) * channels]]);
  const high = tf.pad2d(tf.reshape(wide, [batch * height, row]), [[0, 0], [0, (rows - 1) * row]]);
  return tf.slice4d(tf.reshape(high, [batch, height * rows, width * columns, channels]), [0, 0, 0, 0],
    [batch, (height - 1) * rows + 1, (width - 1) * columns + 1, channels]);
}

/** A filter [height, width, ...] turned by 180 degrees, as [height * width, rest]. */
export function turned(tf: typeof tfc, filter: tfc.Tensor4D): tfc.Tensor2D {
  const [height, width, channels, outputs] = filter.shape, taps = height * width, rest = channels * outputs;
  const flat = tf.reshape(filter, [taps, rest]) as tfc.Tensor2D;
  if (taps === 1) return flat;
  // tf.reverse takes 10 ms for [3, 3, 256, 256] on the wasm backend, moving rows takes 0.4 ms.
  const places = tf.tensor2d(Int32Array.from({ length: taps }, (_, tap) => taps - 1 - tap), [taps, 1], 'int32');
  return tf.scatterND(places, flat, [taps, rest]) as tfc.Tensor2D;
}
