import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { distance, normal } from '../setup.js';
import { startTraining, tf } from './setup.js';

beforeAll(startTraining);

describe('tf.gather', () => {
  it.each([0, 1])('gives its gradient on axis %i, to rows taken twice and to those not taken', async (axis) => {
    const results: Float32Array[] = [], indices = [2, 0, 2, 2];
    for (const backend of ['cpu', 'wasm']) {
      await tf.setBackend(backend);
      const x = tf.tensor(normal(20, 1), [4, 5]);
      results.push(tf.grad((x) => tf.sum(tf.square(tf.gather(x, tf.tensor1d(indices, 'int32'), axis))))(x).dataSync<'float32'>());
    }
    expect(distance(results[1]!, results[0]!)).toBeLessThan(1e-6);
  });

  it('trains an embedding', async () => {
    const results: Float32Array[] = [];
    for (const backend of ['cpu', 'wasm']) {
      await tf.setBackend(backend);
      const layer = tf.layers.embedding({ inputDim: 6, outputDim: 3, inputLength: 4, embeddingsInitializer: tf.initializers.randomUniform({ seed: 1 }) });
      const model = tf.sequential({ layers: [layer, tf.layers.flatten(), tf.layers.dense({ units: 1, kernelInitializer: 'ones' })] });
      model.compile({ optimizer: tf.train.sgd(0.5), loss: 'meanSquaredError' });
      await model.trainOnBatch(tf.tensor2d([[1, 2, 2, 5], [0, 1, 1, 1]]), tf.ones([2, 1]));
      results.push(layer.getWeights()[0]!.dataSync<'float32'>().slice());
    }
    expect(distance(results[1]!, results[0]!)).toBeLessThan(1e-6);
  });

  it('leaves out rows of segments that there are not', async () => {
    await tf.setBackend('wasm');
    const sums = tf.unsortedSegmentSum(tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]), tf.tensor1d([1, -1, 2], 'int32'), 2);
    expect(Array.from(sums.dataSync())).toEqual([0, 0, 1, 2]);
  });
});

describe('products', () => {
  it.each([[true, false], [false, true], [true, true]])('are right with factors transposed: %s, %s', async (transposeA, transposeB) => {
    await tf.setBackend('wasm');
    const a = tf.tensor(normal(35, 1), transposeA ? [5, 7] : [7, 5]), b = tf.tensor(normal(20, 2), transposeB ? [4, 5] : [5, 4]);
    const expected = tf.matMul(transposeA ? tf.transpose(a) : a, transposeB ? tf.transpose(b) : b);
    expect(distance(tf.matMul(a, b, transposeA, transposeB).dataSync(), expected.dataSync())).toBeLessThan(1e-6);
    const batches = [tf.stack([a, a]), tf.stack([b, b])] as [Tensor, Tensor];
    expect(tf.matMul(...batches, transposeA, transposeB).shape).toEqual([2, 7, 4]);
    expect(distance(tf.matMul(...batches, transposeA, transposeB).dataSync(), tf.stack([expected, expected]).dataSync())).toBeLessThan(1e-6);
    expect(tf.matMul(tf.stack([a]), tf.stack([b]), transposeA, transposeB).shape).toEqual([1, 7, 4]);
  });
});

it('has the gradient of upsampling from the backend itself, where that of the cpu backend is wrong for several images', async () => {
  // Upsampling is linear: the inner product of its result with dy is that of its input with dx.
  const inner = (a: Tensor, b: Tensor) => tf.sum(tf.mul(a, b)).dataSync()[0]!, layer = tf.layers.upSampling2d({ size: [2, 3] });
  for (const [backend, right] of [['wasm', true], ['cpu', false]] as const) {
    await tf.setBackend(backend);
    const x = tf.tensor(normal(54, 1), [2, 3, 3, 3]), dy = tf.tensor(normal(324, 2), [2, 6, 9, 3]);
    const dx = tf.grad((x) => layer.apply(x) as Tensor)(x, dy);
    expect(Math.abs(inner(dx, x) - inner(dy, layer.apply(x) as Tensor)) < 1e-4, backend).toBe(right);
  }
});
