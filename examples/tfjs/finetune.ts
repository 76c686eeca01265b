/** Fine-tunes the MobileNet v2 of nsfwjs with its last blocks thawed, on digits: as tfjs comes, and with what this package registers. */
import { parseArgs } from 'node:util';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { LayersModel, SymbolicTensor } from '@tensorflow/tfjs-layers';
import { registerBatchNorm } from 'batchnorm-wasm/tfjs';
import { registerTrainingKernels } from 'batchnorm-wasm/tfjs-training';
import { CLASSES, readDataset } from '../mnist/data.js';
import { startBackend, tf } from './backend.js';
import { loadModel, SIDE } from './nsfw.js';
import { compare, type Side, train } from './training.js';

const BATCH_SIZE = 4, STEPS = 20, CPU_STEPS = 2, DIGIT = 28;
/** The first layer that learns: from here on there are 4 blocks, the first of which halves the image. */
const THAWED = 'block_13_expand', FEATURES = 'flatten_1';

/** The net up to its features, frozen up to the last blocks, and a new dense layer. */
async function network(): Promise<LayersModel> {
  const base = await loadModel(), thawed = base.layers.findIndex(({ name }) => name === THAWED);
  for (const layer of base.layers.slice(0, thawed)) layer.trainable = false;
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 1 });
  const head = tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer });
  const output = head.apply(base.getLayer(FEATURES).output as SymbolicTensor) as SymbolicTensor;
  const model = tf.model({ inputs: base.inputs, outputs: output });
  model.compile({ optimizer: tf.train.momentum(0.01, 0.9), loss: 'categoricalCrossentropy' });
  return model;
}

/** Digits as large as the images of the net, in three equal channels. */
function read(count: number): [Tensor, Tensor] {
  const { images, labels } = readDataset('train');
  return tf.tidy(() => {
    const digits = tf.tensor4d(Float32Array.from(images.subarray(0, count * DIGIT * DIGIT)), [count, DIGIT, DIGIT, 1]);
    const x = tf.tile(tf.image.resizeBilinear(digits as Tensor4D, [SIDE, SIDE]), [1, 1, 1, 3]);
    return [x, tf.cast(tf.oneHot(tf.tensor1d(Int32Array.from(labels.subarray(0, count)), 'int32'), CLASSES), 'float32')];
  });
}

async function run({ steps }: Side) {
  const model = await network(), [x, y] = read(steps * BATCH_SIZE);
  const result = await train(model, x, y, BATCH_SIZE);
  tf.dispose([x, y]);
  model.dispose();
  return result;
}

const { values } = parseArgs({ options: { steps: { type: 'string', default: String(STEPS) } } });
const steps = Number(values.steps);
if (!Number.isSafeInteger(steps) || steps < 1 || steps > 1000) {
  console.error(`--steps expected an integer from 1 to 1000, got "${values.steps}"`);
  process.exit(1);
}
await startBackend();
const sides: Side[] = [
  { backend: 'cpu', name: 'tfjs', steps: Math.min(steps, CPU_STEPS) },
  { backend: 'wasm', name: 'tfjs', steps: 1 },
  { backend: 'wasm', name: 'registerTrainingKernels', register: () => { registerTrainingKernels(tf); }, steps },
  { backend: 'wasm', name: 'registerTrainingKernels, registerBatchNorm', register: () => { registerBatchNorm(tf); }, steps },
];
const title = [
  '# Fine-tuning the last 4 blocks of MobileNet v2 in TensorFlow.js', '',
  `The model of nsfwjs with a new dense layer, on MNIST digits of ${SIDE}x${SIDE}x3; batches of ${BATCH_SIZE}, SGD with momentum. ` +
    '`npm run example -- tfjs-finetune` writes this file.',
  'The batch norm of tfjs normalises by the batch in frozen layers too, that of this package by the moving statistics, as Keras does: ' +
    'so the losses of the last row are others.',
];
await compare(title, sides, run, steps === STEPS ? new URL('results/finetune.md', import.meta.url) : undefined);
