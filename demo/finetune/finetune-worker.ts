/** Fine-tunes a MobileNet v2 on one image of each digit, with one of two batch norms. Each run has a worker of its own. */
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { registerBatchNorm } from 'batchnorm-wasm/tfjs';
import { registerTrainingKernels } from 'batchnorm-wasm/tfjs-training';
import { CLASSES, pixelsOf, readDatasets } from '../network/data.js';
import { startBackend } from '../speed/tfjs-backend.js';
import type { NetworkName } from '../training/names.js';
import { STEPS } from './steps.js';

export type Report =
  | { type: 'step'; milliseconds: number; loss: number }
  | { type: 'finished' }
  | { type: 'failed'; message: string };

const RATE = 0.02, DIGIT = 28;
const tf = { ...core, ...layers };

addEventListener('message', async ({ data }: MessageEvent<NetworkName>) => {
  try {
    await run(data);
    report({ type: 'finished' });
  } catch (error) {
    report({ type: 'failed', message: (error as Error).message });
  }
});

/** The kernels of gradients that the backend does not have are the same on both sides. */
async function run(side: NetworkName): Promise<void> {
  await startBackend();
  registerTrainingKernels(tf);
  if (side === 'with') registerBatchNorm(tf);
  const base = await loadBase(), x = await loadDigits(base.inputs[0]!.shape[1]!), y = tf.eye(CLASSES);
  const features = tf.layers.globalAveragePooling2d({}).apply(base.outputs[0]!);
  const head = tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer: tf.initializers.glorotUniform({ seed: 1 }) });
  const model = tf.model({ inputs: base.inputs, outputs: head.apply(features) as layers.SymbolicTensor });
  model.compile({ optimizer: tf.train.sgd(RATE), loss: 'categoricalCrossentropy' });
  for (let step = 0; step < STEPS; step++) {
    const start = performance.now(), loss = await model.trainOnBatch(x, y) as number;
    report({ type: 'step', milliseconds: performance.now() - start, loss });
  }
}

async function loadBase(): Promise<layers.LayersModel> {
  const [model, weights] = await Promise.all([
    load(new URL('./mobilenet-v2.json', import.meta.url)), load(new URL('./mobilenet-v2.bin', import.meta.url)),
  ]);
  const description = await model.json(), weightData = await weights.arrayBuffer();
  return tf.loadLayersModel({ load: async () => ({ ...description, weightData }) });
}

/** The first image of each digit, as large as those of the model, in three equal channels. */
async function loadDigits(side: number): Promise<core.Tensor> {
  const { train } = readDatasets(await (await load(new URL('../mnist.bin', import.meta.url))).arrayBuffer());
  const pixels = Float32Array.from(Array.from({ length: CLASSES }, (_, digit) => [...pixelsOf(train, train.labels.indexOf(digit))]).flat());
  return tf.tidy(() => {
    const digits = tf.tensor4d(pixels, [CLASSES, DIGIT, DIGIT, 1]);
    return tf.tile(tf.image.resizeBilinear(digits, [side, side]), [1, 1, 1, 3]);
  });
}

async function load(url: URL): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${response.statusText}`);
  return response;
}

function report(message: Report): void {
  postMessage(message);
}
