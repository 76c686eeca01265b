/** Handwritten digits of MNIST, read after a few seconds of training: 784 pixels, batch norm with ReLU, 10 classes. Plain SGD. */
import { BatchNorm } from 'batchnorm-wasm';
import { CLASSES, PIXELS, readDataset } from '../mnist/dataset.js';

const HIDDEN = 64, BATCH = 50, IMAGES = 6000, TESTS = 1000, EPOCHS = 5, RATE = 0.1;
const train = readDataset('train'), test = readDataset('t10k');

/** The same numbers each time, of standard deviation 1 / sqrt(inputs). */
function weights(inputs: number, outputs: number): Float32Array {
  return Float32Array.from({ length: inputs * outputs }, (_, i) => Math.sqrt(2 / inputs) * Math.sin((i + 1) ** 2));
}

/** out[n, j] = sum over k of x[n, k] * w[k, j]. */
function product(x: ArrayLike<number>, w: Float32Array, inputs: number, outputs: number): Float32Array {
  const samples = x.length / inputs, out = new Float32Array(samples * outputs);
  for (let n = 0; n < samples; n++) for (let k = 0; k < inputs; k++) {
    const value = x[n * inputs + k]!;
    if (value !== 0) for (let j = 0; j < outputs; j++) out[n * outputs + j]! += value * w[k * outputs + j]!;
  }
  return out;
}

/** w[k, j] -= RATE * sum over n of x[n, k] * dout[n, j]. */
function descend(w: Float32Array, x: ArrayLike<number>, dout: Float32Array, inputs: number, outputs: number): void {
  for (let n = 0; n < x.length / inputs; n++) for (let k = 0; k < inputs; k++) {
    const value = RATE * x[n * inputs + k]!;
    if (value !== 0) for (let j = 0; j < outputs; j++) w[k * outputs + j]! -= value * dout[n * outputs + j]!;
  }
}

function transposed(w: Float32Array, rows: number): Float32Array {
  const columns = w.length / rows;
  return w.map((_, i) => w[(i % rows) * columns + Math.floor(i / rows)]!);
}

const first = weights(PIXELS, HIDDEN), last = weights(HIDDEN, CLASSES), bn = new BatchNorm(HIDDEN, { activation: 'relu' });
const hidden = (images: Uint8Array) => bn.forward(product(images, first, PIXELS, HIDDEN), [images.length / PIXELS, HIDDEN]);

function step(images: Uint8Array, labels: Uint8Array): void {
  const y = hidden(images), scores = product(y, last, HIDDEN, CLASSES);
  labels.forEach((label, n) => {                                // scores become gradients of the mean cross-entropy
    const row = scores.subarray(n * CLASSES, (n + 1) * CLASSES), largest = Math.max(...row);
    const total = row.reduce((sum, score) => sum + Math.exp(score - largest), 0);
    row.forEach((score, j) => { row[j] = (Math.exp(score - largest) / total - (j === label ? 1 : 0)) / labels.length; });
  });
  const { dx } = bn.backward(product(scores, transposed(last, HIDDEN), CLASSES, HIDDEN));
  descend(last, y, scores, HIDDEN, CLASSES);
  descend(first, images, dx, PIXELS, HIDDEN);
  for (const { value, gradient } of bn.parameters()) gradient!.forEach((slope, c) => { value[c]! -= RATE * slope; });
}

/** Share of the test images that are read right, by running statistics. */
function accuracy(): number {
  bn.eval();
  const scores = product(hidden(test.images.subarray(0, TESTS * PIXELS)), last, HIDDEN, CLASSES);
  bn.train();
  let right = 0;
  for (let n = 0; n < TESTS; n++) {
    const row = scores.subarray(n * CLASSES, (n + 1) * CLASSES);
    if (row.indexOf(Math.max(...row)) === test.labels[n]) right++;
  }
  return right / TESTS;
}

for (let epoch = 1; epoch <= EPOCHS; epoch++) {
  for (let n = 0; n < IMAGES; n += BATCH) {
    step(train.images.subarray(n * PIXELS, (n + BATCH) * PIXELS), train.labels.subarray(n, n + BATCH));
  }
  console.log(`epoch ${epoch}: ${(100 * accuracy()).toFixed(1)} % of ${TESTS} test images`);
}
