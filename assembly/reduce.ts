import { closed, closedRow, writeTable } from './mask';
import { General, is, Masked, Plain, Rectified } from './tags';
import { above, lanes, loadEnd, loadTail, rectified, spillRow, storeEnd, storeTail, sum } from './vec';
import { clear, interleave, narrow, negate, repeatOf, vectors } from './wide';

/**
 * total[c] = sum g,  dot[c] = sum g * (x - shift)      g = dy where the mask and the ReLU let it pass, 0 elsewhere
 *
 *   total, dot            [channels]                f64   written
 *   g                     [outer, channels, inner]  T     written unless 0; may be dy itself
 *   dy, y, x              [outer, channels, inner]  T     y = 0: none; else g is 0 where y <= 0
 *   mask                  [outer, vectors]            u8  of `packMask`; address 0: all positions count
 *   shift, scale, offset  [channels]                T     offset = 0: none; else, without g and y, g is 0 where
 *                                                         (x - shift) * scale + offset <= 0
 *   pitch, maskPitch      elements between outer slices of the tensors, >= channels * inner, and of the mask
 *   scratch               scratchBytes(channels, inner), aligned to 16
 *
 * The two sums of the backward pass (Ioffe & Szegedy 2015, section 3: dl/dbeta and dl/dgamma before the division by
 * the standard deviation). Lane sums go into f64 after about 64 additions, as in `moments`.
 */
export function reduce<T>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  memory.fill(total, 0, <usize>channels * 8);
  memory.fill(dot, 0, <usize>channels * 8);
  if (g | y) {
    if (mask) walk<T, General, Masked>(total, dot, g, dy, y, x, mask, shift, 0, 0, outer, channels, inner, pitch, maskPitch, scratch);
    else walk<T, General, Plain>(total, dot, g, dy, y, x, 0, shift, 0, 0, outer, channels, inner, pitch, 0, scratch);
  } else if (mask) {
    if (offset) walk<T, Rectified, Masked>(total, dot, 0, dy, 0, x, mask, shift, scale, offset, outer, channels, inner, pitch, maskPitch, scratch);
    else walk<T, Plain, Masked>(total, dot, 0, dy, 0, x, mask, shift, 0, 0, outer, channels, inner, pitch, maskPitch, scratch);
  } else if (offset) {
    walk<T, Rectified, Plain>(total, dot, 0, dy, 0, x, 0, shift, scale, offset, outer, channels, inner, pitch, 0, scratch);
  } else {
    walk<T, Plain, Plain>(total, dot, 0, dy, 0, x, 0, shift, 0, 0, outer, channels, inner, pitch, 0, scratch);
  }
}

function walk<T, R, M>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch;
  // Only the plainest of walks widens narrow rows.
  const repeat = is<R, Plain>() && is<M, Plain>() ? repeatOf(outer, channels, inner, pitch) : i32(inner == 1);
  if (repeat == 0) {
    sweepPlanes<T, R, M>(
      total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, inner, step, maskStep, scratch,
    );
  } else if (is<R, Plain>() && is<M, Plain>() && repeat > 1) {
    sweepColumns<T>(total, dot, dy, x, shift, outer, channels, inner, repeat, step, scratch);
  } else if (is<R, General>()) {
    sweepGeneralRows<T, M>(total, dot, g, dy, y, x, mask, shift, outer, channels, step, maskStep, scratch);
  } else {
    clear<T>(scratch, recordSize<R>(), channels);
    interleave<T>(scratch, recordSize<R>(), 2, shift, channels, 1, 1);
    if (is<R, Rectified>()) {
      interleave<T>(scratch, recordSize<R>(), 3, scale, channels, 1, 1);
      interleave<T>(scratch, recordSize<R>(), 4, offset, channels, 1, 1);
      negate<T>(scratch, recordSize<R>(), 4, channels);
    }
    sweepRows<T, R, M>(total, dot, dy, x, mask, outer, channels, step, maskStep, scratch);
  }
}

/** dy where mask and ReLU let it pass; d is x - shift, a the scale and b minus the offset. */
// @ts-ignore: decorator
@inline function passing<T, R, M>(dy: v128, d: v128, a: v128, b: v128, m: v128): v128 {
  const g = is<R, Rectified>() ? above<T>(dy, v128.mul<T>(d, a), b) : dy;
  return is<M, Masked>() ? v128.andnot(g, m) : g;
}

/** x - shift, or 0 where the position does not count. */
// @ts-ignore: decorator
@inline function deviation<T, M>(x: v128, k: v128, m: v128): v128 {
  const d = v128.sub<T>(x, k);
  return is<M, Masked>() ? v128.andnot(d, m) : d;
}

