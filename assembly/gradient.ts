import { lanes, loadTail, storeTail } from './vec';
import { twoRows } from './walk';

/**
 * dx = g * p + ((x - shift) * q + r)
 *
 *   dx, g, x        [outer, channels, inner]  T   dx may be g or x itself
 *   shift, p, q, r  [channels]                T
 *   pitch           elements between outer slices, >= channels * inner
 *
 * The gradient through the batch statistics (Ioffe & Szegedy 2015, section 3, dl/dx with the terms of dl/dvar and
 * dl/dmean collected into q and r).
 */
export function gradient<T>(
  dx: usize, g: usize, x: usize, shift: usize, p: usize, q: usize, r: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32,
): void {
  const step = <usize>pitch * sizeof<T>();
  if (inner == 1) {
    rows<T>(dx, g, x, shift, p, q, r, outer, channels, step);
    return;
  }
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
  while (outer > 0) {
    if (two && outer > 1) {
      rowPair<T>(dx, g, x, k, p, q, r, full, rest, step);
      dx += step; g += step; x += step;
      --outer;
    } else {
      row<T>(dx, g, x, k, p, q, r, full, rest);
    }
    dx += step; g += step; x += step;
    --outer;
  }
}

/** One row: `full` bytes in whole vectors, then `rest` channels. */
function row<T>(
  dx: usize, g: usize, x: usize, k: usize, p: usize, q: usize, r: usize, full: usize, rest: i32,
): void {
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
    x += 16; g += 16; dx += 16; k += 16; p += 16; q += 16; r += 16;
  }
  if (rest) rowTail<T>(dx, g, x, k, p, q, r, rest);
}

/** Two rows at once, so that the per-channel numbers are loaded once for both. */
function rowPair<T>(
  dx0: usize, g0: usize, x0: usize, k: usize, p: usize, q: usize, r: usize, full: usize, rest: i32, step: usize,
): void {
  let dx1 = dx0 + step, g1 = g0 + step, x1 = x0 + step;
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
    x0 += 16; x1 += 16; g0 += 16; g1 += 16; dx0 += 16; dx1 += 16;
    k += 16; p += 16; q += 16; r += 16;
  }
  if (rest) {
    rowTail<T>(dx0, g0, x0, k, p, q, r, rest);
    rowTail<T>(dx1, g1, x1, k, p, q, r, rest);
  }
}

/** The channels of a row that do not fill a vector. */
function rowTail<T>(dx: usize, g: usize, x: usize, k: usize, p: usize, q: usize, r: usize, rest: i32): void {
  const v = op<T>(
    loadTail<T>(g, rest), loadTail<T>(x, rest),
    loadTail<T>(k, rest), loadTail<T>(p, rest), loadTail<T>(q, rest), loadTail<T>(r, rest),
  );
  storeTail<T>(dx, v, rest);
}
