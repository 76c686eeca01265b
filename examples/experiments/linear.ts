/** A linear layer x = u W in plain float64, for the experiments that measure rounding errors. */
import { type Dataset, PIXELS } from '../mnist/data.js';

/** Row-major [rows, columns]. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export function matrix(rows: number, columns: number, value: (i: number) => number): Matrix {
  return { rows, columns, values: Float64Array.from({ length: rows * columns }, (_, i) => value(i)) };
}

/** Images [count, 784] of a set, starting at `start`. */
export function imagesOf({ images }: Dataset, start: number, count: number): Matrix {
  return matrix(count, PIXELS, (i) => images[start * PIXELS + i]!);
}

/** The matrix product a b. */
export function product(a: Matrix, b: Matrix): Matrix {
  const result = matrix(a.rows, b.columns, () => 0), { values } = result, n = b.columns;
  for (let i = 0; i < a.rows; i++) {
    for (let k = 0; k < a.columns; k++) {
      const factor = a.values[i * a.columns + k]!;
      if (factor === 0) continue;
      for (let j = 0; j < n; j++) values[i * n + j]! += factor * b.values[k * n + j]!;
    }
  }
  return result;
}

export function transpose({ rows, columns, values }: Matrix): Matrix {
  return matrix(columns, rows, (i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}

/** The largest difference of two arrays, relative to the largest value of the second. */
export function relativeDistance(actual: Float64Array, expected: Float64Array): number {
  let difference = 0, size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i]! - expected[i]!));
    size = Math.max(size, Math.abs(expected[i]!));
  }
  return difference / size;
}
