import { General, is, offsetOf, Plain, Rectified } from './tags';
import { lanes, loadTail, rectified, storeTail } from './vec';
import { rowsPerBlock, severalRows } from './walk';
import { interleave, repeatOf } from './wide';

/**
 * dx = g * p + ((x - shift) * q + r) [where mask, else 0]      g, or 0 where (x - shift) * p + offset <= 0
 *
 *   dx, g, x                [outer, channels, inner]  T   dx may be g or x itself
 *   mask                    [outer, inner]            T   all bits or none of each element; 0: no mask
 *   shift, p, q, r, offset  [channels]                T   offset = 0: g is taken as it is
 *   pitch, maskPitch        elements between outer slices of the tensors, >= channels * inner, and of the mask
 *   scratch                 scratchBytes(channels, inner), aligned to 16
 *
 * The gradient through the batch statistics (Ioffe & Szegedy 2015, section 3, dl/dx with the terms of dl/dvar and
 * dl/dmean collected into q and r). With an offset also through a ReLU: p is then the scale of the forward, and the
 * sign of what the ReLU was given is found again from x.
 */
export function gradient<T>(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  if (!mask && offset) {
    walk<T, Rectified>(dx, g, x, 0, shift, p, q, r, offset, outer, channels, inner, pitch, 0, scratch);
  } else if (mask) {
    walk<T, General>(dx, g, x, mask, shift, p, q, r, offset, outer, channels, inner, pitch, maskPitch, scratch);
  } else {
    walk<T, Plain>(dx, g, x, 0, shift, p, q, r, 0, outer, channels, inner, pitch, 0, scratch);
  }
}

/** The operator on one vector; b is the offset of the forward, for the sign that a ReLU was given. */
// @ts-ignore: decorator
@inline function op<T, R>(g: v128, x: v128, k: v128, p: v128, q: v128, r: v128, b: v128): v128 {
  const d = v128.sub<T>(x, k);
  const u = is<R, Rectified>() ? rectified<T>(g, v128.add<T>(v128.mul<T>(d, p), b)) : g;
  return v128.add<T>(v128.mul<T>(u, p), v128.add<T>(v128.mul<T>(d, q), r));
}

function walk<T, R>(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch * sizeof<T>();
  const repeat = mask ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  if (repeat == 0) {
    planes<T, R>(dx, g, x, mask, shift, p, q, r, offset, outer, channels, inner, step, maskStep);
    return;
  }
  const size = is<R, Plain>() ? 4 : 5;
  interleave<T>(scratch, size, 0, shift, channels, repeat, inner);
  interleave<T>(scratch, size, 1, p, channels, repeat, inner);
  interleave<T>(scratch, size, 2, q, channels, repeat, inner);
  interleave<T>(scratch, size, 3, r, channels, repeat, inner);
  if (!is<R, Plain>()) interleave<T>(scratch, size, 4, offset ? offset : r, channels, repeat, inner);
  const together = inner == 1 ? repeat : 1;
  const wide = outer / together, bytes = <usize>(wide * together) * step;
  rows<T, R>(dx, g, x, mask, offset, scratch, wide, channels * repeat, step * together, maskStep);
  if (together > 1) {
    rows<T, R>(dx + bytes, g + bytes, x + bytes, 0, offset, scratch, outer - wide * together, channels, step, 0);
  }
}

function planes<T, R>(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize,
): void {
  const plane = <usize>inner * sizeof<T>();
  for (let o = 0; o < outer; ++o) {
    for (let i: usize = 0, at: usize = 0; i < <usize>channels * sizeof<T>(); i += sizeof<T>(), at += plane) {
      if (is<R, General>()) {
        const b = offsetOf(offset, i);
        generalRun<T>(dx + at, g + at, x + at, mask, shift + i, p + i, q + i, r + i, b, inner);
      } else {
        run<T, R>(dx + at, g + at, x + at, shift + i, p + i, q + i, r + i, offsetOf(offset, i), inner);
      }
    }
    dx += step; g += step; x += step;
    if (is<R, General>()) mask = offsetOf(mask, maskStep);
  }
}

/** One plane: n consecutive values of one channel. */
function run<T, R>(
  dx: usize, g: usize, x: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(p), b = v128.load_splat<T>(q), c = v128.load_splat<T>(r);
  const d = is<R, Rectified>() ? v128.load_splat<T>(offset) : c;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const u = op<T, R>(v128.load(g), v128.load(x), k, a, b, c, d);
    const v = op<T, R>(v128.load(g, 16), v128.load(x, 16), k, a, b, c, d);
    v128.store(dx, u);
    v128.store(dx, v, 16);
    x += 32; g += 32; dx += 32;
  }
  if (x < end) {
    v128.store(dx, op<T, R>(v128.load(g), v128.load(x), k, a, b, c, d));
    g += 16; dx += 16;
  }
  if (rest) storeTail<T>(dx, op<T, R>(loadTail<T>(g, rest), loadTail<T>(end, rest), k, a, b, c, d), rest);
}

/** The same with a mask, and through a ReLU or not. */
function generalRun<T>(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize, n: i32,
): void {
  if (offset) maskedRun<T, Rectified>(dx, g, x, mask, shift, p, q, r, offset, n);
  else maskedRun<T, Plain>(dx, g, x, mask, shift, p, q, r, r, n);
}

