import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { normal, sizeOf } from '../setup.js';
import { startTraining, tf } from './setup.js';

beforeAll(startTraining);
beforeEach(() => { tf.engine().startScope(); });
afterEach(() => { tf.engine().endScope(); });

const SIZES = [1, 2, 3, [2, 3], [4, 1]] as const, STRIDES = [1, 2, 3, [1, 2]] as const;
const PADS = ['same', 'valid', 0, 1, [[0, 0], [1, 0], [0, 1], [0, 0]]] as const;
const fits = (size: unknown, pad: unknown) => typeof pad !== 'number' || typeof size === 'number';

/** Of both backends. dy is of small integers, so that sums are exact in any order. */
async function gradients(pool: 'maxPool' | 'avgPool', shape: number[], x: number[]): Promise<number[][][]> {
  const results: number[][][] = [];
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend);
    results.push(SIZES.flatMap((size) => STRIDES.flatMap((strides) => PADS.filter((pad) => fits(size, pad)).map((pad) => {
      const run = (x: Tensor): Tensor => tf[pool](x as Tensor4D, size as never, strides as never, pad as never);
      const input = tf.tensor(x, shape), output = run(input);
      const dy = tf.tensor(normal(output.size, 2).map((value) => Math.round(3 * value)), output.shape);
      return Array.from(tf.grad(run)(input, dy).dataSync());
    }))));
  }
  return results;
}

it.each([
  ['distinct values', (value: number) => value],
  ['negative values alone', (value: number) => -Math.abs(value) - 1],
  ['ties', (value: number) => Math.round(value)],
  ['ties of negative values', (value: number) => Math.round(value) - 5],
  ['one value', () => 0],
])('gives the gradient of max pooling to the first of the largest: %s', async (_, change) => {
  const shape = [2, 7, 6, 3];
  const [cpu, wasm] = await gradients('maxPool', shape, normal(sizeOf(shape), 1).map(change));
  expect(wasm).toEqual(cpu);
});

it('gives what is not a number no gradient', async () => {
  await tf.setBackend('wasm');
  const x = tf.tensor4d([Number.NaN, 1, 2, Number.NaN], [1, 2, 2, 1]);
  expect(Array.from(tf.grad((x) => tf.maxPool(x as never, 2, 2, 'valid'))(x).dataSync())).toEqual([0, 0, 1, 0]);
});

it('gives the gradient of a dilated tf.pool', async () => {
  const results: number[][] = [], x = normal(2 * 7 * 7 * 3, 1);
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend);
    const dx = tf.grad((x) => tf.pool(x as never, 2, 'max', 'valid', [2, 2], 1))(tf.tensor(x, [2, 7, 7, 3]));
    results.push(Array.from(dx.dataSync()));
  }
  expect(results[1]).toEqual(results[0]);
});

it('has the gradient of average pooling from the backend itself', async () => {
  const shape = [2, 7, 6, 3], [cpu, wasm] = await gradients('avgPool', shape, normal(sizeOf(shape), 1));
  wasm!.forEach((values, i) => { values.forEach((value, j) => { expect(value).toBeCloseTo(cpu![i]![j]!, 5); }); });
});
