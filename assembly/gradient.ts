import { lanes, loadTail, storeTail } from './vec';
import { rowsPerBlock, severalRows } from './walk';
import { interleave, repeatOf } from './wide';

/**
 * dx = g * p + ((x - shift) * q + r)
 *
 *   dx, g, x        [outer, channels, inner]  T   dx may be g or x itself
 *   shift, p, q, r  [channels]                T
 *   pitch           elements between outer slices, >= channels * inner
 *   scratch         scratchBytes(channels), aligned to 16
 *
 * The gradient through the batch statistics (Ioffe & Szegedy 2015, section 3, dl/dx with the terms of dl/dvar and
 * dl/dmean collected into q and r).
 */
export function gradient<T>(
  dx: usize, g: usize, x: usize, shift: usize, p: usize, q: usize, r: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>();
  const repeat = repeatOf(outer, channels, inner, pitch);
  if (repeat == 0) {
    planes<T>(dx, g, x, shift, p, q, r, outer, channels, inner, step);
    return;
  }
  interleave<T>(scratch, 4, 0, shift, channels, repeat, inner);
  interleave<T>(scratch, 4, 1, p, channels, repeat, inner);
  interleave<T>(scratch, 4, 2, q, channels, repeat, inner);
  interleave<T>(scratch, 4, 3, r, channels, repeat, inner);
  const together = inner == 1 ? repeat : 1;
  const wide = outer / together, bytes = <usize>(wide * together) * step;
  rows<T>(dx, g, x, scratch, wide, channels * repeat, step * together);
  if (together > 1) rows<T>(dx + bytes, g + bytes, x + bytes, scratch, outer - wide * together, channels, step);
}

function planes<T>(
  dx: usize, g: usize, x: usize, shift: usize, p: usize, q: usize, r: usize,
  outer: i32, channels: i32, inner: i32, step: usize,
): void {
  const plane = <usize>inner * sizeof<T>();
  for (let o = 0; o < outer; ++o) {
    for (let i: usize = 0, at: usize = 0; i < <usize>channels * sizeof<T>(); i += sizeof<T>(), at += plane) {
      run<T>(dx + at, g + at, x + at, shift + i, p + i, q + i, r + i, inner);
    }
    dx += step; g += step; x += step;
  }
}

/** The operator on one vector. */
// @ts-ignore: decorator
@inline function op<T>(g: v128, x: v128, k: v128, p: v128, q: v128, r: v128): v128 {
  return v128.add<T>(v128.mul<T>(g, p), v128.add<T>(v128.mul<T>(v128.sub<T>(x, k), q), r));
}

/** One plane: n consecutive values of one channel. */
function run<T>(
  dx: usize, g: usize, x: usize, shift: usize, p: usize, q: usize, r: usize, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(p), b = v128.load_splat<T>(q), c = v128.load_splat<T>(r);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const u = op<T>(v128.load(g), v128.load(x), k, a, b, c);
    const v = op<T>(v128.load(g, 16), v128.load(x, 16), k, a, b, c);
    v128.store(dx, u);
    v128.store(dx, v, 16);
    x += 32; g += 32; dx += 32;
  }
  if (x < end) {
    v128.store(dx, op<T>(v128.load(g), v128.load(x), k, a, b, c));
    g += 16; dx += 16;
  }
  if (rest) storeTail<T>(dx, op<T>(loadTail<T>(g, rest), loadTail<T>(end, rest), k, a, b, c), rest);
}

function rows<T>(dx: usize, g: usize, x: usize, records: usize, outer: i32, columns: i32, step: usize): void {
  const full = <usize>(columns / lanes<T>()) * 16;
  const rest = columns & (lanes<T>() - 1);
  const two = severalRows(3 * <usize>outer * step, full);
  const block = rowsPerBlock(step);
  while (outer > 0) {
    const n = min(block, outer);
    const paired = two ? n & ~1 : 0;
    const done = <usize>paired * step;
    if (paired) rowPairs<T>(dx, g, x, records, paired, full, step);
    if (n > paired) singleRows<T>(dx + done, g + done, x + done, records, n - paired, full, step);
    if (rest) rowTails<T>(dx + full, g + full, x + full, records + 4 * full, n, rest, step);
    const bytes = <usize>n * step;
    dx += bytes; g += bytes; x += bytes;
    outer -= n;
  }
}

/** The operator on the vectors at g and x, with the record at c. */
// @ts-ignore: decorator
@inline function at<T>(g: v128, x: v128, c: usize): v128 {
  return op<T>(g, x, v128.load(c), v128.load(c, 16), v128.load(c, 32), v128.load(c, 48));
}

/** Rows one after another, `full` bytes of each. */
function singleRows<T>(dxRow: usize, gRow: usize, xRow: usize, records: usize, n: i32, full: usize, step: usize): void {
  for (; n > 0; --n) {
    let dx = dxRow, g = gRow, x = xRow, c = records;
    const end = x + full;
    const pairs = end - 16;
    while (x < pairs) {
      v128.store(dx, at<T>(v128.load(g), v128.load(x), c));
      v128.store(dx, op<T>(
        v128.load(g, 16), v128.load(x, 16), v128.load(c, 64), v128.load(c, 80), v128.load(c, 96), v128.load(c, 112),
      ), 16);
      x += 32; g += 32; dx += 32; c += 128;
    }
    if (x < end) v128.store(dx, at<T>(v128.load(g), v128.load(x), c));
    dxRow += step; gRow += step; xRow += step;
  }
}

/** Rows two at a time (n is even), so that the per-channel numbers are loaded once for both. */
function rowPairs<T>(dxRow: usize, gRow: usize, xRow: usize, records: usize, n: i32, full: usize, step: usize): void {
  for (; n > 0; n -= 2) {
    let dx = dxRow, g = gRow, x = xRow, c = records;
    const end = x + full;
    while (x < end) {
      const k = v128.load(c), p = v128.load(c, 16), q = v128.load(c, 32), r = v128.load(c, 48);
      v128.store(dx, op<T>(v128.load(g), v128.load(x), k, p, q, r));
      v128.store(dx + step, op<T>(v128.load(g + step), v128.load(x + step), k, p, q, r));
      x += 16; g += 16; dx += 16; c += 64;
    }
    dxRow += 2 * step; gRow += 2 * step; xRow += 2 * step;
  }
}

/** The columns that do not fill a vector, down n rows. */
function rowTails<T>(dx: usize, g: usize, x: usize, record: usize, n: i32, rest: i32, step: usize): void {
  const k = v128.load(record), p = v128.load(record, 16), q = v128.load(record, 32), r = v128.load(record, 48);
  for (; n > 0; --n) {
    storeTail<T>(dx, op<T>(loadTail<T>(g, rest), loadTail<T>(x, rest), k, p, q, r), rest);
    dx += step; g += step; x += step;
  }
}
