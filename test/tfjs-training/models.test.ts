import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { LayersModel, layers } from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal, sizeOf } from '../setup.js';
import { startTraining, tf } from './setup.js';

beforeAll(startTraining);

const SHAPE = [16, 12, 12, 3], CLASSES = 4;

type Layer = layers.Layer;

let seed = 0;
const initial = () => tf.initializers.glorotUniform({ seed: ++seed });
const conv2d = (filters: number, options: object = {}): Layer =>
  tf.layers.conv2d({ filters, kernelSize: 3, padding: 'same', kernelInitializer: initial(), ...options });
const depthwise = (options: object = {}): Layer =>
  tf.layers.depthwiseConv2d({ kernelSize: 3, padding: 'same', depthwiseInitializer: initial(), ...options });
const dense = (units: number, options: object = {}): Layer => tf.layers.dense({ units, kernelInitializer: initial(), ...options });
const separable = (filters: number, options: object = {}): Layer =>
  tf.layers.separableConv2d({ filters, kernelSize: 3, depthwiseInitializer: initial(), pointwiseInitializer: initial(), ...options });
const norm = (): Layer => tf.layers.batchNormalization();
const pool = (): Layer => tf.layers.maxPooling2d({ poolSize: 2, strides: 2 });
const classify = (): Layer[] => [tf.layers.flatten(), dense(CLASSES, { activation: 'softmax' })];

/** By what a user would call the net. Every layer of tfjs that a usual convolutional net is made of is in one of them. */
const NETS: Record<string, () => Layer[]> = {
  'conv2d, max pooling, dense, dropout': () => [
    conv2d(6, { activation: 'relu' }), pool(), conv2d(8, { activation: 'relu', padding: 'valid', kernelRegularizer: tf.regularizers.l2({ l2: 0.01 }) }),
    pool(), tf.layers.flatten(), dense(10, { activation: 'relu' }), tf.layers.dropout({ rate: 0.5, seed: 7 } as never),
    dense(CLASSES, { activation: 'softmax' }),
  ],
  'batch norm, strides, overlapping pooling, global average': () => [
    conv2d(6, { strides: 2, useBias: false }), norm(), tf.layers.reLU(), tf.layers.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
    conv2d(8, { useBias: false }), norm(), tf.layers.leakyReLU(), tf.layers.globalAveragePooling2d({}), ...classify().slice(1),
  ],
  'inverted residuals as in MobileNet v2': () => [
    conv2d(8, { strides: 2, useBias: false }), norm(), tf.layers.reLU({ maxValue: 6 }),
    conv2d(12, { kernelSize: 1, useBias: false }), norm(), tf.layers.reLU({ maxValue: 6 }),
    tf.layers.zeroPadding2d({ padding: [[0, 1], [0, 1]] }), depthwise({ strides: 2, padding: 'valid', useBias: false }), norm(),
    tf.layers.reLU({ maxValue: 6 }), conv2d(6, { kernelSize: 1, useBias: false }), norm(), ...classify(),
  ],
  'separable and transposed convolutions': () => [
    separable(6, { padding: 'same', depthMultiplier: 2, activation: 'elu' }), tf.layers.averagePooling2d({ poolSize: 2 }),
    depthwise({ depthMultiplier: 2, strides: 2 }),
    tf.layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same', kernelInitializer: initial() }), norm(),
    tf.layers.activation({ activation: 'sigmoid' }), tf.layers.globalMaxPooling2d({}), ...classify().slice(1),
  ],
  'channels first, cropping, prelu': () => [
    tf.layers.permute({ dims: [3, 1, 2] }), conv2d(6, { dataFormat: 'channelsFirst' }), tf.layers.prelu(),
    tf.layers.permute({ dims: [2, 3, 1] }), tf.layers.cropping2D({ cropping: [[1, 2], [2, 1]] }), pool(), ...classify(),
  ],
  'conv1d and its pooling': () => [
    tf.layers.reshape({ targetShape: [12, 36] }), tf.layers.conv1d({ filters: 8, kernelSize: 3, kernelInitializer: initial(), activation: 'tanh' }),
    tf.layers.maxPooling1d({ poolSize: 2 }), ...classify(),
  ],
};

function build(net: () => Layer[]): LayersModel {
  seed = 0;
  const [first, ...rest] = net() as [Layer, ...Layer[]];
  const input = tf.input({ shape: SHAPE.slice(1) });
  const output = rest.reduce((x, layer) => layer.apply(x), first.apply(input));
  const model = tf.model({ inputs: input, outputs: output as never });
  model.compile({ optimizer: tf.train.momentum(0.05, 0.9), loss: 'categoricalCrossentropy' });
  return model;
}

function batch(): [Tensor, Tensor] {
  const labels = Int32Array.from({ length: SHAPE[0]! }, (_, i) => i % CLASSES);
  return [tf.tensor(normal(sizeOf(SHAPE), 5), SHAPE), tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES), 'float32'))];
}

/** Losses of some steps, and all weights after them. */
async function train(backend: string, net: () => Layer[], steps: number): Promise<{ losses: number[]; weights: Float32Array[] }> {
  await tf.setBackend(backend);
  const model = build(net), [x, y] = batch(), losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await model.trainOnBatch(x, y)) as number);
  const weights = model.getWeights().map((weight) => weight.dataSync<'float32'>().slice());
  tf.dispose([x, y]);
  model.dispose();
  return { losses, weights };
}

