/** Seeded data, and arrays by dtype and layout. Nothing here needs a runtime, or anything that only one host has. */
import type { BatchNorm, DType, Layout } from '../src/index.js';
import { random, standardNormal } from './random.js';

export const DTYPES = ['float32', 'float64'] as const;
export const LAYOUTS = ['channels-first', 'channels-last'] as const;

/**
 * Shapes [N, C, ...] that break loops: one below and above a vector, two vectors and a tail, one channel, positions of
 * 1, 49 and 196, and one below and above the number of rows and values that are added before the sum goes into f64.
 */
export const SHAPES: readonly (readonly number[])[] = [
  [2, 1], [5, 3], [7, 4], [3, 5], [2, 11], [60, 100], [59, 6], [61, 8], [239, 3], [241, 13], [500, 2],
  [1, 2, 3], [4, 3, 2], [3, 2, 4], [2, 3, 5], [9, 3, 49], [5, 7, 196], [2, 2, 479], [2, 2, 481], [1, 3, 1201],
  [3, 4099], [2, 4098, 5], [2, 1, 9], [1, 1, 1000], [3, 5, 7, 7], [2, 9, 1, 1], [1, 17, 4, 4], [2, 3, 2, 3, 4],
];

/** n normal numbers, the same for the same seed. */
export function normal(n: number, seed: number, mean = 0, std = 1): number[] {
  const next = standardNormal(random(seed));
  return Array.from({ length: n }, () => mean + std * next());
}

/** An array of the dtype. Its type is one of the two, since the overloads of the package take no union. */
export function arrayOf(dtype: 'float64', values: ArrayLike<number>): Float64Array;
export function arrayOf(dtype: DType, values: ArrayLike<number>): Float32Array;
export function arrayOf(dtype: DType, values: ArrayLike<number>): Float32Array | Float64Array {
  return dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** A channels-first shape in another layout. */
export function shapeIn(layout: Layout, shape: readonly number[]): number[] {
  const [n = 0, c = 0, ...positions] = shape;
  return layout === 'channels-first' ? [...shape] : [n, ...positions, c];
}

/** The index, in a layout, of every element of a channels-first array, by channel: places[c][n * positions + i]. */
export function placesOf(shape: readonly number[], layout: Layout): number[][] {
  const [n = 0, channels = 0, ...rest] = shape;
  const positions = sizeOf(rest);
  return Array.from({ length: channels }, (_, c) =>
    Array.from({ length: n * positions }, (_, m) => {
      const o = Math.floor(m / positions), i = m % positions;
      return layout === 'channels-first' ? (o * channels + c) * positions + i : (o * positions + i) * channels + c;
    }),
  );
}

/** A channels-first array in another layout. */
export function permute(values: ArrayLike<number>, shape: readonly number[], layout: Layout): number[] {
  const result = new Array<number>(values.length);
  const from = placesOf(shape, 'channels-first'), to = placesOf(shape, layout);
  from.forEach((places, c) => {
    places.forEach((place, m) => { result[to[c]![m]!] = values[place]!; });
  });
  return result;
}

/**
 * The largest difference, each relative to `scale` of the expected value: max(1, |expected|) by default. Where only one
 * of two values is NaN or infinite, it is NaN or infinite too: NaN passes neither toBeLessThan nor toBeGreaterThan.
 * @throws {RangeError} The lengths differ.
 */
export function distance(
  actual: ArrayLike<number>, expected: ArrayLike<number>, scale = (value: number) => Math.max(1, Math.abs(value)),
): number {
  const { length } = expected;
  if (actual.length !== length) throw new RangeError(`Expected ${length} values, got ${actual.length}`);
  let most = 0;
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i]!, b = expected[i]!;
    if (!Object.is(a, b) && a !== b) most = Math.max(most, Math.abs(a - b) / scale(b));
  }
  return most;
}

/** Arrays one after another: parts of a batch as one, in either layout. */
export function concatenate(dtype: 'float64', parts: readonly ArrayLike<number>[]): Float64Array;
export function concatenate(dtype: DType, parts: readonly ArrayLike<number>[]): Float32Array;
export function concatenate(dtype: DType, parts: readonly ArrayLike<number>[]): Float32Array | Float64Array {
  return arrayOf(dtype, parts.flatMap((part) => Array.from(part)));
}

/** Everything of a module that a forward or backward could change. */
export function everything(bn: BatchNorm) {
  return { state: bn.stateDict(), training: bn.training, batches: bn.numBatchesTracked, context: bn.context };
}

/** A mask that lets about two positions in three pass. */
export function maskOf(positions: number, seed: number): Uint8Array {
  const uniform = random(seed);
  return Uint8Array.from({ length: positions }, () => (uniform() < 0.67 ? 1 : 0));
}
