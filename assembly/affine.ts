import { General, is, offsetOf, Plain } from './tags';
import { lanes, loadTail, storeTail } from './vec';
import { rowsPerBlock, severalRows } from './walk';
import { interleave, repeatOf } from './wide';

/**
 * y = max((x - shift) * scale + offset [+ z], floor) [where mask, else 0]
 *
 *   y, x, z               [outer, channels, inner]  T   z = 0: no residual; y may be x or z itself
 *   mask                  [outer, inner]            T   all bits or none of each element; 0: no mask
 *   shift, scale, offset  [channels]                T
 *   floor                 scalar                    T   0: ReLU, -Infinity: none
 *   pitch, maskPitch      elements between outer slices of the tensors, >= channels * inner, and of the mask
 *   scratch               scratchBytes(channels, inner), aligned to 16
 *
 * Subtracting a shift near the mean first keeps the digits that x * scale + offset loses where |mean| >> std.
 */
export function affine<T>(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: T,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const f = v128.splat<T>(floor);
  if (z | mask) {
    walk<T, General>(y, x, z, mask, shift, scale, offset, f, outer, channels, inner, pitch, maskPitch, scratch);
  } else {
    walk<T, Plain>(y, x, 0, 0, shift, scale, offset, f, outer, channels, inner, pitch, 0, scratch);
  }
}

/** The operator on one vector. pmax is y < floor ? floor : y, so NaN passes through. */
// @ts-ignore: decorator
@inline function op<T>(x: v128, k: v128, a: v128, b: v128, floor: v128): v128 {
  return v128.pmax<T>(v128.add<T>(v128.mul<T>(v128.sub<T>(x, k), a), b), floor);
}

/** The same with a residual. */
// @ts-ignore: decorator
@inline function withResidual<T>(x: v128, z: v128, k: v128, a: v128, b: v128, floor: v128): v128 {
  return v128.pmax<T>(v128.add<T>(v128.add<T>(v128.mul<T>(v128.sub<T>(x, k), a), b), z), floor);
}

function walk<T, R>(
  y: usize, x: usize, z: usize, mask: usize, k: usize, a: usize, b: usize, floor: v128,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch * sizeof<T>();
  // A mask has one element for all channels of a row, but columns of several rows side by side need several.
  const repeat = mask ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  if (repeat == 0) {
    planes<T, R>(y, x, z, mask, k, a, b, floor, outer, channels, inner, step, maskStep);
    return;
  }
  interleave<T>(scratch, 3, 0, k, channels, repeat, inner);
  interleave<T>(scratch, 3, 1, a, channels, repeat, inner);
  interleave<T>(scratch, 3, 2, b, channels, repeat, inner);
  const together = inner == 1 ? repeat : 1;
  const wide = outer / together, bytes = <usize>(wide * together) * step;
  rows<T, R>(y, x, z, mask, scratch, floor, wide, channels * repeat, step * together, maskStep);
  if (together > 1) {
    z = offsetOf(z, bytes);
    rows<T, R>(y + bytes, x + bytes, z, 0, scratch, floor, outer - wide * together, channels, step, 0);
  }
}

function planes<T, R>(
  y: usize, x: usize, z: usize, mask: usize, k: usize, a: usize, b: usize, floor: v128,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize,
): void {
  const plane = <usize>inner * sizeof<T>();
  for (let o = 0; o < outer; ++o) {
    for (let i: usize = 0, p: usize = 0; i < <usize>channels * sizeof<T>(); i += sizeof<T>(), p += plane) {
      if (is<R, General>() && z) generalRun<T>(y + p, x + p, z + p, mask, k + i, a + i, b + i, floor, inner);
      else if (is<R, General>()) maskedRun<T>(y + p, x + p, mask, k + i, a + i, b + i, floor, inner);
      else run<T>(y + p, x + p, k + i, a + i, b + i, floor, inner);
    }
    y += step;
    x += step;
    if (is<R, General>()) {
      z = offsetOf(z, step);
      mask = offsetOf(mask, maskStep);
    }
  }
}

