/** The images of mnist.bin; dataset-file.ts describes its layout. */
export const PIXELS = 28 * 28;
export const CLASSES = 10;
const BYTES_PER_IMAGE = PIXELS / 8;
const HEADER = 8;

/** Binary images as lists of the pixels that are 1: those of image i are `on` from `starts[i]` to `starts[i + 1]`. */
export interface Dataset {
  readonly labels: Uint8Array;
  readonly on: Uint16Array;
  readonly starts: Uint32Array;
}

/** @throws {RangeError} if the length of the file does not match its counts. */
export function readDatasets(file: ArrayBuffer): { train: Dataset; test: Dataset } {
  const header = new DataView(file);
  const trainCount = header.getUint32(0, true), testCount = header.getUint32(4, true), count = trainCount + testCount;
  const expected = HEADER + count * (1 + BYTES_PER_IMAGE);
  if (file.byteLength !== expected) {
    throw new RangeError(`mnist.bin expected ${expected} bytes for ${count} images, got ${file.byteLength}`);
  }
  const labels = new Uint8Array(file, HEADER, count);
  const images = new Uint8Array(file, HEADER + count);
  const set = (from: number, to: number): Dataset => ({
    labels: labels.subarray(from, to),
    ...pixelLists(images.subarray(from * BYTES_PER_IMAGE, to * BYTES_PER_IMAGE)),
  });
  return { train: set(0, trainCount), test: set(trainCount, count) };
}

function pixelLists(images: Uint8Array): { on: Uint16Array; starts: Uint32Array } {
  const count = images.length / BYTES_PER_IMAGE;
  const on = new Uint16Array(images.length * 8), starts = new Uint32Array(count + 1);
  let length = 0;
  for (let image = 0; image < count; image++) {
    const bits = images.subarray(image * BYTES_PER_IMAGE, (image + 1) * BYTES_PER_IMAGE);
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      if ((bits[pixel >> 3]! >> (7 - (pixel & 7))) & 1) on[length++] = pixel;
    }
    starts[image + 1] = length;
  }
  return { on: on.slice(0, length), starts };
}

/** The pixels [28 * 28] of an image, 0 or 1. */
export function pixelsOf({ on, starts }: Dataset, image: number): Uint8Array {
  const pixels = new Uint8Array(PIXELS);
  for (const pixel of on.subarray(starts[image], starts[image + 1])) pixels[pixel] = 1;
  return pixels;
}

/** Endless batches of row numbers, in a new order each epoch. A smaller last batch is left out. */
export function* batches(count: number, size: number, uniform: () => number): Generator<Uint32Array, never> {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (;;) {
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(uniform() * (i + 1)), swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    for (let start = 0; start + size <= count; start += size) yield order.slice(start, start + size);
  }
}
