/** A convolutional net with batch norm that trains in the browser, on the wasm backend of TensorFlow.js. */
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import plain from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import simd from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import threaded from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { registerBatchNorm } from 'batchnorm-wasm/tfjs';
import { registerTrainingKernels } from 'batchnorm-wasm/tfjs-training';

const tf = { ...core, ...layers }, SIDE = 16, IMAGES = 512;
setWasmPaths({
  'tfjs-backend-wasm.wasm': plain, 'tfjs-backend-wasm-simd.wasm': simd, 'tfjs-backend-wasm-threaded-simd.wasm': threaded,
});
await tf.setBackend('wasm');
const { batchNormalization } = registerBatchNorm(tf);
registerTrainingKernels(tf);

const log = (text: string) => { document.querySelector('#log')!.append(`${text}\n`); };

/** Noisy images with a bar, horizontal (0) or vertical (1). */
function bars() {
  const pixels = Float32Array.from({ length: IMAGES * SIDE * SIDE }, () => Math.random());
  for (let n = 0; n < IMAGES; n++) {
    const place = Math.floor(Math.random() * SIDE), start = n * SIDE * SIDE;
    for (let i = 0; i < SIDE; i++) pixels[start + (n % 2 ? i * SIDE + place : place * SIDE + i)]! += 0.5;
  }
  return { x: tf.tensor4d(pixels, [IMAGES, SIDE, SIDE, 1]), y: tf.tensor1d(Array.from({ length: IMAGES }, (_, n) => n % 2)) };
}

const { conv2d, reLU, globalMaxPooling2d, dense } = tf.layers;
const model = tf.sequential({
  layers: [
    conv2d({ filters: 8, kernelSize: 5, useBias: false, inputShape: [SIDE, SIDE, 1] }), batchNormalization({ momentum: 0.9 }), reLU(),
    conv2d({ filters: 16, kernelSize: 5, useBias: false }), batchNormalization({ momentum: 0.9 }), reLU(),
    globalMaxPooling2d({}), dense({ units: 1, activation: 'sigmoid' }),
  ],
});
model.compile({ optimizer: tf.train.adam(0.01), loss: 'binaryCrossentropy', metrics: ['accuracy'] });
const train = bars(), test = bars();
await model.fit(train.x, train.y, {
  epochs: 6, batchSize: 32, callbacks: { onEpochEnd: (epoch, logs) => log(`epoch ${epoch + 1}: loss ${logs!.loss!.toFixed(3)}`) },
});
const [, accuracy] = model.evaluate(test.x, test.y) as core.Scalar[];
log(`accuracy on new images: ${(100 * accuracy!.dataSync()[0]!).toFixed(1)} %`);