/** One plane: n consecutive values of one channel. */
function run<T>(y: usize, x: usize, shift: usize, scale: usize, offset: usize, floor: v128, n: i32): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const u = op<T>(v128.load(x), k, a, b, floor), v = op<T>(v128.load(x, 16), k, a, b, floor);
    v128.store(y, u);
    v128.store(y, v, 16);
    x += 32; y += 32;
  }
  if (x < end) {
    v128.store(y, op<T>(v128.load(x), k, a, b, floor));
    y += 16;
  }
  if (rest) storeTail<T>(y, op<T>(loadTail<T>(end, rest), k, a, b, floor), rest);
}

/** The same with a mask. */
function maskedRun<T>(
  y: usize, x: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: v128, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const u = v128.and(op<T>(v128.load(x), k, a, b, floor), v128.load(mask));
    const v = v128.and(op<T>(v128.load(x, 16), k, a, b, floor), v128.load(mask, 16));
    v128.store(y, u);
    v128.store(y, v, 16);
    x += 32; y += 32; mask += 32;
  }
  if (x < end) {
    v128.store(y, v128.and(op<T>(v128.load(x), k, a, b, floor), v128.load(mask)));
    y += 16; mask += 16;
  }
  if (rest) storeTail<T>(y, v128.and(op<T>(loadTail<T>(end, rest), k, a, b, floor), loadTail<T>(mask, rest)), rest);
}

/** The same with a residual, and a mask or not. */
function generalRun<T>(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: v128, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  const rest = n & (lanes<T>() - 1);
  const full = <usize>(n - rest) * sizeof<T>();
  for (let i: usize = 0; i < full; i += 16) {
    let v = withResidual<T>(v128.load(x + i), v128.load(z + i), k, a, b, floor);
    if (mask) v = v128.and(v, v128.load(mask + i));
    v128.store(y + i, v);
  }
  if (rest) {
    let v = withResidual<T>(loadTail<T>(x + full, rest), loadTail<T>(z + full, rest), k, a, b, floor);
    if (mask) v = v128.and(v, loadTail<T>(mask + full, rest));
    storeTail<T>(y + full, v, rest);
  }
}

function rows<T, R>(
  y: usize, x: usize, z: usize, mask: usize, records: usize, floor: v128,
  outer: i32, columns: i32, step: usize, maskStep: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16;
  const rest = columns & (lanes<T>() - 1);
  const several = !is<R, General>() && severalRows(2 * <usize>outer * step, full);
  const block = rowsPerBlock(step);
  while (outer > 0) {
    const n = min(block, outer);
    const bytes = <usize>n * step;
    if (is<R, General>()) {
      generalRows<T>(y, x, z, mask, records, floor, n, full, rest, step, maskStep);
      z = offsetOf(z, bytes);
      mask = offsetOf(mask, <usize>n * maskStep);
    } else {
      const paired = several ? n & ~1 : 0;
      const done = <usize>paired * step;
      if (paired) rowPairs<T>(y, x, records, floor, paired, full, step);
      if (n > paired) singleRows<T>(y + done, x + done, records, floor, n - paired, full, step);
      if (rest) rowTails<T>(y + full, x + full, records + 3 * full, floor, n, rest, step);
    }
    y += bytes; x += bytes;
    outer -= n;
  }
}

/** Rows one after another, `full` bytes of each. */
function singleRows<T>(yRow: usize, xRow: usize, records: usize, floor: v128, n: i32, full: usize, step: usize): void {
  for (; n > 0; --n) {
    let y = yRow, x = xRow, c = records;
    const end = x + full;
    const pairs = end - 16;
    while (x < pairs) {
      v128.store(y, op<T>(v128.load(x), v128.load(c), v128.load(c, 16), v128.load(c, 32), floor));
      v128.store(y, op<T>(v128.load(x, 16), v128.load(c, 48), v128.load(c, 64), v128.load(c, 80), floor), 16);
      x += 32; y += 32; c += 96;
    }
    if (x < end) v128.store(y, op<T>(v128.load(x), v128.load(c), v128.load(c, 16), v128.load(c, 32), floor));
    yRow += step; xRow += step;
  }
}