const CHAIN = 60;

// Planes: [outer, channels, inner], accumulators of every channel in scratch, so that memory is read in address order.

/** Bytes a channel in the walk over planes: the lane sums of g and of g * (x - shift). */
const RECORD: usize = 32;

function sweepPlanes<T, R, M>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  const table = scratch + RECORD * channels;
  if (is<M, Masked>()) writeTable<T>(table);
  memory.fill(scratch, 0, RECORD * channels);
  // Two sums take turns, but for the general walk.
  const piece = (is<R, General>() ? 1 : 2) * lanes<T>() * CHAIN;
  const planes = min(max(piece / inner, 1), 8);
  for (let o = 0; o < outer; ++o) {
    const last = (o + 1) % planes == 0 || o + 1 == outer;
    let p: usize = 0;
    for (let c = 0; c < channels; ++c) {
      const record = scratch + RECORD * c, at = <usize>c * sizeof<T>();
      let m = mask;
      for (let rest = inner; rest > 0; rest -= piece) {
        const n = min(rest, piece);
        if (is<R, General>()) {
          addGeneralRun<T, M>(record, g ? g + p : 0, dy + p, y ? y + p : 0, x + p, m, shift + at, n, table);
        } else {
          addRun<T, R, M>(record, dy + p, x + p, m, shift + at, scale + at, offset + at, n, table);
        }
        if (last || rest > piece) spill<T>(record, total + 8 * c, dot + 8 * c);
        p += <usize>n * sizeof<T>();
        m += n / lanes<T>();
      }
    }
    dy += step; x += step; mask += maskStep;
    if (g) g += step;
    if (y) y += step;
  }
}

/** Adds n consecutive values of one channel to its record. */
// @ts-ignore: decorator
@inline function addRun<T, R, M>(
  record: usize, dy: usize, x: usize, mask: usize, shift: usize, scale: usize, offset: usize, n: i32, table: usize,
): void {
  const k = v128.load_splat<T>(shift);
  const a = is<R, Rectified>() ? v128.load_splat<T>(scale) : k, b = is<R, Rectified>() ? v128.neg<T>(v128.load_splat<T>(offset)) : k;
  let s0 = v128.load(record), q0 = v128.load(record, 16);
  let s1 = v128.splat<T>(0), q1 = s1;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const m0 = is<M, Masked>() ? closed(load<u8>(mask), table) : k, m1 = is<M, Masked>() ? closed(load<u8>(mask, 1), table) : k;
    const d = deviation<T, M>(v128.load(x), k, m0), e = deviation<T, M>(v128.load(x, 16), k, m1);
    const u = passing<T, R, M>(v128.load(dy), d, a, b, m0), v = passing<T, R, M>(v128.load(dy, 16), e, a, b, m1);
    s0 = v128.add<T>(s0, u);
    s1 = v128.add<T>(s1, v);
    q0 = v128.add<T>(q0, v128.mul<T>(u, d));
    q1 = v128.add<T>(q1, v128.mul<T>(v, e));
    x += 32; dy += 32;
    if (is<M, Masked>()) mask += 2;
  }
  if (x < end) {
    const m0 = is<M, Masked>() ? closed(load<u8>(mask), table) : k;
    const d = deviation<T, M>(v128.load(x), k, m0), u = passing<T, R, M>(v128.load(dy), d, a, b, m0);
    s0 = v128.add<T>(s0, u);
    q0 = v128.add<T>(q0, v128.mul<T>(u, d));
    dy += 16;
    if (is<M, Masked>()) mask += 1;
  }
  if (rest) {
    // Beyond the tail u is 0, and so is its product with -shift.
    const m0 = is<M, Masked>() ? closed(load<u8>(mask), table) : k;
    const d = deviation<T, M>(loadTail<T>(end, rest), k, m0), u = passing<T, R, M>(loadTail<T>(dy, rest), d, a, b, m0);
    s1 = v128.add<T>(s1, u);
    q1 = v128.add<T>(q1, v128.mul<T>(u, d));
  }
  v128.store(record, v128.add<T>(s0, s1));
  v128.store(record, v128.add<T>(q0, q1), 16);
}

