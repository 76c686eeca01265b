import { lanes, loadTail, storeTail } from './vec';
import { rowsPerBlock, twoRows } from './walk';
import { padded, repeatOf, widen } from './wide';

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
  if (repeat > 1) {
    const width = padded<T>(channels * repeat);
    const wideK = scratch, wideP = wideK + width, wideQ = wideP + width, wideR = wideQ + width;
    widen<T>(wideK, shift, channels, repeat, inner);
    widen<T>(wideP, p, channels, repeat, inner);
    widen<T>(wideQ, q, channels, repeat, inner);
    widen<T>(wideR, r, channels, repeat, inner);
    const together = inner == 1 ? repeat : 1;
    const wide = outer / together, bytes = <usize>(wide * together) * step;
    rows<T>(dx, g, x, wideK, wideP, wideQ, wideR, wide, channels * repeat, step * together);
    outer -= wide * together;
    dx += bytes; g += bytes; x += bytes;
  }
  rows<T>(dx, g, x, shift, p, q, r, outer, channels, step);
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

function rows<T>(
  dx: usize, g: usize, x: usize, k: usize, p: usize, q: usize, r: usize, outer: i32, channels: i32, step: usize,
): void {
  const full = <usize>(channels / lanes<T>()) * 16;
  const rest = channels & (lanes<T>() - 1);
  const two = twoRows(<usize>outer * step, full);
  const block = rowsPerBlock(step);
  while (outer > 0) {
    const n = min(block, outer);
    const paired = two ? n & ~1 : 0;
    const done = <usize>paired * step;
    if (paired) rowPairs<T>(dx, g, x, k, p, q, r, paired, full, step);
    if (n > paired) singleRows<T>(dx + done, g + done, x + done, k, p, q, r, n - paired, full, step);
    if (rest) rowTails<T>(dx + full, g + full, x + full, k + full, p + full, q + full, r + full, n, rest, step);
    const bytes = <usize>n * step;
    dx += bytes; g += bytes; x += bytes;
    outer -= n;
  }
}

/** Rows one after another, `full` bytes of each. */
function singleRows<T>(
  dxRow: usize, gRow: usize, xRow: usize, kRow: usize, pRow: usize, qRow: usize, rRow: usize,
  n: i32, full: usize, step: usize,
): void {
  for (; n > 0; --n) {
    let dx = dxRow, g = gRow, x = xRow, k = kRow, p = pRow, q = qRow, r = rRow;
    const end = x + full;
    const pairs = end - 16;
    while (x < pairs) {
      v128.store(dx, op<T>(v128.load(g), v128.load(x), v128.load(k), v128.load(p), v128.load(q), v128.load(r)));
      v128.store(dx, op<T>(
        v128.load(g, 16), v128.load(x, 16), v128.load(k, 16), v128.load(p, 16), v128.load(q, 16), v128.load(r, 16),
      ), 16);
      x += 32; g += 32; dx += 32; k += 32; p += 32; q += 32; r += 32;
    }
    if (x < end) {
      v128.store(dx, op<T>(v128.load(g), v128.load(x), v128.load(k), v128.load(p), v128.load(q), v128.load(r)));
    }
    dxRow += step; gRow += step; xRow += step;
  }
}

/** Rows two at a time (n is even), so that the per-channel numbers are loaded once for both. */
function rowPairs<T>(
  dxRow: usize, gRow: usize, xRow: usize, kRow: usize, pRow: usize, qRow: usize, rRow: usize,
  n: i32, full: usize, step: usize,
): void {
  for (; n > 0; n -= 2) {
    let dx0 = dxRow, dx1 = dx0 + step, g0 = gRow, g1 = g0 + step, x0 = xRow, x1 = x0 + step;
    let k = kRow, p = pRow, q = qRow, r = rRow;
    const end = x0 + full;
    const pairs = end - 16;
    while (x0 < pairs) {
      const k0 = v128.load(k), p0 = v128.load(p), q0 = v128.load(q), r0 = v128.load(r);
      v128.store(dx0, op<T>(v128.load(g0), v128.load(x0), k0, p0, q0, r0));
      v128.store(dx1, op<T>(v128.load(g1), v128.load(x1), k0, p0, q0, r0));
      const k1 = v128.load(k, 16), p1 = v128.load(p, 16), q1 = v128.load(q, 16), r1 = v128.load(r, 16);
      v128.store(dx0, op<T>(v128.load(g0, 16), v128.load(x0, 16), k1, p1, q1, r1), 16);
      v128.store(dx1, op<T>(v128.load(g1, 16), v128.load(x1, 16), k1, p1, q1, r1), 16);
      x0 += 32; x1 += 32; g0 += 32; g1 += 32; dx0 += 32; dx1 += 32;
      k += 32; p += 32; q += 32; r += 32;
    }
    if (x0 < end) {
      const k0 = v128.load(k), p0 = v128.load(p), q0 = v128.load(q), r0 = v128.load(r);
      v128.store(dx0, op<T>(v128.load(g0), v128.load(x0), k0, p0, q0, r0));
      v128.store(dx1, op<T>(v128.load(g1), v128.load(x1), k0, p0, q0, r0));
    }
    dxRow += 2 * step; gRow += 2 * step; xRow += 2 * step;
  }
}

/** The columns that do not fill a vector, down n rows. */
function rowTails<T>(
  dx: usize, g: usize, x: usize, k: usize, p: usize, q: usize, r: usize, n: i32, rest: i32, step: usize,
): void {
  const shift = loadTail<T>(k, rest), a = loadTail<T>(p, rest), b = loadTail<T>(q, rest), c = loadTail<T>(r, rest);
  for (; n > 0; --n) {
    storeTail<T>(dx, op<T>(loadTail<T>(g, rest), loadTail<T>(x, rest), shift, a, b, c), rest);
    dx += step; g += step; x += step;
  }
}
