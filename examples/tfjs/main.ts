/** Trains a small convolutional net on MNIST with `model.fit` of tfjs: as tfjs comes, and with what this package registers. */
import { parseArgs } from 'node:util';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { layers, Sequential } from '@tensorflow/tfjs-layers';
import { registerBatchNorm } from 'batchnorm-wasm/tfjs';
import { registerTrainingKernels } from 'batchnorm-wasm/tfjs-training';
import { CLASSES, readDataset } from '../mnist/data.js';
import { startBackend, tf } from './backend.js';
import { compare, type Side, train } from './training.js';

const BATCH_SIZE = 64, SIDE = 28, STEPS = 200, CPU_STEPS = 5;

let batchNormalization: () => layers.Layer = () => tf.layers.batchNormalization();

/** Two blocks of convolution, batch norm, ReLU and pooling, then one dense layer. */
function network(): Sequential {
  const kernelInitializer = (seed: number) => tf.initializers.glorotUniform({ seed });
  const block = (filters: number, options: object) => [
    tf.layers.conv2d({ filters, kernelSize: 3, padding: 'same', useBias: false, kernelInitializer: kernelInitializer(filters), ...options }),
    batchNormalization(),
    tf.layers.reLU(),
    tf.layers.maxPooling2d({ poolSize: 2, strides: 2 }),
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

const accuracies: string[] = [];

async function run({ backend, name, steps }: Side) {
  const model = network(), [x, y] = read('train', steps * BATCH_SIZE);
  const result = await train(model, x, y, BATCH_SIZE);
  if (typeof result !== 'string' && backend === 'wasm') {
    const [testX, testY] = read('t10k', 10_000);
    const [loss, accuracy] = model.evaluate(testX, testY, { batchSize: 500 }) as [Tensor, Tensor];
    accuracies.push(`${name}: ${(100 * accuracy.dataSync()[0]!).toFixed(1)} %`);
    tf.dispose([testX, testY, loss, accuracy]);
  }
  tf.dispose([x, y]);
  model.dispose();
  return result;
}

const { values } = parseArgs({ options: { steps: { type: 'string', default: String(STEPS) } } });
const steps = Number(values.steps);
if (!Number.isSafeInteger(steps) || steps < 1 || steps > 937) {
  console.error(`--steps expected an integer from 1 to 937, got "${values.steps}"`);
  process.exit(1);
}
await startBackend();
const sides: Side[] = [
  { backend: 'cpu', name: 'tfjs', steps: Math.min(steps, CPU_STEPS) },
  { backend: 'wasm', name: 'tfjs', steps: 1 },
  { backend: 'wasm', name: 'registerTrainingKernels', register: () => { registerTrainingKernels(tf); }, steps },
  {
    backend: 'wasm', name: 'registerTrainingKernels, registerBatchNorm', steps,
    register: () => { ({ batchNormalization } = registerBatchNorm(tf)); },
  },
];
const title = [
  '# A convolutional net on MNIST in TensorFlow.js', '',
  `Batches of ${BATCH_SIZE}, SGD with momentum, the same weights and images for each. \`npm run example -- tfjs\` writes this file.`,
];
await compare(title, sides, run, steps === STEPS ? new URL('results/mnist.md', import.meta.url) : undefined);
console.log(`\nAccuracy on all 10,000 test images: ${accuracies.join('; ')}`);
