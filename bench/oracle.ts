/** The reference for every side: f64 loops with compensated sums, in memory order. */
import { CompensatedSum } from '../test/oracle.js';
import { type Case, EPS } from './cases.js';
import type { Operation } from './protocol.js';

/** The largest errors of a result; NaN if the result contains NaN. */
export interface Errors {
  /** Of y per unit of weight; of dx relative to max(1, |dx|). */
  readonly values: number;
  /** Of dweight and dbias, relative to the larger of their own size and the square root of the number of values summed. */
  readonly gradients: number;
}

export interface Oracle {
  /** @throws {RangeError} if the result has the wrong length. */
  errors(operation: Operation, result: Float32Array): Errors;
}

export function oracleOf(data: Case): Oracle {
  const { channels, size, arrays } = data;
  const { x, dy, weight, bias } = arrays;
  const count = size / channels;
  const running = {
    mean: Float64Array.from(arrays.mean),
    std: Float64Array.from(arrays.variance, (variance) => Math.sqrt(variance + EPS)),
  };
  const mean = sums(data, (i) => x[i]!).map((sum) => sum / count);
  const std = sums(data, (i, c) => (x[i]! - mean[c]!) ** 2).map((sum) => Math.sqrt(sum / count + EPS));
  const total = sums(data, (i) => dy[i]!);
  const dot = sums(data, (i, c) => (dy[i]! * (x[i]! - mean[c]!)) / std[c]!);

  const forward = (y: Float32Array, statistics: { mean: Float64Array; std: Float64Array }) =>
    worst(data, (i, c) => {
      const expected = ((x[i]! - statistics.mean[c]!) / statistics.std[c]!) * weight[c]! + bias[c]!;
      return Math.abs(y[i]! - expected) / Math.max(1, weight[c]!);
    });
  const backward = (dx: Float32Array) =>
    worst(data, (i, c) => {
      const xhat = (x[i]! - mean[c]!) / std[c]!;
      const expected = (weight[c]! / std[c]!) * (dy[i]! - total[c]! / count - (xhat * dot[c]!) / count);
      return Math.abs(dx[i]! - expected) / Math.max(1, Math.abs(expected));
    });
  const parameters = (result: Float32Array) =>
    [...dot, ...total].reduce((most, expected, i) => {
      const error = Math.abs(result[size + i]! - expected) / Math.max(Math.sqrt(count), Math.abs(expected));
      return larger(most, error);
    }, 0);

  return {
    errors(operation, result) {
      const expected = operation === 'backward' ? size + 2 * channels : size;
      if (result.length !== expected) throw new RangeError(`a result expected ${expected} values, got ${result.length}`);
      if (operation === 'backward') return { values: backward(result), gradients: parameters(result) };
      return { values: forward(result, operation === 'eval' ? running : { mean, std }), gradients: 0 };
    },
  };
}

/** Calls `visit` with every index and its channel, in memory order. */
function eachValue({ outer, channels, inner }: Case, visit: (i: number, c: number) => void): void {
  let i = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      for (const end = i + inner; i < end; i++) visit(i, c);
    }
  }
}

function sums(data: Case, value: (i: number, c: number) => number): Float64Array {
  const totals = Array.from({ length: data.channels }, () => new CompensatedSum());
  eachValue(data, (i, c) => { totals[c]!.add(value(i, c)); });
  return Float64Array.from(totals, (total) => total.value);
}

function worst(data: Case, error: (i: number, c: number) => number): number {
  let most = 0;
  eachValue(data, (i, c) => { most = larger(most, error(i, c)); });
  return most;
}

/** The larger of two errors; NaN if either is NaN. */
function larger(most: number, error: number): number {
  return error <= most || Number.isNaN(most) ? most : error;
}
