/** `moments` of [outer, columns]: scratch holds a record for every vector of columns. */
import { closedRow, deviation } from './mask';
import { CHAIN } from './moments-shift';
import { End, is, Plain, Whole } from './tags';
import { four, fourSquares, lanes, loadEnd, loadPart, spillRow } from './vec';
import { clear, interleave, narrow, vectors } from './wide';

/** Vectors in a record: sum d, sum d^2, K. */
export const VECTORS = 3;

/** One sweep over rows of `repeat` columns per channel. `shift` holds K of every channel, `records` are the rest of scratch. */
export function sweepColumns<T, M>(
  mean: usize, m2: usize, x: usize, mask: usize,
  outer: i32, channels: i32, inner: i32, repeat: i32, step: usize, maskStep: usize, shift: usize, records: usize,
): void {
  const columns = channels * repeat, bytes = <usize>columns * 8;
  const wide = repeat > 1;
  const s = wide ? records + 16 * VECTORS * vectors<T>(columns) : mean, q = wide ? s + bytes : m2;
  memory.fill(s, 0, bytes);
  memory.fill(q, 0, bytes);
  clear<T>(records, VECTORS, columns);
  interleave<T>(records, VECTORS, 2, shift, channels, repeat, inner);
  if (wide && inner == 1) {
    const rows = outer / repeat;
    sweepRows<T, M>(s, q, x, 0, rows, columns, step * repeat, 0, records);
    const x1 = x + <usize>(rows * repeat) * step;
    sweepRows<T, M>(s, q, x1, 0, outer - rows * repeat, channels, step, 0, records);
  } else {
    sweepRows<T, M>(s, q, x, mask, outer, columns, step, maskStep, records);
  }
  if (wide) {
    narrow(mean, s, channels, repeat, inner);
    narrow(m2, q, channels, repeat, inner);
  }
}

/**
 * Adds sum d and sum d^2 of every column to the totals, by way of lane sums, which are 0 at first.
 *
 * Four rows per step: accumulators are loaded and stored a quarter as often, and values enter a lane as sums of four. The
 * rows lie a quarter of the tensor apart: prefetchers follow four separate streams best, and are confused by rows within
 * one page (see bench/NOTES.md).
 */
function sweepRows<T, M>(
  total: usize, squares: usize, x: usize, mask: usize,
  outer: i32, columns: i32, step: usize, maskStep: usize, records: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16, rest = columns & (lanes<T>() - 1);
  const quarter = outer >> 2, apart = <usize>quarter * step, maskApart = <usize>quarter * maskStep;
  let added = outer & 3;
  addRows<T, M>(records, x + 4 * apart, mask + 4 * maskApart, added, full, rest, step, maskStep);
  for (let o = 0; o < quarter || added; added = 0) {
    const n = min(CHAIN - added, quarter - o);
    addFourRows<T, M>(records, x, mask, n, full, rest, step, maskStep, apart, maskApart);
    spillRow<T>(total, squares, records, VECTORS, full, rest);
    x += <usize>n * step;
    mask += <usize>n * maskStep;
    o += n;
  }
}

/** Adds one vector of each of four rows, or the n elements at their ends, to the record at c. */
// @ts-ignore: decorator
@inline function addFour<T, M, V>(
  c: usize, x0: usize, x1: usize, x2: usize, x3: usize, m0: v128, m1: v128, m2: v128, m3: v128, n: i32 = 0,
): void {
  const k = v128.load(c, 32);
  const d0 = deviation<T, M>(loadPart<T, V>(x0, n), k, m0), d1 = deviation<T, M>(loadPart<T, V>(x1, n), k, m1);
  const d2 = deviation<T, M>(loadPart<T, V>(x2, n), k, m2), d3 = deviation<T, M>(loadPart<T, V>(x3, n), k, m3);
  v128.store(c, v128.add<T>(v128.load(c), four<T>(d0, d1, d2, d3)));
  v128.store(c, v128.add<T>(v128.load(c, 16), fourSquares<T>(d0, d1, d2, d3)), 16);
}

/** n steps of four rows each, `apart` bytes from each other. */
function addFourRows<T, M>(
  records: usize, x: usize, mask: usize, n: i32, full: usize, rest: i32,
  step: usize, maskStep: usize, apart: usize, maskApart: usize,
): void {
  for (; n > 0; --n) {
    const m0 = closedRow<M>(mask), m1 = closedRow<M>(mask + maskApart);
    const m2 = closedRow<M>(mask + 2 * maskApart), m3 = closedRow<M>(mask + 3 * maskApart);
    let x0 = x, c = records;
    const end = x + full;
    if (is<M, Plain>()) {
      // Two vectors per step: 0.95 to 1.00 of the time, although V8 unrolls the other loop as well on Node 20.
      const pairs = end - 16;
      while (x0 < pairs) {
        const x1 = x0 + apart, x2 = x1 + apart, x3 = x2 + apart;
        addFour<T, M, Whole>(c, x0, x1, x2, x3, m0, m1, m2, m3);
        addFour<T, M, Whole>(c + 16 * VECTORS, x0 + 16, x1 + 16, x2 + 16, x3 + 16, m0, m1, m2, m3);
        x0 += 32; c += 32 * VECTORS;
      }
    }
    while (x0 < end) {
      const x1 = x0 + apart, x2 = x1 + apart, x3 = x2 + apart;
      addFour<T, M, Whole>(c, x0, x1, x2, x3, m0, m1, m2, m3);
      x0 += 16; c += 16 * VECTORS;
    }
    if (rest) {
      const x1 = end + apart, x2 = x1 + apart, x3 = x2 + apart;
      addFour<T, M, End>(c, end, x1, x2, x3, m0, m1, m2, m3, rest);
    }
    x += step; mask += maskStep;
  }
}

/** n rows, one after another. */
function addRows<T, M>(
  records: usize, x: usize, mask: usize, n: i32, full: usize, rest: i32, step: usize, maskStep: usize,
): void {
  for (; n > 0; --n) {
    const m = closedRow<M>(mask);
    let c = records;
    for (let i: usize = 0; i < full; i += 16) {
      addOne<T, M>(c, v128.load(x + i), m);
      c += 16 * VECTORS;
    }
    if (rest) addOne<T, M>(c, loadEnd<T>(x + full, rest), m);
    x += step; mask += maskStep;
  }
}

/** Adds one vector to the record at c. */
// @ts-ignore: decorator
@inline function addOne<T, M>(c: usize, x: v128, m: v128): void {
  const d = deviation<T, M>(x, v128.load(c, 32), m);
  v128.store(c, v128.add<T>(v128.load(c), d));
  v128.store(c, v128.add<T>(v128.load(c, 16), v128.mul<T>(d, d)), 16);
}
