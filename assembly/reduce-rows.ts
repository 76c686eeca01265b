/** `reduce` of [outer, columns]: scratch holds a record for every vector of columns. */
import { closedRow, deviation, kept, passing } from './mask';
import { End, General, is, Plain, Rectified, Whole } from './tags';
import { CHAIN, lanes, loadEnd, loadPart, rectified, spillRow, storeEnd } from './vec';
import { clear, interleave, narrow, negate, vectors } from './wide';

/** Vectors in a record: the lane sums of g and of g * (x - shift), shift, and if there is a ReLU, scale and minus the offset. */
// @ts-ignore: decorator
@inline export function recordSize<R>(): i32 {
  return is<R, Rectified>() ? 5 : 3;
}

/** The sums of rows of `repeat` columns per channel. */
export function sweepColumns<T>(
  total: usize, dot: usize, dy: usize, x: usize, shift: usize,
  outer: i32, channels: i32, inner: i32, repeat: i32, step: usize, records: usize,
): void {
  const columns = channels * repeat, bytes = <usize>columns * 8;
  const s = records + 16 * vectors<T>(columns) * recordSize<Plain>(), q = s + bytes;
  memory.fill(s, 0, 2 * bytes);
  clear<T>(records, recordSize<Plain>(), columns);
  interleave<T>(records, recordSize<Plain>(), 2, shift, channels, repeat, inner);
  const together = inner == 1 ? repeat : 1;
  const rows = outer / together, done = <usize>(rows * together) * step;
  sweepRows<T, Plain, Plain>(s, q, dy, x, 0, rows, columns, step * together, 0, records);
  if (together > 1) {
    sweepRows<T, Plain, Plain>(s, q, dy + done, x + done, 0, outer - rows * together, channels, step, 0, records);
  }
  narrow(total, s, channels, repeat, inner);
  narrow(dot, q, channels, repeat, inner);
}

/** The sums of rows of one column per channel. */
export function sweepPlainRows<T, R, M>(
  total: usize, dot: usize, dy: usize, x: usize, mask: usize, shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  clear<T>(scratch, recordSize<R>(), channels);
  interleave<T>(scratch, recordSize<R>(), 2, shift, channels, 1, 1);
  if (is<R, Rectified>()) {
    interleave<T>(scratch, recordSize<R>(), 3, scale, channels, 1, 1);
    interleave<T>(scratch, recordSize<R>(), 4, offset, channels, 1, 1);
    negate<T>(scratch, recordSize<R>(), 4, channels);
  }
  sweepRows<T, R, M>(total, dot, dy, x, mask, outer, channels, step, maskStep, scratch);
}

/** Adds both sums of every column to the totals. Four rows per step, a quarter of the tensor apart, as in `moments`. */
function sweepRows<T, R, M>(
  total: usize, dot: usize, dy: usize, x: usize, mask: usize,
  outer: i32, columns: i32, step: usize, maskStep: usize, records: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16, rest = columns & (lanes<T>() - 1);
  const quarter = outer >> 2, apart = <usize>quarter * step, maskApart = <usize>quarter * maskStep;
  for (let o = 0; o < quarter; o += CHAIN) {
    const n = min(CHAIN, quarter - o);
    addFourRows<T, R, M>(records, dy, x, mask, n, full, rest, step, maskStep, apart, maskApart);
    spillRow<T>(total, dot, records, recordSize<R>(), full, rest);
    const bytes = <usize>n * step;
    dy += bytes; x += bytes; mask += <usize>n * maskStep;
  }
  if (outer & 3) {
    dy += 3 * apart; x += 3 * apart; mask += 3 * maskApart;
    for (let r = outer & 3; r > 0; --r) {
      addRow<T, R, M>(records, dy, x, mask, full, rest);
      dy += step; x += step; mask += maskStep;
    }
    spillRow<T>(total, dot, records, recordSize<R>(), full, rest);
  }
}

