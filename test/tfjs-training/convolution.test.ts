import type { Tensor } from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { distance, normal, sizeOf } from '../setup.js';
import { type Case, errors, startTraining, tf } from './setup.js';

beforeAll(startTraining);
beforeEach(() => { tf.engine().startScope(); });
afterEach(() => { tf.engine().endScope(); });

const STRIDES = [1, 2, 3, [2, 1], [1, 3]] as const;
const PADS = ['same', 'valid', 1, 2, [[0, 0], [1, 2], [0, 1], [0, 0]], [[0, 0], [4, 0], [3, 5], [0, 0]]] as const;
const DILATIONS = [2, 3, [1, 2], [3, 2]] as const;
const SIZES = [[1, 1], [2, 2], [3, 3], [1, 3], [4, 2], [5, 5]] as const;

/**
 * Where the padding is one number, tfjs counts columns by the height of the filter and the stride of the rows, and its wasm backend
 * writes elsewhere in its memory if that is wrong: only square ones have a forward.
 */
const fits = (pad: unknown, [height, width]: readonly number[], step: unknown) =>
  typeof pad !== 'number' || height === width && typeof step === 'number';

function grid(step: 'strides' | 'dilations', steps: readonly unknown[], x: readonly number[], last: number, depthwise = false): Case[] {
  return SIZES.flatMap((size) => steps.flatMap((each) => PADS.filter((pad) => fits(pad, size, each)).map((pad) =>
    ({ x, filter: [...size, x[3]!, last], depthwise, [step]: each, pad }) as unknown as Case)));
}

const name = ({ filter, strides = 1, pad = 'same', dilations = 1 }: Case) =>
  `${filter.join('x')}, stride ${strides}, padding ${JSON.stringify(pad)}, dilation ${dilations}`;

function expectRight(cases: readonly Case[]): void {
  for (const given of cases) {
    const { dx, dfilter } = errors(given);
    expect(dx, `dx of ${name(given)}`).toBeLessThanOrEqual(1);
    expect(dfilter, `dfilter of ${name(given)}`).toBeLessThanOrEqual(1);
  }
}

describe('gradients of tf.conv2d', () => {
  it('are right for every filter, stride and padding', () => { expectRight(grid('strides', STRIDES, [2, 7, 9, 3], 4)); });

  it('are right for one sample, channel, output and pixel', () => {
    expectRight([
      { x: [1, 7, 9, 3], filter: [3, 3, 3, 4] }, { x: [2, 7, 9, 1], filter: [3, 3, 1, 1], strides: 2 },
      { x: [3, 1, 1, 5], filter: [1, 1, 5, 2] }, { x: [3, 1, 1, 5], filter: [3, 3, 5, 2] },
      { x: [2, 1, 1, 2], filter: [1, 1, 2, 3], pad: [[0, 0], [2, 3], [1, 1], [0, 0]] },
      { x: [17, 8, 8, 9], filter: [3, 3, 9, 19] },
    ]);
  });

  it('are right for every dilation', () => { expectRight(grid('dilations', DILATIONS, [2, 17, 18, 3], 4)); });
});

describe('gradients of tf.depthwiseConv2d', () => {
  it.each([1, 2, 3])('are right for every filter, stride and padding, with a multiplier of %i', (multiplier) => {
    expectRight(grid('strides', STRIDES, [2, 7, 9, 3], multiplier, true));
  });

  it('are right for every dilation', () => { expectRight(grid('dilations', DILATIONS, [2, 17, 18, 3], 2, true)); });

  it('are right where samples go in several blocks', () => {
    const shape = [5, 64, 64, 256], filter = [3, 3, 256, 1];
    const x = tf.round(tf.randomUniform(shape, -2, 2, 'float32', 'x')), dy = tf.round(tf.randomUniform(shape, -2, 2, 'float32', 'dy'));
    const whole = tf.grad((filter) => tf.depthwiseConv2d(x as never, filter as never, 1, 'same'))(tf.zeros(filter), dy);
    const parts = Array.from({ length: 5 }, (_, n) => {
      const one = tf.slice(x, n, 1), gradient = tf.slice(dy, n, 1);
      return tf.grad((filter) => tf.depthwiseConv2d(one as never, filter as never, 1, 'same'))(tf.zeros(filter), gradient);
    });
    // Sums of small integers are exact.
    expect(distance(whole.dataSync(), tf.addN(parts).dataSync())).toBe(0);
  });
});

