import { is, Plain, Residual } from './tags';
import { lanes, loadTail, storeTail } from './vec';
import { twoRows } from './walk';

/**
 * y = max((x - shift) * scale + offset [+ z], floor)
 *
 *   y, x, z               [outer, channels, inner]  T   z = 0: no residual; y may be x or z itself
 *   shift, scale, offset  [channels]                T
 *   floor                 scalar                    T   0: ReLU, -Infinity: none
 *   pitch                 elements between outer slices, >= channels * inner
 *
 * Subtracting a shift near the mean first keeps the digits that x * scale + offset loses where |mean| >> std.
 */
export function affine<T>(
  y: usize, x: usize, z: usize, shift: usize, scale: usize, offset: usize, floor: T,
  outer: i32, channels: i32, inner: i32, pitch: i32,
): void {
  const f = v128.splat<T>(floor);
  if (z) walk<T, Residual>(y, x, z, shift, scale, offset, f, outer, channels, inner, pitch);
  else walk<T, Plain>(y, x, x, shift, scale, offset, f, outer, channels, inner, pitch);
}

/** The operator on one vector. pmax is y < floor ? floor : y, so NaN passes through. */
// @ts-ignore: decorator
@inline function op<T, R>(x: v128, z: v128, k: v128, a: v128, b: v128, floor: v128): v128 {
  let y = v128.add<T>(v128.mul<T>(v128.sub<T>(x, k), a), b);
  if (is<R, Residual>()) y = v128.add<T>(y, z);
  return v128.pmax<T>(y, floor);
}

function walk<T, R>(
  y: usize, x: usize, z: usize, k: usize, a: usize, b: usize, floor: v128,
  outer: i32, channels: i32, inner: i32, pitch: i32,
): void {
  const step = <usize>pitch * sizeof<T>();
  if (inner == 1) {
    rows<T, R>(y, x, z, k, a, b, floor, outer, channels, step);
    return;
  }
  const plane = <usize>inner * sizeof<T>();
  for (let o = 0; o < outer; ++o) {
    for (let i: usize = 0, p: usize = 0; i < <usize>channels * sizeof<T>(); i += sizeof<T>(), p += plane) {
      run<T, R>(y + p, x + p, z + p, k + i, a + i, b + i, floor, inner);
    }
    y += step;
    x += step;
    z += step;
  }
}

/** One plane: n consecutive values of one channel. */
function run<T, R>(
  y: usize, x: usize, z: usize, shift: usize, scale: usize, offset: usize, floor: v128, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const u = op<T, R>(v128.load(x), is<R, Residual>() ? v128.load(z) : k, k, a, b, floor);
    const v = op<T, R>(v128.load(x, 16), is<R, Residual>() ? v128.load(z, 16) : k, k, a, b, floor);
    v128.store(y, u);
    v128.store(y, v, 16);
    x += 32; y += 32;
    if (is<R, Residual>()) z += 32;
  }
  if (x < end) {
    v128.store(y, op<T, R>(v128.load(x), is<R, Residual>() ? v128.load(z) : k, k, a, b, floor));
    y += 16;
    if (is<R, Residual>()) z += 16;
  }
  if (rest) {
    const u = is<R, Residual>() ? loadTail<T>(z, rest) : k;
    storeTail<T>(y, op<T, R>(loadTail<T>(end, rest), u, k, a, b, floor), rest);
  }
}

function rows<T, R>(
  y: usize, x: usize, z: usize, k: usize, a: usize, b: usize, floor: v128,
  outer: i32, channels: i32, step: usize,
): void {
  const full = <usize>(channels / lanes<T>()) * 16;
  const rest = channels & (lanes<T>() - 1);
  const two = twoRows(<usize>outer * step, full);
  while (outer > 0) {
    if (two && outer > 1) {
      rowPair<T, R>(y, x, z, k, a, b, floor, full, rest, step);
      y += step; x += step; z += step;
      --outer;
    } else {
      row<T, R>(y, x, z, k, a, b, floor, full, rest);
    }
    y += step; x += step; z += step;
    --outer;
  }
}