describe.each(Object.entries(NETS))('a net of %s', (_, net) => {
  // Gradients are right to 200 u = 1.2e-5 of the sums of their absolute values; five steps with momentum add up a few of them.
  const CLOSE = 1e-4;

  it('trains on wasm as it does on cpu', async () => {
    const cpu = await train('cpu', net, 5), wasm = await train('wasm', net, 5);
    expect(distance(wasm.losses, cpu.losses)).toBeLessThan(CLOSE);
    wasm.weights.forEach((weight, i) => { expect(distance(weight, cpu.weights[i]!)).toBeLessThan(CLOSE); });
    expect(cpu.losses.at(-1)).not.toBe(cpu.losses[0]);
  });
});

describe('with the batch norm of this package', () => {
  it('trains on wasm as it does on cpu', async () => {
    const { batchNormalization } = registerBatchNorm(tf);
    const net = () => [conv2d(6, { useBias: false }), batchNormalization(), tf.layers.reLU(), pool(), ...classify()];
    const cpu = await train('cpu', net, 5), wasm = await train('wasm', net, 5);
    expect(distance(wasm.losses, cpu.losses)).toBeLessThan(1e-4);
  });
});

describe('memory', () => {
  it('is what it was after 100 steps', async () => {
    await tf.setBackend('wasm');
    const { wasm } = tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } };
    const model = build(NETS['inverted residuals as in MobileNet v2']!), [x, y] = batch();
    for (let i = 0; i < 3; i++) await model.trainOnBatch(x, y);
    const before = tf.memory(), heap = wasm.HEAPU8.length;
    for (let i = 0; i < 100; i++) await model.trainOnBatch(x, y);
    const after = tf.memory();
    expect([after.numTensors, after.numBytes, after.numDataBuffers]).toEqual([before.numTensors, before.numBytes, before.numDataBuffers]);
    expect(wasm.HEAPU8.length).toBe(heap);
    tf.dispose([x, y]);
    model.dispose();
  });
});

describe('a dilated layer', () => {
  const shape = [2, 8, 9, 3];

  /** Weights of a layer before and after a step. */
  async function step(layer: Layer, inputShape: number[], weights?: Tensor[]): Promise<{ before: Tensor[]; after: Tensor[] }> {
    const input = tf.input({ shape: inputShape.slice(1) }), model = tf.model({ inputs: input, outputs: layer.apply(input) as never });
    if (weights) layer.setWeights(weights);
    const before = layer.getWeights().map((weight) => tf.clone(weight));
    model.compile({ optimizer: tf.train.sgd(1), loss: 'meanSquaredError' });
    await model.trainOnBatch(tf.tensor(normal(sizeOf(shape), 1), inputShape), tf.zeros(model.outputs[0]!.shape.with(0, 2) as number[]));
    return { before, after: layer.getWeights() };
  }

  /** A kernel with zeros between its taps. */
  function widened(kernel: Tensor): Tensor {
    const [height = 0, width = 0, ...channels] = kernel.shape;
    const taps = tf.pad(tf.reshape(kernel, [height, 1, width, 1, sizeOf(channels)]), [[0, 0], [0, 1], [0, 0], [0, 1], [0, 0]]);
    return tf.slice(tf.reshape(taps, [2 * height, 2 * width, ...channels]), [0, 0], [2 * height - 1, 2 * width - 1]);
  }

  const narrowed = (kernel: Tensor): Tensor => tf.stridedSlice(kernel, [0, 0], kernel.shape.slice(0, 2), [2, 2]);

  it.each<[string, number[], (options: object) => Layer]>([
    ['conv2d', shape, (options) => tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', ...options })],
    ['conv2d with an activation', shape, (options) => tf.layers.conv2d({ filters: 4, kernelSize: 3, activation: 'sigmoid', ...options })],
    ['conv2d, channels first', [2, 3, 8, 9], (options) =>
      tf.layers.conv2d({ filters: 4, kernelSize: 3, dataFormat: 'channelsFirst', useBias: false, ...options })],
    ['separableConv2d', shape, (options) => tf.layers.separableConv2d({ filters: 4, kernelSize: 3, depthMultiplier: 2, ...options })],
  ])('%s trains as one with zeros between its taps', async (_, inputShape, make) => {
    await tf.setBackend('wasm');
    const dilated = await step(make({ dilationRate: 2 }), inputShape), [kernel, ...rest] = dilated.before as [Tensor, ...Tensor[]];
    const plain = await step(make({ kernelSize: 5 }), inputShape, [widened(kernel), ...rest]);
    expect(distance(dilated.after[0]!.dataSync(), narrowed(plain.after[0]!).dataSync())).toBeLessThan(1e-6);
    rest.forEach((_, i) => { expect(distance(dilated.after[i + 1]!.dataSync(), plain.after[i + 1]!.dataSync())).toBeLessThan(1e-6); });
    expect(distance(dilated.after[0]!.dataSync(), kernel.dataSync())).toBeGreaterThan(1e-3);
  });

  it('learns in a model, with batch norm after it', async () => {
    const net = () => [conv2d(6, { dilationRate: 2, useBias: false }), norm(), tf.layers.reLU(), ...classify()];
    const { losses } = await train('wasm', net, 20);
    expect(losses.at(-1)!).toBeLessThan(0.2 * losses[0]!);
  });
});

it('fits an image in one call', async () => {
  await tf.setBackend('wasm');
  const model = tf.sequential({ layers: [tf.layers.conv2d({ inputShape: [4, 4, 1], filters: 1, kernelSize: 3, padding: 'same' })] });
  model.compile({ optimizer: tf.train.adam(0.1), loss: 'meanSquaredError' });
  const x = tf.ones([2, 4, 4, 1]) as Tensor4D, { history } = await model.fit(x, tf.mul(x, 2), { epochs: 30, verbose: 0 });
  expect(history.loss!.at(-1)!).toBeLessThan(0.1 * (history.loss![0] as number));
});