/** What both backends compute, and the largest difference relative to what f32 may round: sums of up to 200 products of up to 16. */
async function difference(run: () => Tensor[]): Promise<number> {
  const results: Float32Array[][] = [];
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend);
    results.push(run().map((tensor) => tensor.dataSync<'float32'>()));
  }
  return Math.max(...results[0]!.map((values, i) => distance(results[1]![i]!, values)));
}

describe('as on the cpu backend', () => {
  const random = (shape: number[], seed: number) => tf.tensor(normal(sizeOf(shape), seed), shape);
  const gradients = (f: (...tensors: Tensor[]) => Tensor, ...shapes: number[][]) => () =>
    tf.grads(f)(shapes.map((shape, i) => random(shape, i + 1)), random(f(...shapes.map((shape) => tf.zeros(shape))).shape, 9));

  it.each<[string, () => Tensor[]]>([
    ['tf.conv1d', gradients((x, filter) => tf.conv1d(x as never, filter as never, 2, 'same'), [2, 9, 3], [4, 3, 5])],
    ['tf.conv2dTranspose', gradients((x, filter) => tf.conv2dTranspose(x as never, filter as never, [2, 9, 8, 4], 2, 'same'), [2, 5, 4, 3], [3, 3, 4, 3])],
    ['tf.separableConv2d', gradients(
      (x, depthwise, pointwise) => tf.separableConv2d(x as never, depthwise as never, pointwise as never, 2, 'same'),
      [2, 7, 6, 3], [3, 3, 3, 2], [1, 1, 6, 5])],
    ['tf.fused.conv2d', gradients(
      (x, filter, bias) => tf.fused.conv2d({ x: x as never, filter: filter as never, strides: 1, pad: 'valid', bias: bias! }),
      [2, 7, 6, 3], [3, 3, 3, 4], [4])],
    ['images of three axes', gradients((x, filter) => tf.conv2d(x as never, filter as never, 1, 'same'), [7, 6, 3], [3, 3, 3, 4])],
  ])('differentiates %s', async (_, run) => {
    expect(await difference(run)).toBeLessThan(2e-5);
  });

  it('takes NCHW where tfjs does', async () => {
    const run = (name: string, inputs: object, attributes: object) => tf.engine().runKernel(name, inputs as never, attributes as never) as Tensor;
    const attributes = { strides: 2, pad: 'same', dataFormat: 'NCHW', inputShape: [2, 3, 7, 6], filterShape: [3, 3, 3, 4] };
    expect(await difference(() => {
      const x = random([2, 3, 7, 6], 1), filter = random([3, 3, 3, 4], 2), dy = random([2, 4, 4, 3], 3);
      return [run('Conv2DBackpropInput', { dy, filter }, attributes), run('Conv2DBackpropFilter', { x, dy }, attributes)];
    })).toBeLessThan(2e-5);
  });

  it('gives gradients of gradients', async () => {
    expect(await difference(() => {
      const x = random([2, 5, 5, 2], 1), filter = random([3, 3, 2, 3], 2);
      const slope = (filter: Tensor) => tf.grad((x) => tf.sum(tf.square(tf.conv2d(x as never, filter as never, 1, 'same'))))(x);
      return [tf.grad((filter) => tf.sum(tf.square(slope(filter))))(filter)];
    })).toBeLessThan(2e-5);
  });
});