/** The same by the sign of y, writing g, or both. */
// @ts-ignore: decorator
@inline function addGeneralRun<T, M>(
  record: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize, shift: usize, n: i32, table: usize,
): void {
  const k = v128.load_splat<T>(shift);
  let s = v128.load(record), q = v128.load(record, 16);
  const rest = n & (lanes<T>() - 1);
  const full = <usize>(n - rest) * sizeof<T>();
  for (let i: usize = 0; i < full; i += 16) {
    const m = is<M, Masked>() ? closed(load<u8>(mask), table) : k;
    const d = deviation<T, M>(v128.load(x + i), k, m);
    let u = passing<T, General, M>(v128.load(dy + i), k, k, k, m);
    if (y) u = rectified<T>(u, v128.load(y + i));
    if (g) v128.store(g + i, u);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
    if (is<M, Masked>()) mask += 1;
  }
  if (rest) {
    const m = is<M, Masked>() ? closed(load<u8>(mask), table) : k;
    const d = deviation<T, M>(loadTail<T>(x + full, rest), k, m);
    let u = passing<T, General, M>(loadTail<T>(dy + full, rest), k, k, k, m);
    if (y) u = rectified<T>(u, loadTail<T>(y + full, rest));
    if (g) storeTail<T>(g + full, u, rest);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
  }
  v128.store(record, s);
  v128.store(record, q, 16);
}

/** Moves the lane sums of a record into f64 and clears them. */
function spill<T>(record: usize, total: usize, dot: usize): void {
  store<f64>(total, load<f64>(total) + sum<T>(v128.load(record)));
  store<f64>(dot, load<f64>(dot) + sum<T>(v128.load(record, 16)));
  v128.store(record, v128.splat<T>(0));
  v128.store(record, v128.splat<T>(0), 16);
}

// Rows: [outer, columns], a record for every vector of columns in scratch.

/** Vectors of a record: the lane sums of g and of g * (x - shift), shift, and scale and minus offset where x tells the sign. */
// @ts-ignore: decorator
@inline function recordSize<R>(): i32 {
  return is<R, Rectified>() ? 5 : 3;
}

