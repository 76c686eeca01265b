/** Compares predictions and time of the MobileNet v2 of nsfwjs, a Keras model with 52 batch norms, before and after registration. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { registerBatchNorm } from 'batchnorm-wasm/tfjs';
import { startBackend, tf } from './backend.js';
import { loadModel, SIDE } from './nsfw.js';

/** Images per batch and number of rounds: a convolution takes long on the cpu backend. */
const BACKENDS = [{ backend: 'wasm', images: 4, rounds: 5 }, { backend: 'cpu', images: 1, rounds: 2 }] as const;

/** Smooth random images (enlarged noise), the same each time. */
function random(images: number): Tensor {
  return tf.tidy(() => tf.image.resizeBilinear(tf.randomUniform([images, 14, 14, 3], 0, 1, 'float32', 1) as never, [SIDE, SIDE]));
}

/** Predictions, and the fastest of several rounds in milliseconds per image. */
async function measure(images: number, rounds: number): Promise<{ layer: string; predictions: Float32Array; time: number }> {
  const model = await loadModel(), x = random(images), times: number[] = [];
  let predictions = new Float32Array();
  for (let round = 0; round < rounds; round++) {
    const start = performance.now(), y = model.predict(x, { batchSize: images }) as Tensor;
    predictions = y.dataSync<'float32'>().slice();
    times.push(performance.now() - start);
    y.dispose();
  }
  const bn = model.layers.find((layer) => layer.getClassName() === 'BatchNormalization')!;
  const layer = bn.constructor === StockLayer ? 'stock tfjs' : 'batchnorm-wasm';
  x.dispose();
  model.dispose();
  return { layer, predictions, time: Math.min(...times) / images };
}

const { constructor: StockLayer } = tf.layers.batchNormalization();
const stock = new Map<string, Awaited<ReturnType<typeof measure>>>();
for (const { backend, images, rounds } of BACKENDS) {
  await startBackend(backend);
  stock.set(backend, await measure(images, rounds));
}
registerBatchNorm(tf);
console.log(`MobileNet v2 of nsfwjs, images of ${SIDE}x${SIDE}; milliseconds per image\n`);
console.log('backend   stock tfjs   batchnorm-wasm   largest difference of a probability');
for (const { backend, images, rounds } of BACKENDS) {
  await tf.setBackend(backend);
  const before = stock.get(backend)!, after = await measure(images, rounds);
  if (before.layer !== 'stock tfjs' || after.layer !== 'batchnorm-wasm') throw new Error('the loaded model expected the registered layer');
  const difference = Math.max(...after.predictions.map((value, i) => Math.abs(value - before.predictions[i]!)));
  console.log(`${backend.padEnd(7)}${before.time.toFixed(1).padStart(13)}${after.time.toFixed(1).padStart(17)}${difference.toExponential(1).padStart(38)}`);
  if (!(difference < 1e-5)) throw new Error(`predictions on ${backend} expected to be the same, differ by ${difference}`);
}