function maskedRun<T, R>(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(p), b = v128.load_splat<T>(q), c = v128.load_splat<T>(r);
  const d = v128.load_splat<T>(offset);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const u = op<T, R>(v128.load(g), v128.load(x), k, a, b, c, d);
    const v = op<T, R>(v128.load(g, 16), v128.load(x, 16), k, a, b, c, d);
    v128.store(dx, v128.and(u, v128.load(mask)));
    v128.store(dx, v128.and(v, v128.load(mask, 16)), 16);
    x += 32; g += 32; dx += 32; mask += 32;
  }
  if (x < end) {
    v128.store(dx, v128.and(op<T, R>(v128.load(g), v128.load(x), k, a, b, c, d), v128.load(mask)));
    g += 16; dx += 16; mask += 16;
  }
  if (rest) {
    const u = op<T, R>(loadTail<T>(g, rest), loadTail<T>(end, rest), k, a, b, c, d);
    storeTail<T>(dx, v128.and(u, loadTail<T>(mask, rest)), rest);
  }
}

function rows<T, R>(
  dx: usize, g: usize, x: usize, mask: usize, offset: usize, records: usize,
  outer: i32, columns: i32, step: usize, maskStep: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16;
  const rest = columns & (lanes<T>() - 1);
  const several = !is<R, General>() && severalRows(3 * <usize>outer * step, full);
  const block = rowsPerBlock(step);
  while (outer > 0) {
    const n = min(block, outer);
    const bytes = <usize>n * step;
    if (is<R, General>()) {
      generalRows<T>(dx, g, x, mask, offset, records, n, full, rest, step, maskStep);
      mask = offsetOf(mask, <usize>n * maskStep);
    } else {
      const paired = several ? n & ~1 : 0;
      const done = <usize>paired * step;
      if (paired) rowPairs<T, R>(dx, g, x, records, paired, full, step);
      if (n > paired) singleRows<T, R>(dx + done, g + done, x + done, records, n - paired, full, step);
      if (rest) rowTails<T, R>(dx + full, g + full, x + full, records + (is<R, Plain>() ? 4 : 5) * full, n, rest, step);
    }
    dx += bytes; g += bytes; x += bytes;
    outer -= n;
  }
}

/** The operator on the vectors g and x, with the record at c. */
// @ts-ignore: decorator
@inline function at<T, R>(g: v128, x: v128, c: usize): v128 {
  const r = v128.load(c, 48);
  return op<T, R>(g, x, v128.load(c), v128.load(c, 16), v128.load(c, 32), r, is<R, Plain>() ? r : v128.load(c, 64));
}

/** Rows one after another, `full` bytes of each. */
function singleRows<T, R>(
  dxRow: usize, gRow: usize, xRow: usize, records: usize, n: i32, full: usize, step: usize,
): void {
  const record: usize = is<R, Plain>() ? 64 : 80;
  for (; n > 0; --n) {
    let dx = dxRow, g = gRow, x = xRow, c = records;
    const end = x + full;
    const pairs = end - 16;
    while (x < pairs) {
      v128.store(dx, at<T, R>(v128.load(g), v128.load(x), c));
      v128.store(dx, at<T, R>(v128.load(g, 16), v128.load(x, 16), c + record), 16);
      x += 32; g += 32; dx += 32; c += 2 * record;
    }
    if (x < end) v128.store(dx, at<T, R>(v128.load(g), v128.load(x), c));
    dxRow += step; gRow += step; xRow += step;
  }
}

/** Rows two at a time (n is even), so that the per-channel numbers are loaded once for both. */
function rowPairs<T, R>(
  dxRow: usize, gRow: usize, xRow: usize, records: usize, n: i32, full: usize, step: usize,
): void {
  for (; n > 0; n -= 2) {
    let dx = dxRow, g = gRow, x = xRow, c = records;
    const end = x + full;
    while (x < end) {
      const k = v128.load(c), p = v128.load(c, 16), q = v128.load(c, 32), r = v128.load(c, 48);
      const b = is<R, Plain>() ? r : v128.load(c, 64);
      v128.store(dx, op<T, R>(v128.load(g), v128.load(x), k, p, q, r, b));
      v128.store(dx + step, op<T, R>(v128.load(g + step), v128.load(x + step), k, p, q, r, b));
      x += 16; g += 16; dx += 16; c += is<R, Plain>() ? 64 : 80;
    }
    dxRow += 2 * step; gRow += 2 * step; xRow += 2 * step;
  }
}

/** The columns that do not fill a vector, down n rows. */
function rowTails<T, R>(dx: usize, g: usize, x: usize, record: usize, n: i32, rest: i32, step: usize): void {
  for (; n > 0; --n) {
    storeTail<T>(dx, at<T, R>(loadTail<T>(g, rest), loadTail<T>(x, rest), record), rest);
    dx += step; g += step; x += step;
  }
}

/** Whole rows one after another with a mask, and through a ReLU or not. */
function generalRows<T>(
  dx: usize, g: usize, x: usize, mask: usize, offset: usize, records: usize,
  n: i32, full: usize, rest: i32, step: usize, maskStep: usize,
): void {
  if (offset) maskedRows<T, Rectified>(dx, g, x, mask, records, n, full, rest, step, maskStep);
  else maskedRows<T, General>(dx, g, x, mask, records, n, full, rest, step, maskStep);
}

function maskedRows<T, R>(
  dxRow: usize, gRow: usize, xRow: usize, mask: usize, records: usize,
  n: i32, full: usize, rest: i32, step: usize, maskStep: usize,
): void {
  for (; n > 0; --n) {
    const valid = v128.load_splat<T>(mask);
    let dx = dxRow, g = gRow, x = xRow, c = records;
    const end = x + full;
    while (x < end) {
      v128.store(dx, v128.and(at<T, R>(v128.load(g), v128.load(x), c), valid));
      x += 16; g += 16; dx += 16; c += 80;
    }
    if (rest) {
      storeTail<T>(dx, v128.and(at<T, R>(loadTail<T>(g, rest), loadTail<T>(x, rest), c), valid), rest);
    }
    dxRow += step; gRow += step; xRow += step;
    mask += maskStep;
  }
}