/** Adds one vector of each of four rows of dy and x, or the n elements at their ends, to the record at c. */
// @ts-ignore: decorator
@inline function addFour<T, R, M, V>(
  c: usize, dy0: usize, dy1: usize, dy2: usize, dy3: usize, x0: usize, x1: usize, x2: usize, x3: usize,
  m0: v128, m1: v128, m2: v128, m3: v128, n: i32 = 0,
): void {
  const k = v128.load(c, 32);
  const a = is<R, Rectified>() ? v128.load(c, 48) : k, b = is<R, Rectified>() ? v128.load(c, 64) : k;
  const d0 = deviation<T, M>(loadPart<T, V>(x0, n), k, m0), d1 = deviation<T, M>(loadPart<T, V>(x1, n), k, m1);
  const d2 = deviation<T, M>(loadPart<T, V>(x2, n), k, m2), d3 = deviation<T, M>(loadPart<T, V>(x3, n), k, m3);
  const u0 = passing<T, R, M>(loadPart<T, V>(dy0, n), d0, a, b, m0), u1 = passing<T, R, M>(loadPart<T, V>(dy1, n), d1, a, b, m1);
  const u2 = passing<T, R, M>(loadPart<T, V>(dy2, n), d2, a, b, m2), u3 = passing<T, R, M>(loadPart<T, V>(dy3, n), d3, a, b, m3);
  const u = v128.add<T>(v128.add<T>(u0, u1), v128.add<T>(u2, u3));
  const ud01 = v128.add<T>(v128.mul<T>(u0, d0), v128.mul<T>(u1, d1));
  const ud23 = v128.add<T>(v128.mul<T>(u2, d2), v128.mul<T>(u3, d3));
  v128.store(c, v128.add<T>(v128.load(c), u));
  v128.store(c, v128.add<T>(v128.load(c, 16), v128.add<T>(ud01, ud23)), 16);
}

/**
 * n steps of four rows each, `apart` bytes from each other: accumulators are loaded and stored a quarter as often. One
 * pointer each for x, dy and the records: with one per row there are not enough registers (0.85 instead of 0.58 ns per
 * vector), nor with one per coefficient (1.9).
 */
function addFourRows<T, R, M>(
  records: usize, dy: usize, x: usize, mask: usize,
  n: i32, full: usize, rest: i32, step: usize, maskStep: usize, apart: usize, maskApart: usize,
): void {
  for (; n > 0; --n) {
    const m0 = closedRow<M>(mask), m1 = closedRow<M>(mask + maskApart);
    const m2 = closedRow<M>(mask + 2 * maskApart), m3 = closedRow<M>(mask + 3 * maskApart);
    let x0 = x, dy0 = dy, c = records;
    const end = x + full;
    if (is<R, Plain>() && is<M, Plain>()) {
      // Two vectors per step, since newer versions of V8 do not unroll such a loop: 0.53 instead of 0.62 ns per vector on Node 26.
      const pairs = end - 16;
      while (x0 < pairs) {
        const x1 = x0 + apart, x2 = x1 + apart, x3 = x2 + apart, dy1 = dy0 + apart, dy2 = dy1 + apart, dy3 = dy2 + apart;
        addFour<T, R, M, Whole>(c, dy0, dy1, dy2, dy3, x0, x1, x2, x3, m0, m1, m2, m3);
        addFour<T, R, M, Whole>(
          c + 16 * recordSize<R>(), dy0 + 16, dy1 + 16, dy2 + 16, dy3 + 16, x0 + 16, x1 + 16, x2 + 16, x3 + 16, m0, m1, m2, m3,
        );
        x0 += 32; dy0 += 32; c += 32 * recordSize<R>();
      }
    }
    while (x0 < end) {
      const x1 = x0 + apart, x2 = x1 + apart, x3 = x2 + apart, dy1 = dy0 + apart, dy2 = dy1 + apart, dy3 = dy2 + apart;
      addFour<T, R, M, Whole>(c, dy0, dy1, dy2, dy3, x0, x1, x2, x3, m0, m1, m2, m3);
      x0 += 16; dy0 += 16; c += 16 * recordSize<R>();
    }
    if (rest) {
      // Not from x0 and dy0: V8 would then compute what this has in common with the loop before it knows whether the loop goes on.
      const x1 = end + apart, x2 = x1 + apart, x3 = x2 + apart;
      const dyEnd = dy + full, dy1 = dyEnd + apart, dy2 = dy1 + apart, dy3 = dy2 + apart;
      addFour<T, R, M, End>(c, dyEnd, dy1, dy2, dy3, end, x1, x2, x3, m0, m1, m2, m3, rest);
    }
    x += step; dy += step; mask += maskStep;
  }
}

