import { closedAt, closedRow, kept, writeTable } from './mask';
import { End, Floored, is, Masked, Plain, Residual, Whole } from './tags';
import { lanes, loadPart, loadTail, storePart, storeTail } from './vec';
import { interleave, repeatOf, rowsPerBlock } from './wide';

/**
 * y = max((x - shift) * scale + offset [+ z], floor) [where mask, else 0]
 *
 *   y, x, z               [outer, channels, inner]  T   z = 0: no residual; y may be x or z itself
 *   mask                  [outer, vectors]          u8 of `packMask`; 0: every position counts
 *   shift, scale, offset  [channels]                T
 *   floor                 scalar                    T   0: ReLU, -Infinity: none
 *   pitch, maskPitch      elements between outer slices of the tensors, >= channels * inner, and of the mask
 *   scratch               scratchBytes(channels, inner), aligned to 16
 *
 * Subtracting a shift near the mean first keeps the digits that x * scale + offset would lose where |mean| >> std.
 */
export function affine<T>(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: T,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const f = v128.splat<T>(floor);
  if (mask) {
    if (z) walk<T, Residual, Masked>(y, x, z, mask, shift, scale, offset, f, outer, channels, inner, pitch, maskPitch, scratch);
    else walk<T, Plain, Masked>(y, x, 0, mask, shift, scale, offset, f, outer, channels, inner, pitch, maskPitch, scratch);
  } else if (z) {
    walk<T, Residual, Plain>(y, x, z, 0, shift, scale, offset, f, outer, channels, inner, pitch, 0, scratch);
  } else {
    walk<T, Plain, Plain>(y, x, 0, 0, shift, scale, offset, f, outer, channels, inner, pitch, 0, scratch);
  }
}

/** Bytes of a plane up to which a walk without a floor is no faster: on 16 f32 it takes 1.1 times as long, on 20 0.9 times. */
const SMALL: usize = 64;

/** The formula for one vector. pmax is y < floor ? floor : y, so NaN passes through. */
// @ts-ignore: decorator
@inline function op<T, R, M, F>(x: v128, z: v128, k: v128, a: v128, b: v128, floor: v128, m: v128): v128 {
  let y = v128.add<T>(v128.mul<T>(v128.sub<T>(x, k), a), b);
  if (is<R, Residual>()) y = v128.add<T>(y, z);
  if (is<F, Floored>()) y = v128.pmax<T>(y, floor);
  return kept<M>(y, m);
}

function walk<T, R, M>(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: v128,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch;
  // A mask has one byte per row for all its channels; several rows side by side would need several.
  const repeat = is<M, Masked>() ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  if (repeat == 0) {
    const floored = v128.extract_lane<T>(floor, 0) > -Infinity || <usize>inner * sizeof<T>() <= SMALL;
    if (is<R, Plain>() && is<M, Plain>() && !floored) {
      planes<T, R, M, Plain>(y, x, z, mask, shift, scale, offset, floor, outer, channels, inner, step, maskStep, scratch);
    } else {
      planes<T, R, M, Floored>(y, x, z, mask, shift, scale, offset, floor, outer, channels, inner, step, maskStep, scratch);
    }
    return;
  }
  interleave<T>(scratch, 3, 0, shift, channels, repeat, inner);
  interleave<T>(scratch, 3, 1, scale, channels, repeat, inner);
  interleave<T>(scratch, 3, 2, offset, channels, repeat, inner);
  const together = inner == 1 ? repeat : 1;
  const wide = outer / together, bytes = <usize>(wide * together) * step;
  rows<T, R, M>(y, x, z, mask, scratch, floor, wide, channels * repeat, step * together, maskStep);
  if (together > 1) {
    rows<T, R, M>(y + bytes, x + bytes, z + bytes, 0, scratch, floor, outer - wide * together, channels, step, 0);
  }
}

function planes<T, R, M, F>(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: v128,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, table: usize,
): void {
  const plane = <usize>inner * sizeof<T>();
  if (is<M, Masked>()) writeTable<T>(table);
  for (let o = 0; o < outer; ++o) {
    for (let i: usize = 0, at: usize = 0; i < <usize>channels * sizeof<T>(); i += sizeof<T>(), at += plane) {
      if (is<M, Masked>()) maskedRun<T, R>(y + at, x + at, z + at, mask, shift + i, scale + i, offset + i, floor, inner, table);
      else run<T, R, F>(y + at, x + at, z + at, shift + i, scale + i, offset + i, floor, plane);
    }
    y += step; x += step; z += step; mask += maskStep;
  }
}

/**
 * One plane of one channel, of four values or more: smaller ones are walked as rows. Its last vector is read before any is
 * written, and overlaps the one before it if the plane is ragged: planes of 7x7 take 0.95 of the time that writing the last
 * elements alone takes. Inlined, since these take a third longer with a call for each.
 */
// @ts-ignore: decorator
@inline function run<T, R, F>(
  y: usize, x: usize, z: usize, shift: usize, scale: usize, offset: usize, floor: v128, bytes: usize,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  const end = x + bytes - 16, last = v128.load(end);
  const zLast = is<R, Residual>() ? v128.load(z + bytes - 16) : k;
  const pairs = end - 16;
  while (x < pairs) {
    const z0 = is<R, Residual>() ? v128.load(z) : k, z1 = is<R, Residual>() ? v128.load(z, 16) : k;
    const u0 = op<T, R, Plain, F>(v128.load(x), z0, k, a, b, floor, k), u1 = op<T, R, Plain, F>(v128.load(x, 16), z1, k, a, b, floor, k);
    v128.store(y, u0);
    v128.store(y, u1, 16);
    x += 32; y += 32;
    if (is<R, Residual>()) z += 32;
  }
  if (x < end) {
    const z0 = is<R, Residual>() ? v128.load(z) : k;
    v128.store(y, op<T, R, Plain, F>(v128.load(x), z0, k, a, b, floor, k));
  }
  v128.store(y + (end - x), op<T, R, Plain, F>(last, zLast, k, a, b, floor, k));
}

