/** Trains a small convolutional net on MNIST with `model.fit` of tfjs: with its own batch norm and with this package's. */
import { parseArgs } from 'node:util';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { layers, Sequential } from '@tensorflow/tfjs-layers';
import { registerBatchNorm } from 'batchnorm-wasm/tfjs';
import { CLASSES, readDataset } from '../mnist/data.js';
import { registerConvGradient, startBackend, tf } from './backend.js';

const BATCH_SIZE = 64, SIDE = 28;

type BatchNormalization = () => layers.Layer;

interface Run {
  readonly name: string;
  /** Median milliseconds per step. */
  readonly step: number;
  readonly loss: number;
  /** On all test images. */
  readonly accuracy: number;
}

/** Two blocks of convolution, batch norm, ReLU and pooling, then one dense layer. */
function network(batchNormalization: BatchNormalization): Sequential {
  const kernelInitializer = (seed: number) => tf.initializers.glorotUniform({ seed });
  const block = (filters: number, options: object) => [
    tf.layers.conv2d({ filters, kernelSize: 3, padding: 'same', useBias: false, kernelInitializer: kernelInitializer(filters), ...options }),
    batchNormalization(),
    tf.layers.reLU(),
    tf.layers.averagePooling2d({ poolSize: 2, strides: 2 }),
  ];
  const model = tf.sequential({
    layers: [
      ...block(8, { inputShape: [SIDE, SIDE, 1] }), ...block(16, {}),
      tf.layers.flatten(), tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer: kernelInitializer(1) }),
    ],
  });
  model.compile({ optimizer: tf.train.momentum(0.02, 0.9), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

function read(name: 'train' | 't10k', count: number): [Tensor, Tensor] {
  const { images, labels } = readDataset(name);
  const x = tf.tensor4d(Float32Array.from(images.subarray(0, count * SIDE * SIDE)), [count, SIDE, SIDE, 1]);
  return [x, tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(Int32Array.from(labels.subarray(0, count)), 'int32'), CLASSES), 'float32'))];
}

async function train(name: string, batchNormalization: BatchNormalization, steps: number): Promise<Run> {
  const model = network(batchNormalization), [x, y] = read('train', steps * BATCH_SIZE);
  const times: number[] = [];
  let start = 0, loss = 0;
  await model.fit(x, y, {
    batchSize: BATCH_SIZE, epochs: 1, shuffle: false, verbose: 0, yieldEvery: 'never',
    callbacks: {
      onBatchBegin: async () => { start = performance.now(); },
      onBatchEnd: async (_, logs) => {
        times.push(performance.now() - start);
        loss = logs!.loss!;
      },
    },
  });
  const [testX, testY] = read('t10k', 10_000);
  const [, accuracy] = model.evaluate(testX, testY, { batchSize: 500 }) as Tensor[];
  const result = { name, step: times.sort((a, b) => a - b)[times.length >> 1]!, loss, accuracy: accuracy!.dataSync()[0]! };
  tf.dispose([x, y, testX, testY]);
  model.dispose();
  return result;
}

const { values } = parseArgs({ options: { steps: { type: 'string', default: '200' } } });
const steps = Number(values.steps);
if (!Number.isSafeInteger(steps) || steps < 1 || steps > 937) {
  console.error(`--steps expected an integer from 1 to 937, got "${values.steps}"`);
  process.exit(1);
}
await startBackend();
registerConvGradient();
console.log(`MNIST, ${steps} steps of ${BATCH_SIZE} images on the wasm backend of tfjs, from the same weights:\n`);
console.log('batch norm     ms per step   last loss   test accuracy');
const report = ({ name, step, loss, accuracy }: Run) => {
  console.log(`${name.padEnd(14)}${step.toFixed(1).padStart(12)}${loss.toFixed(3).padStart(12)}${(100 * accuracy).toFixed(1).padStart(14)} %`);
};
const before = await train('stock tfjs', () => tf.layers.batchNormalization(), steps);
report(before);
const { batchNormalization } = registerBatchNorm(tf);
const after = await train('batchnorm-wasm', batchNormalization, steps);
report(after);
console.log(`\nA step takes ${(before.step / after.step).toFixed(1)} times as long with the stock layer.`);