/** Rows two at a time (n is even), so that the per-channel numbers are loaded once for both. */
function rowPairs<T>(yRow: usize, xRow: usize, records: usize, floor: v128, n: i32, full: usize, step: usize): void {
  for (; n > 0; n -= 2) {
    let y0 = yRow, y1 = y0 + step, x0 = xRow, x1 = x0 + step, c = records;
    const end = x0 + full;
    const pairs = end - 16;
    while (x0 < pairs) {
      const k0 = v128.load(c), a0 = v128.load(c, 16), b0 = v128.load(c, 32);
      v128.store(y0, op<T>(v128.load(x0), k0, a0, b0, floor));
      v128.store(y1, op<T>(v128.load(x1), k0, a0, b0, floor));
      const k1 = v128.load(c, 48), a1 = v128.load(c, 64), b1 = v128.load(c, 80);
      v128.store(y0, op<T>(v128.load(x0, 16), k1, a1, b1, floor), 16);
      v128.store(y1, op<T>(v128.load(x1, 16), k1, a1, b1, floor), 16);
      x0 += 32; x1 += 32; y0 += 32; y1 += 32; c += 96;
    }
    if (x0 < end) {
      const k0 = v128.load(c), a0 = v128.load(c, 16), b0 = v128.load(c, 32);
      v128.store(y0, op<T>(v128.load(x0), k0, a0, b0, floor));
      v128.store(y1, op<T>(v128.load(x1), k0, a0, b0, floor));
    }
    yRow += 2 * step; xRow += 2 * step;
  }
}

/** The columns that do not fill a vector, down n rows. */
function rowTails<T>(y: usize, x: usize, record: usize, floor: v128, n: i32, rest: i32, step: usize): void {
  const k = v128.load(record), a = v128.load(record, 16), b = v128.load(record, 32);
  for (; n > 0; --n) {
    storeTail<T>(y, op<T>(loadTail<T>(x, rest), k, a, b, floor), rest);
    y += step; x += step;
  }
}

/** Whole rows one after another, with a residual, a mask or both. */
function generalRows<T>(
  y: usize, x: usize, z: usize, mask: usize, records: usize, floor: v128,
  n: i32, full: usize, rest: i32, step: usize, maskStep: usize,
): void {
  let valid = v128.splat<i32>(-1);
  for (; n > 0; --n) {
    if (mask) valid = v128.load_splat<T>(mask);
    if (z) residualRow<T>(y, x, z, valid, records, floor, full, rest);
    else maskedRow<T>(y, x, valid, records, floor, full, rest);
    y += step; x += step;
    z = offsetOf(z, step);
    mask = offsetOf(mask, maskStep);
  }
}

function maskedRow<T>(y: usize, x: usize, valid: v128, c: usize, floor: v128, full: usize, rest: i32): void {
  const end = x + full;
  const pairs = end - 16;
  while (x < pairs) {
    const u = op<T>(v128.load(x), v128.load(c), v128.load(c, 16), v128.load(c, 32), floor);
    const v = op<T>(v128.load(x, 16), v128.load(c, 48), v128.load(c, 64), v128.load(c, 80), floor);
    v128.store(y, v128.and(u, valid));
    v128.store(y, v128.and(v, valid), 16);
    x += 32; y += 32; c += 96;
  }
  if (x < end) {
    v128.store(y, v128.and(op<T>(v128.load(x), v128.load(c), v128.load(c, 16), v128.load(c, 32), floor), valid));
    y += 16; c += 48;
  }
  if (rest) {
    const u = op<T>(loadTail<T>(end, rest), v128.load(c), v128.load(c, 16), v128.load(c, 32), floor);
    storeTail<T>(y, v128.and(u, valid), rest);
  }
}

function residualRow<T>(
  y: usize, x: usize, z: usize, valid: v128, c: usize, floor: v128, full: usize, rest: i32,
): void {
  const end = x + full;
  while (x < end) {
    const k = v128.load(c), a = v128.load(c, 16), b = v128.load(c, 32);
    v128.store(y, v128.and(withResidual<T>(v128.load(x), v128.load(z), k, a, b, floor), valid));
    x += 16; y += 16; z += 16; c += 48;
  }
  if (rest) {
    const k = v128.load(c), a = v128.load(c, 16), b = v128.load(c, 32);
    const u = withResidual<T>(loadTail<T>(x, rest), loadTail<T>(z, rest), k, a, b, floor);
    storeTail<T>(y, v128.and(u, valid), rest);
  }
}
