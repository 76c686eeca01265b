/** Batches of MNIST, and the parts of them that ranks have. */
import type { DType, Floats } from 'batchnorm-wasm';
import { random } from '../../test/random.js';
import { type Dataset, PIXELS } from '../mnist/dataset.js';
import type { Part } from './network.js';

/** Endless batches of `size` images, in a new order each epoch, as rows of the set. */
export function* rowsOfBatches(dataset: Dataset, size: number, seed: number): Generator<Uint32Array, never> {
  const uniform = random(seed);
  for (;;) {
    const keys = Float64Array.from(dataset.labels, () => uniform());
    const order = Uint32Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
    for (let start = 0; start + size <= order.length; start += size) yield order.subarray(start, start + size);
  }
}

export function partOf({ images, labels }: Dataset, rows: Uint32Array, dtype: DType): Part {
  const values: Floats = dtype === 'float32' ? new Float32Array(rows.length * PIXELS) : new Float64Array(rows.length * PIXELS);
  rows.forEach((row, i) => { values.set(images.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS); });
  return { images: values, labels: Uint8Array.from(rows, (row) => labels[row]!) };
}

/** Where the shares of all ranks begin and end in a batch. */
export function boundsOf(shares: readonly number[], rank: number): readonly [start: number, end: number] {
  const start = shares.slice(0, rank).reduce((sum, share) => sum + share, 0);
  return [start, start + shares[rank]!];
}