/** Adds one row to the records. */
function addRow<T, R, M>(c: usize, dy: usize, x: usize, mask: usize, full: usize, rest: i32): void {
  const m = closedRow<M>(mask);
  for (let i: usize = 0; i < full; i += 16) {
    addOne<T, R, M>(c, v128.load(dy + i), v128.load(x + i), m);
    c += 16 * recordSize<R>();
  }
  if (rest) addOne<T, R, M>(c, loadEnd<T>(dy + full, rest), loadEnd<T>(x + full, rest), m);
}

/** Adds one vector of dy and x to the record at c. */
// @ts-ignore: decorator
@inline function addOne<T, R, M>(c: usize, dy: v128, x: v128, m: v128): void {
  const k = v128.load(c, 32);
  const a = is<R, Rectified>() ? v128.load(c, 48) : k, b = is<R, Rectified>() ? v128.load(c, 64) : k;
  const d = deviation<T, M>(x, k, m);
  add<T>(c, passing<T, R, M>(dy, d, a, b, m), d);
}

/** Adds g = u and x - shift = d to the record at c. */
// @ts-ignore: decorator
@inline function add<T>(c: usize, u: v128, d: v128): void {
  v128.store(c, v128.add<T>(v128.load(c), u));
  v128.store(c, v128.add<T>(v128.load(c, 16), v128.mul<T>(u, d)), 16);
}

/** As sweepPlainRows, but the ReLU's sign comes from y, or g is written, or both. One row at a time. */
export function sweepGeneralRows<T, M>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize, shift: usize,
  outer: i32, channels: i32, step: usize, maskStep: usize, records: usize,
): void {
  const full = <usize>(channels / lanes<T>()) * 16, rest = channels & (lanes<T>() - 1);
  clear<T>(records, recordSize<General>(), channels);
  interleave<T>(records, recordSize<General>(), 2, shift, channels, 1, 1);
  for (let o = 0; o < outer; o += CHAIN) {
    const n = min(CHAIN, outer - o);
    for (let r = 0; r < n; ++r) {
      addGeneralRow<T, M>(records, g, dy, y, x, mask, full, rest);
      dy += step; x += step; mask += maskStep;
      if (g) g += step;
      if (y) y += step;
    }
    spillRow<T>(total, dot, records, recordSize<General>(), full, rest);
  }
}

function addGeneralRow<T, M>(
  c: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize, full: usize, rest: i32,
): void {
  const m = closedRow<M>(mask);
  for (let i: usize = 0; i < full; i += 16) {
    let u = kept<M>(v128.load(dy + i), m);
    if (y) u = rectified<T>(u, v128.load(y + i));
    if (g) v128.store(g + i, u);
    add<T>(c, u, deviation<T, M>(v128.load(x + i), v128.load(c, 32), m));
    c += 16 * recordSize<General>();
  }
  if (rest) {
    let u = kept<M>(loadEnd<T>(dy + full, rest), m);
    if (y) u = rectified<T>(u, loadEnd<T>(y + full, rest));
    if (g) storeEnd<T>(g + full, u, rest);
    add<T>(c, u, deviation<T, M>(loadEnd<T>(x + full, rest), v128.load(c, 32), m));
  }
}