/** One row: `full` bytes in whole vectors, then `rest` channels. */
function row<T, R>(
  y: usize, x: usize, z: usize, k: usize, a: usize, b: usize, floor: v128, full: usize, rest: i32,
): void {
  const end = x + full;
  const pairs = end - 16;
  while (x < pairs) {
    const z0 = is<R, Residual>() ? v128.load(z) : floor, z1 = is<R, Residual>() ? v128.load(z, 16) : floor;
    v128.store(y, op<T, R>(v128.load(x), z0, v128.load(k), v128.load(a), v128.load(b), floor));
    v128.store(y, op<T, R>(v128.load(x, 16), z1, v128.load(k, 16), v128.load(a, 16), v128.load(b, 16), floor), 16);
    x += 32; y += 32; k += 32; a += 32; b += 32;
    if (is<R, Residual>()) z += 32;
  }
  if (x < end) {
    const z0 = is<R, Residual>() ? v128.load(z) : floor;
    v128.store(y, op<T, R>(v128.load(x), z0, v128.load(k), v128.load(a), v128.load(b), floor));
    x += 16; y += 16; k += 16; a += 16; b += 16;
    if (is<R, Residual>()) z += 16;
  }
  if (rest) rowTail<T, R>(y, x, z, k, a, b, floor, rest);
}

/** Two rows at once, so that the per-channel numbers are loaded once for both. */
function rowPair<T, R>(
  y0: usize, x0: usize, z0: usize, k: usize, a: usize, b: usize, floor: v128, full: usize, rest: i32, step: usize,
): void {
  let y1 = y0 + step, x1 = x0 + step, z1 = z0 + step;
  const end = x0 + full;
  const pairs = end - 16;
  while (x0 < pairs) {
    const k0 = v128.load(k), a0 = v128.load(a), b0 = v128.load(b);
    v128.store(y0, op<T, R>(v128.load(x0), is<R, Residual>() ? v128.load(z0) : k0, k0, a0, b0, floor));
    v128.store(y1, op<T, R>(v128.load(x1), is<R, Residual>() ? v128.load(z1) : k0, k0, a0, b0, floor));
    const k1 = v128.load(k, 16), a1 = v128.load(a, 16), b1 = v128.load(b, 16);
    v128.store(y0, op<T, R>(v128.load(x0, 16), is<R, Residual>() ? v128.load(z0, 16) : k1, k1, a1, b1, floor), 16);
    v128.store(y1, op<T, R>(v128.load(x1, 16), is<R, Residual>() ? v128.load(z1, 16) : k1, k1, a1, b1, floor), 16);
    x0 += 32; x1 += 32; y0 += 32; y1 += 32; k += 32; a += 32; b += 32;
    if (is<R, Residual>()) { z0 += 32; z1 += 32; }
  }
  if (x0 < end) {
    const k0 = v128.load(k), a0 = v128.load(a), b0 = v128.load(b);
    v128.store(y0, op<T, R>(v128.load(x0), is<R, Residual>() ? v128.load(z0) : k0, k0, a0, b0, floor));
    v128.store(y1, op<T, R>(v128.load(x1), is<R, Residual>() ? v128.load(z1) : k0, k0, a0, b0, floor));
    x0 += 16; x1 += 16; y0 += 16; y1 += 16; k += 16; a += 16; b += 16;
    if (is<R, Residual>()) { z0 += 16; z1 += 16; }
  }
  if (rest) {
    rowTail<T, R>(y0, x0, z0, k, a, b, floor, rest);
    rowTail<T, R>(y1, x1, z1, k, a, b, floor, rest);
  }
}

/** The channels of a row that do not fill a vector. */
function rowTail<T, R>(
  y: usize, x: usize, z: usize, k: usize, a: usize, b: usize, floor: v128, rest: i32,
): void {
  const u = is<R, Residual>() ? loadTail<T>(z, rest) : floor;
  const v = op<T, R>(
    loadTail<T>(x, rest), u, loadTail<T>(k, rest), loadTail<T>(a, rest), loadTail<T>(b, rest), floor,
  );
  storeTail<T>(y, v, rest);
}
