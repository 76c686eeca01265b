import { is, Plain, Residual } from './tags';
import { lanes, loadTail, storeTail } from './vec';
import { rowsPerBlock, severalRows } from './walk';
import { interleave, repeatOf } from './wide';

/**
 * y = max((x - shift) * scale + offset [+ z], floor)
 *
 *   y, x, z               [outer, channels, inner]  T   z = 0: no residual; y may be x or z itself
 *   shift, scale, offset  [channels]                T
 *   floor                 scalar                    T   0: ReLU, -Infinity: none
 *   pitch                 elements between outer slices, >= channels * inner
 *   scratch               scratchBytes(channels), aligned to 16
 *
 * Subtracting a shift near the mean first keeps the digits that x * scale + offset loses where |mean| >> std.
 */
export function affine<T>(
  y: usize, x: usize, z: usize, shift: usize, scale: usize, offset: usize, floor: T,
  outer: i32, channels: i32, inner: i32, pitch: i32, scratch: usize,
): void {
  const f = v128.splat<T>(floor);
  if (z) walk<T, Residual>(y, x, z, shift, scale, offset, f, outer, channels, inner, pitch, scratch);
  else walk<T, Plain>(y, x, x, shift, scale, offset, f, outer, channels, inner, pitch, scratch);
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
  outer: i32, channels: i32, inner: i32, pitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>();
  const repeat = repeatOf(outer, channels, inner, pitch);
  if (repeat == 0) {
    planes<T, R>(y, x, z, k, a, b, floor, outer, channels, inner, step);
    return;
  }
  interleave<T>(scratch, 3, 0, k, channels, repeat, inner);
  interleave<T>(scratch, 3, 1, a, channels, repeat, inner);
  interleave<T>(scratch, 3, 2, b, channels, repeat, inner);
  const together = inner == 1 ? repeat : 1;
  const wide = outer / together, bytes = <usize>(wide * together) * step;
  rows<T, R>(y, x, z, scratch, floor, wide, channels * repeat, step * together);
  if (together > 1) {
    rows<T, R>(y + bytes, x + bytes, z + bytes, scratch, floor, outer - wide * together, channels, step);
  }
}

function planes<T, R>(
  y: usize, x: usize, z: usize, k: usize, a: usize, b: usize, floor: v128,
  outer: i32, channels: i32, inner: i32, step: usize,
): void {
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
  y: usize, x: usize, z: usize, records: usize, floor: v128, outer: i32, columns: i32, step: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16;
  const rest = columns & (lanes<T>() - 1);
  const two = severalRows((is<R, Residual>() ? 3 : 2) * <usize>outer * step, full);
  const block = rowsPerBlock(step);
  while (outer > 0) {
    const n = min(block, outer);
    const paired = two ? n & ~1 : 0;
    const done = <usize>paired * step;
    if (paired) rowPairs<T, R>(y, x, z, records, floor, paired, full, step);
    if (n > paired) singleRows<T, R>(y + done, x + done, z + done, records, floor, n - paired, full, step);
    if (rest) rowTails<T, R>(y + full, x + full, z + full, records + 3 * full, floor, n, rest, step);
    const bytes = <usize>n * step;
    y += bytes; x += bytes; z += bytes;
    outer -= n;
  }
}

/** Rows one after another, `full` bytes of each. */
function singleRows<T, R>(
  yRow: usize, xRow: usize, zRow: usize, records: usize, floor: v128, n: i32, full: usize, step: usize,
): void {
  for (; n > 0; --n) {
    let y = yRow, x = xRow, z = zRow, c = records;
    const end = x + full;
    const pairs = end - 16;
    while (x < pairs) {
      const z0 = is<R, Residual>() ? v128.load(z) : floor, z1 = is<R, Residual>() ? v128.load(z, 16) : floor;
      v128.store(y, op<T, R>(v128.load(x), z0, v128.load(c), v128.load(c, 16), v128.load(c, 32), floor));
      v128.store(y, op<T, R>(v128.load(x, 16), z1, v128.load(c, 48), v128.load(c, 64), v128.load(c, 80), floor), 16);
      x += 32; y += 32; c += 96;
      if (is<R, Residual>()) z += 32;
    }
    if (x < end) {
      const z0 = is<R, Residual>() ? v128.load(z) : floor;
      v128.store(y, op<T, R>(v128.load(x), z0, v128.load(c), v128.load(c, 16), v128.load(c, 32), floor));
    }
    yRow += step; xRow += step;
    if (is<R, Residual>()) zRow += step;
  }
}

/** Rows two at a time (n is even), so that the per-channel numbers are loaded once for both. */
function rowPairs<T, R>(
  yRow: usize, xRow: usize, zRow: usize, records: usize, floor: v128, n: i32, full: usize, step: usize,
): void {
  for (; n > 0; n -= 2) {
    let y0 = yRow, y1 = y0 + step, x0 = xRow, x1 = x0 + step, z0 = zRow, z1 = z0 + step, c = records;
    const end = x0 + full;
    const pairs = end - 16;
    while (x0 < pairs) {
      const k0 = v128.load(c), a0 = v128.load(c, 16), b0 = v128.load(c, 32);
      v128.store(y0, op<T, R>(v128.load(x0), is<R, Residual>() ? v128.load(z0) : k0, k0, a0, b0, floor));
      v128.store(y1, op<T, R>(v128.load(x1), is<R, Residual>() ? v128.load(z1) : k0, k0, a0, b0, floor));
      const k1 = v128.load(c, 48), a1 = v128.load(c, 64), b1 = v128.load(c, 80);
      v128.store(y0, op<T, R>(v128.load(x0, 16), is<R, Residual>() ? v128.load(z0, 16) : k1, k1, a1, b1, floor), 16);
      v128.store(y1, op<T, R>(v128.load(x1, 16), is<R, Residual>() ? v128.load(z1, 16) : k1, k1, a1, b1, floor), 16);
      x0 += 32; x1 += 32; y0 += 32; y1 += 32; c += 96;
      if (is<R, Residual>()) { z0 += 32; z1 += 32; }
    }
    if (x0 < end) {
      const k0 = v128.load(c), a0 = v128.load(c, 16), b0 = v128.load(c, 32);
      v128.store(y0, op<T, R>(v128.load(x0), is<R, Residual>() ? v128.load(z0) : k0, k0, a0, b0, floor));
      v128.store(y1, op<T, R>(v128.load(x1), is<R, Residual>() ? v128.load(z1) : k0, k0, a0, b0, floor));
    }
    yRow += 2 * step; xRow += 2 * step;
    if (is<R, Residual>()) zRow += 2 * step;
  }
}

/** The columns that do not fill a vector, down n rows. */
function rowTails<T, R>(
  y: usize, x: usize, z: usize, record: usize, floor: v128, n: i32, rest: i32, step: usize,
): void {
  const k = v128.load(record), a = v128.load(record, 16), b = v128.load(record, 32);
  for (; n > 0; --n) {
    const u = is<R, Residual>() ? loadTail<T>(z, rest) : floor;
    storeTail<T>(y, op<T, R>(loadTail<T>(x, rest), u, k, a, b, floor), rest);
    y += step; x += step; z += step;
  }
}
