/** Gradients of a depthwise convolution, each of which is a depthwise convolution too. NHWC. */
import type * as tfc from '@tensorflow/tfjs-core';
import { aroundSpread } from './convolution.js';
import { both, framed, turned, type Window } from './window.js';

type Core = typeof tfc;
type Tensor4D = tfc.Tensor4D;

/** Values of dy at a time: the backend packs them as weights, which takes 8 times their memory. */
const BLOCK = 2 ** 22;

/**
 * dfilter [H, W, C, M] of x [N, ., ., C] and dy [N, ., ., C * M]: x convolved with dy, each sample in channels of its own, with
 * stride and dilation exchanged; then summed over the samples.
 */
export function filterGradient(tf: Core, x: Tensor4D, dy: Tensor4D, window: Window): Tensor4D {
  const samples = x.shape[0], atOnce = Math.max(1, Math.floor((BLOCK * samples) / dy.size));
  if (atOnce >= samples) return ofBlock(tf, x, dy, window);
  const blocks: Tensor4D[] = [];
  for (let start = 0; start < samples; start += atOnce) {
    const rows = (tensor: Tensor4D) => tf.slice(tensor, start, Math.min(atOnce, samples - start));
    blocks.push(tf.tidy(() => ofBlock(tf, rows(x), rows(dy), window)));
  }
  return tf.addN(blocks);
}

function ofBlock(tf: Core, x: Tensor4D, dy: Tensor4D, window: Window): Tensor4D {
  const { x: image, pad } = framed(tf, x, window, ({ inputs, outputs, taps, stride, dilation, before }) =>
    [before, (outputs - 1) * stride + (taps - 1) * dilation + 1 - inputs - before]);
  const [samples, height, width, channels] = image.shape, [, high, wide, outputs] = dy.shape, multiplier = outputs / channels;
  const [rows, columns] = window, strides = both(window, ({ dilation }) => dilation), dilations = both(window, ({ stride }) => stride);
  const gradient = tf.depthwiseConv2d(
    tf.reshape(tf.transpose(image, [1, 2, 0, 3]), [1, height, width, samples * channels]) as Tensor4D,
    tf.reshape(tf.transpose(dy, [1, 2, 0, 3]), [high, wide, samples * channels, multiplier]) as Tensor4D,
    strides, pad, 'NHWC', dilations) as Tensor4D;
  const taps = tf.slice4d(gradient, [0, 0, 0, 0], [1, rows.taps, columns.taps, samples * outputs]);
  const summed = tf.sum(tf.reshape(taps, [rows.taps * columns.taps, samples, outputs]), 1);
  return tf.reshape(summed, [rows.taps, columns.taps, channels, multiplier]);
}

/** dx [N, ., ., C] of dy [N, ., ., C * M] and a filter [H, W, C, M]: as of a convolution, then summed over the multiplier. */
export function inputGradient(tf: Core, dy: Tensor4D, filter: Tensor4D, window: Window): Tensor4D {
  const [height, width, channels, multiplier] = filter.shape, outputs = channels * multiplier;
  const { x: image, pad } = aroundSpread(tf, dy, window);
  const gradient = tf.depthwiseConv2d(
    image, tf.reshape(turned(tf, filter), [height, width, outputs, 1]) as Tensor4D, 1, pad, 'NHWC',
    both(window, ({ dilation }) => dilation)) as Tensor4D;
  if (multiplier === 1) return gradient;
  const [samples, high, wide] = gradient.shape;
  return tf.reshape(tf.sum(tf.reshape(gradient, [gradient.size / multiplier, multiplier]), 1), [samples, high, wide, channels]);
}