/** The sums of rows of `repeat` columns a channel. */
function sweepColumns<T>(
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

/** Adds both sums of every column to the totals. Four rows at a step, a quarter of the tensor apart, as in `moments`. */
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

/** Adds one vector of each of four rows of x and dy to the record at c. */
// @ts-ignore: decorator
@inline function addFour<T, R, M>(
  c: usize, x0: v128, x1: v128, x2: v128, x3: v128, dy0: v128, dy1: v128, dy2: v128, dy3: v128,
  m0: v128, m1: v128, m2: v128, m3: v128,
): void {
  const k = v128.load(c, 32);
  const a = is<R, Rectified>() ? v128.load(c, 48) : k, b = is<R, Rectified>() ? v128.load(c, 64) : k;
  const d0 = deviation<T, M>(x0, k, m0), d1 = deviation<T, M>(x1, k, m1);
  const d2 = deviation<T, M>(x2, k, m2), d3 = deviation<T, M>(x3, k, m3);
  const u0 = passing<T, R, M>(dy0, d0, a, b, m0), u1 = passing<T, R, M>(dy1, d1, a, b, m1);
  const u2 = passing<T, R, M>(dy2, d2, a, b, m2), u3 = passing<T, R, M>(dy3, d3, a, b, m3);
  const u = v128.add<T>(v128.add<T>(u0, u1), v128.add<T>(u2, u3));
  const ud01 = v128.add<T>(v128.mul<T>(u0, d0), v128.mul<T>(u1, d1));
  const ud23 = v128.add<T>(v128.mul<T>(u2, d2), v128.mul<T>(u3, d3));
  v128.store(c, v128.add<T>(v128.load(c), u));
  v128.store(c, v128.add<T>(v128.load(c, 16), v128.add<T>(ud01, ud23)), 16);
}

/**
 * n times four rows, those of a step `apart`: a quarter of the accumulator traffic. One pointer each for x, dy and the
 * records, since with one for every row there are more than registers (0.85 instead of 0.58 ns a vector), as with one
 * for every coefficient (1.9).
 */
function addFourRows<T, R, M>(
  records: usize, dy: usize, x: usize, mask: usize,
  n: i32, full: usize, rest: i32, step: usize, maskStep: usize, apart: usize, maskApart: usize,
): void {
  let m0 = v128.splat<i32>(0), m1 = m0, m2 = m0, m3 = m0;
  for (; n > 0; --n) {
    if (is<M, Masked>()) {
      m0 = closedRow(mask);
      m1 = closedRow(mask + maskApart);
      m2 = closedRow(mask + 2 * maskApart);
      m3 = closedRow(mask + 3 * maskApart);
      mask += maskStep;
    }
    let x0 = x, g0 = dy, c = records;
    const end = x + full;
    if (is<R, Plain>() && is<M, Plain>()) {
      // Two vectors a step, since newer versions of V8 unroll no such loop: 0.53 instead of 0.62 ns a vector on Node 26.
      const pairs = end - 16;
      while (x0 < pairs) {
        const x1 = x0 + apart, x2 = x1 + apart, x3 = x2 + apart, g1 = g0 + apart, g2 = g1 + apart, g3 = g2 + apart;
        addFour<T, R, M>(
          c, v128.load(x0), v128.load(x1), v128.load(x2), v128.load(x3),
          v128.load(g0), v128.load(g1), v128.load(g2), v128.load(g3), m0, m1, m2, m3,
        );
        addFour<T, R, M>(
          c + 16 * recordSize<R>(), v128.load(x0, 16), v128.load(x1, 16), v128.load(x2, 16), v128.load(x3, 16),
          v128.load(g0, 16), v128.load(g1, 16), v128.load(g2, 16), v128.load(g3, 16), m0, m1, m2, m3,
        );
        x0 += 32; g0 += 32; c += 32 * recordSize<R>();
      }
    }
    while (x0 < end) {
      const x1 = x0 + apart, x2 = x1 + apart, x3 = x2 + apart, g1 = g0 + apart, g2 = g1 + apart, g3 = g2 + apart;
      addFour<T, R, M>(
        c, v128.load(x0), v128.load(x1), v128.load(x2), v128.load(x3),
        v128.load(g0), v128.load(g1), v128.load(g2), v128.load(g3), m0, m1, m2, m3,
      );
      x0 += 16; g0 += 16; c += 16 * recordSize<R>();
    }
    if (rest) {
      // Not from x0 and g0: V8 would then compute what both have in common before it knows whether the loop goes on.
      const x1 = end + apart, x2 = x1 + apart, x3 = x2 + apart;
      const h0 = dy + full, h1 = h0 + apart, h2 = h1 + apart, h3 = h2 + apart;
      addFour<T, R, M>(
        c, loadEnd<T>(end, rest), loadEnd<T>(x1, rest), loadEnd<T>(x2, rest), loadEnd<T>(x3, rest),
        loadEnd<T>(h0, rest), loadEnd<T>(h1, rest), loadEnd<T>(h2, rest), loadEnd<T>(h3, rest), m0, m1, m2, m3,
      );
    }
    x += step; dy += step;
  }
}

/** One row. */
function addRow<T, R, M>(c: usize, dy: usize, x: usize, mask: usize, full: usize, rest: i32): void {
  const m = is<M, Masked>() ? closedRow(mask) : v128.splat<i32>(0);
  for (let i: usize = 0; i < full; i += 16) {
    addOne<T, R, M>(c, v128.load(dy + i), v128.load(x + i), m);
    c += 16 * recordSize<R>();
  }
  if (rest) addOne<T, R, M>(c, loadEnd<T>(dy + full, rest), loadEnd<T>(x + full, rest), m);
}

/** Adds one vector to the record at c. */
// @ts-ignore: decorator
@inline function addOne<T, R, M>(c: usize, dy: v128, x: v128, m: v128): void {
  const k = v128.load(c, 32);
  const a = is<R, Rectified>() ? v128.load(c, 48) : k, b = is<R, Rectified>() ? v128.load(c, 64) : k;
  const d = deviation<T, M>(x, k, m), u = passing<T, R, M>(dy, d, a, b, m);
  v128.store(c, v128.add<T>(v128.load(c), u));
  v128.store(c, v128.add<T>(v128.load(c, 16), v128.mul<T>(u, d)), 16);
}

/** Rows by the sign of y, writing g, or both; they are read and written one after another. */
function sweepGeneralRows<T, M>(
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
  const m = is<M, Masked>() ? closedRow(mask) : v128.splat<i32>(0);
  for (let i: usize = 0; i < full; i += 16) {
    let u = v128.load(dy + i);
    if (y) u = rectified<T>(u, v128.load(y + i));
    if (is<M, Masked>()) u = v128.andnot(u, m);
    if (g) v128.store(g + i, u);
    addOne<T, General, M>(c, u, v128.load(x + i), m);
    c += 16 * recordSize<General>();
  }
  if (rest) {
    let u = loadEnd<T>(dy + full, rest);
    if (y) u = rectified<T>(u, loadEnd<T>(y + full, rest));
    if (is<M, Masked>()) u = v128.andnot(u, m);
    if (g) storeEnd<T>(g + full, u, rest);
    addOne<T, General, M>(c, u, loadEnd<T>(x + full, rest), m);
  }
}