/** One plane with a mask, whose bytes belong to vectors from the start of the plane. */
// @ts-ignore: decorator
@inline function maskedRun<T, R>(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: v128, n: i32, table: usize,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const z0 = is<R, Residual>() ? v128.load(z) : k, z1 = is<R, Residual>() ? v128.load(z, 16) : k;
    const m0 = closedAt<Masked>(mask, table), m1 = closedAt<Masked>(mask + 1, table);
    const u0 = op<T, R, Masked, Floored>(v128.load(x), z0, k, a, b, floor, m0);
    const u1 = op<T, R, Masked, Floored>(v128.load(x, 16), z1, k, a, b, floor, m1);
    v128.store(y, u0);
    v128.store(y, u1, 16);
    x += 32; y += 32; mask += 2;
    if (is<R, Residual>()) z += 32;
  }
  if (x < end) {
    const z0 = is<R, Residual>() ? v128.load(z) : k, m0 = closedAt<Masked>(mask, table);
    v128.store(y, op<T, R, Masked, Floored>(v128.load(x), z0, k, a, b, floor, m0));
    y += 16; mask += 1;
    if (is<R, Residual>()) z += 16;
  }
  if (rest) {
    const z0 = is<R, Residual>() ? loadTail<T>(z, rest) : k, m0 = closedAt<Masked>(mask, table);
    storeTail<T>(y, op<T, R, Masked, Floored>(loadTail<T>(end, rest), z0, k, a, b, floor, m0), rest);
  }
}

/**
 * Two rows per step share the loads of the coefficients. They lie half the tensor apart: prefetchers follow two separate
 * streams best, and are confused by rows within one page (see bench/NOTES.md).
 */
function rows<T, R, M>(
  y: usize, x: usize, z: usize, mask: usize, records: usize, floor: v128,
  outer: i32, columns: i32, step: usize, maskStep: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16, rest = columns & (lanes<T>() - 1);
  const half = outer >> 1;
  const block = rowsPerBlock(step);
  for (let o = 0; o < half; o += block) {
    const n = min(block, half - o);
    rowPairs<T, R, M>(y, x, z, mask, records, floor, n, full, rest, step, maskStep, <usize>half * step, <usize>half * maskStep);
    const bytes = <usize>n * step;
    y += bytes; x += bytes; z += bytes; mask += <usize>n * maskStep;
  }
  if (outer & 1) {
    // The last row, as a pair with itself.
    const bytes = <usize>half * step;
    rowPairs<T, R, M>(
      y + bytes, x + bytes, z + bytes, mask + <usize>half * maskStep, records, floor, 1, full, rest, step, 0, 0, 0,
    );
  }
}

/** The formula for one vector of each of two rows, or for the n elements at their ends, with the record at c. */
// @ts-ignore: decorator
@inline function pair<T, R, M, V>(
  y0: usize, y1: usize, x0: usize, x1: usize, z0: usize, z1: usize, c: usize, floor: v128, m0: v128, m1: v128, n: i32 = 0,
): void {
  const k = v128.load(c), a = v128.load(c, 16), b = v128.load(c, 32);
  const u0 = op<T, R, M, Floored>(loadPart<T, V>(x0, n), is<R, Residual>() ? loadPart<T, V>(z0, n) : k, k, a, b, floor, m0);
  const u1 = op<T, R, M, Floored>(loadPart<T, V>(x1, n), is<R, Residual>() ? loadPart<T, V>(z1, n) : k, k, a, b, floor, m1);
  storePart<T, V>(y0, u0, n);
  storePart<T, V>(y1, u1, n);
}

/** n pairs of rows, `apart` bytes from each other. Both rows are read before either is written, since they may be the same. */
function rowPairs<T, R, M>(
  yRow: usize, xRow: usize, zRow: usize, mask: usize, records: usize, floor: v128,
  n: i32, full: usize, rest: i32, step: usize, maskStep: usize, apart: usize, maskApart: usize,
): void {
  for (; n > 0; --n) {
    let y0 = yRow, y1 = yRow + apart, x0 = xRow, x1 = xRow + apart, z0 = zRow, z1 = zRow + apart, c = records;
    const m0 = closedRow<M>(mask), m1 = closedRow<M>(mask + maskApart);
    const end = x0 + full, pairs = end - 16;
    while (x0 < pairs) {
      pair<T, R, M, Whole>(y0, y1, x0, x1, z0, z1, c, floor, m0, m1);
      pair<T, R, M, Whole>(y0 + 16, y1 + 16, x0 + 16, x1 + 16, z0 + 16, z1 + 16, c + 48, floor, m0, m1);
      x0 += 32; x1 += 32; y0 += 32; y1 += 32; c += 96;
      if (is<R, Residual>()) { z0 += 32; z1 += 32; }
    }
    if (x0 < end) {
      pair<T, R, M, Whole>(y0, y1, x0, x1, z0, z1, c, floor, m0, m1);
      x0 += 16; x1 += 16; y0 += 16; y1 += 16; z0 += 16; z1 += 16; c += 48;
    }
    if (rest) pair<T, R, M, End>(y0, y1, x0, x1, z0, z1, c, floor, m0, m1, rest);
    yRow += step; xRow += step; zRow += step; mask += maskStep;
  }
}
