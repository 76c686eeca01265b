/** MNIST as in the paper: 28x28 binary images in shuffled batches. */
import * as tf from '@tensorflow/tfjs-core';
import { type Dataset, PIXELS } from './dataset.js';

export * from './dataset.js';

/** Images x [N, 784] for the network, and their digits [N]. */
export interface Batch {
  readonly x: tf.Tensor2D;
  readonly labels: Uint8Array;
}

/** The images `rows` of a set, in that order, as a batch. */
function batchOf({ images, labels }: Dataset, rows: Uint32Array): Batch {
  const values = new Float32Array(rows.length * PIXELS);
  rows.forEach((row, i) => {
    values.set(images.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS);
  });
  return { x: tf.tensor2d(values, [rows.length, PIXELS]), labels: Uint8Array.from(rows, (row) => labels[row]!) };
}

/** The whole set as one batch. */
export function wholeBatch(dataset: Dataset): Batch {
  return batchOf(dataset, Uint32Array.from(dataset.labels.keys()));
}

/** Endless batches, in a new order each epoch; the caller disposes of their x. A smaller last batch is left out. */
export function* batches(dataset: Dataset, size: number, seed: string): Generator<Batch, never> {
  for (let epoch = 0; ; epoch++) {
    const order = permutation(dataset.labels.length, `${seed} epoch ${epoch}`);
    for (let start = 0; start + size <= order.length; start += size) {
      yield batchOf(dataset, order.subarray(start, start + size));
    }
  }
}

/** The next batches as an array. */
export function take(source: Iterator<Batch>, count: number): Batch[] {
  return Array.from({ length: count }, () => source.next().value);
}

/** The numbers from 0 to length - 1 in random order: sorted by random keys. */
function permutation(length: number, seed: string): Uint32Array {
  // Without tidy, which examines every value that it returns.
  const random = tf.randomUniform([length], 0, 1, 'float32', seed);
  const keys = random.dataSync();
  random.dispose();
  return Uint32Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
}
