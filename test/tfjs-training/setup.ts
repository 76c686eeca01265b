/** Convolutions by their definition in f64, and what f32 may differ from it. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { registerTrainingKernels } from '../../src/tfjs-training/index.js';
import { normal, sizeOf } from '../setup.js';
import { tf } from '../tfjs/setup.js';
import { U } from '../tolerances.js';

export { tf };

/** Must be awaited before any tensor is created. Registers before the backend starts, which then has to prepare its own kernels. */
export async function startTraining(): Promise<void> {
  registerTrainingKernels(tf);
  await tf.setBackend('wasm');
}

/** A convolution: its shapes, and where its window is. */
export interface Case {
  readonly x: readonly number[];
  /** [height, width, channels, outputs], or the multiplier for the last of a depthwise convolution. */
  readonly filter: readonly number[];
  readonly depthwise?: boolean;
  readonly strides?: number | [number, number];
  readonly pad?: 'same' | 'valid' | number | [[number, number], [number, number], [number, number], [number, number]];
  readonly dilations?: number | [number, number];
}

export function convolve({ depthwise = false, strides = 1, pad = 'same', dilations = 1 }: Case, x: Tensor, filter: Tensor): Tensor {
  return (depthwise ? tf.depthwiseConv2d : tf.conv2d)(x as never, filter as never, strides, pad as never, 'NHWC', dilations);
}

export interface Gradients {
  readonly dx: number[];
  readonly dfilter: number[];
}

/** Both gradients by the definition. @param output - the shape of dy */
export function definition(
  { x: shape, filter: filterShape, depthwise = false, strides = 1, pad = 'same', dilations = 1 }: Case, output: readonly number[],
  x: readonly number[], filter: readonly number[], dy: readonly number[],
): Gradients {
  const [samples, , , channels] = shape as [number, number, number, number], [height, width, , last] = filterShape as [number, number, number, number];
  const info = tf.backend_util.computeConv2DInfo(shape as never, filterShape as never, strides, dilations, pad, undefined, depthwise);
  const dx = new Array<number>(x.length).fill(0), dfilter = new Array<number>(filter.length).fill(0);
  const [, rows, columns, outputs] = output as [number, number, number, number];
  for (let n = 0; n < samples; n++) for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) for (let o = 0; o < outputs; o++) {
    const gradient = dy[((n * rows + i) * columns + j) * outputs + o]!;
    for (let k = 0; k < height; k++) for (let l = 0; l < width; l++) {
      const row = i * info.strideHeight + k * info.dilationHeight - info.padInfo.top;
      const column = j * info.strideWidth + l * info.dilationWidth - info.padInfo.left;
      if (row < 0 || row >= info.inHeight || column < 0 || column >= info.inWidth) continue;
      for (let c = depthwise ? Math.floor(o / last) : 0; c < (depthwise ? Math.floor(o / last) + 1 : channels); c++) {
        const input = ((n * info.inHeight + row) * info.inWidth + column) * channels + c;
        const tap = ((k * width + l) * channels + c) * last + (depthwise ? o % last : o);
        dx[input]! += gradient * filter[tap]!;
        dfilter[tap]! += gradient * x[input]!;
      }
    }
  }
  return { dx, dfilter };
}

/** How far both gradients are from the definition, in units of what n additions and products may round: (n + 2) u sum |a b|. */
export function errors(given: Case): { dx: number; dfilter: number } {
  const [x, filter] = [normal(sizeOf(given.x), 1), normal(sizeOf(given.filter), 2)];
  const tensors = [tf.tensor(x, [...given.x]), tf.tensor(filter, [...given.filter])];
  const output = convolve(given, tensors[0]!, tensors[1]!).shape, dy = normal(sizeOf(output), 3);
  const [dx, dfilter] = tf.grads((x, filter) => convolve(given, x!, filter!))(tensors, tf.tensor(dy, output));
  const expected = definition(given, output, x, filter, dy);
  const magnitude = definition(given, output, x.map(Math.abs), filter.map(Math.abs), dy.map(Math.abs));
  const [height = 0, width = 0] = given.filter, perInput = height * width * output[3]!, perTap = output[0]! * output[1]! * output[2]!;
  return {
    dx: worst(dx!, expected.dx, magnitude.dx, perInput),
    dfilter: worst(dfilter!, expected.dfilter, magnitude.dfilter, perTap),
  };
}

/** Infinite for a value where nothing has been added up and that is not 0. */
function worst(actual: Tensor, expected: readonly number[], magnitude: readonly number[], terms: number): number {
  const values = actual.dataSync();
  if (values.length !== expected.length) throw new RangeError(`expected ${expected.length} values, got ${values.length}`);
  const unit = (terms + 2) * U.float32;
  return expected.reduce((most, value, i) => {
    const difference = Math.abs(values[i]! - value);
    return Math.max(most, difference === 0 ? 0 : difference / (unit * magnitude[i]!));
  }, 0);
}
