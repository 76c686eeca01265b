import { General, is, offsetOf, Plain, Rectified } from './tags';
import { addRowTo, lanes, loadTail, rectified, storeTail, sum } from './vec';
import { severalRows } from './walk';
import { narrow, padded, repeatOf, widen } from './wide';

/**
 * total[c] = sum g,  dot[c] = sum g * (x - shift)      g = dy where the mask and the ReLU let it pass, 0 elsewhere
 *
 *   total, dot            [channels]                f64   written
 *   g                     [outer, channels, inner]  T     written unless 0; may be dy itself
 *   dy, y, x              [outer, channels, inner]  T     y = 0: none; else g is 0 where y <= 0
 *   mask                  [outer, inner]            T     all bits or none of each element; 0: no mask
 *   shift, scale, offset  [channels]                T     offset = 0: none; else g is 0 where
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
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch * sizeof<T>();
  const repeat = mask | g | y | offset ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  if (g | y | mask) {
    if (repeat) {
      generalRows<T>(total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, step, maskStep, scratch);
    } else {
      sweepPlanes<T, General>(
        total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, inner, step, maskStep, scratch,
      );
    }
  } else if (offset) {
    walk<T, Rectified>(total, dot, dy, x, shift, scale, offset, outer, channels, inner, repeat, step, scratch);
  } else {
    walk<T, Plain>(total, dot, dy, x, shift, shift, shift, outer, channels, inner, repeat, step, scratch);
  }
}

function walk<T, R>(
  total: usize, dot: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, repeat: i32, step: usize, scratch: usize,
): void {
  if (repeat) {
    sweepColumns<T, R>(total, dot, dy, x, shift, scale, offset, outer, channels, inner, repeat, step, scratch);
  } else {
    sweepPlanes<T, R>(total, dot, 0, dy, 0, x, 0, shift, scale, offset, outer, channels, inner, step, 0, scratch);
  }
}

/** dy where the ReLU let y pass; d is x - shift. */
// @ts-ignore: decorator
@inline function passing<T, R>(dy: v128, d: v128, a: v128, b: v128): v128 {
  return is<R, Rectified>() ? rectified<T>(dy, v128.add<T>(v128.mul<T>(d, a), b)) : dy;
}

const CHAIN = 60;
/** Bytes a channel in the walk over planes: the lane sums of g and of g * (x - shift). */
const RECORD: usize = 32;

function sweepPlanes<T, R>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  memory.fill(total, 0, <usize>channels * 8);
  memory.fill(dot, 0, <usize>channels * 8);
  memory.fill(scratch, 0, RECORD * channels);
  // In the plain walk two sums take turns.
  const piece = (is<R, General>() ? 1 : 2) * lanes<T>() * CHAIN;
  const planes = min(max(piece / inner, 1), 8);
  for (let o = 0; o < outer; ++o) {
    const last = (o + 1) % planes == 0 || o + 1 == outer;
    let p: usize = 0;
    for (let c = 0; c < channels; ++c) {
      const record = scratch + RECORD * c, at = <usize>c * sizeof<T>();
      for (let rest = inner, m: usize = 0; rest > 0; rest -= piece) {
        const n = min(rest, piece);
        if (is<R, General>() && !(g | y)) {
          if (offset) addMaskedRun<T, Rectified>(record, dy + p, x + p, mask + m, shift + at, scale + at, offset + at, n);
          else addMaskedRun<T, Plain>(record, dy + p, x + p, mask + m, shift + at, shift + at, shift + at, n);
        } else if (is<R, General>()) {
          addGeneralRun<T>(
            record, offsetOf(g, p), dy + p, offsetOf(y, p), x + p, offsetOf(mask, m),
            shift + at, offsetOf(scale, at), offsetOf(offset, at), n,
          );
        } else {
          addRun<T, R>(record, dy + p, x + p, shift + at, scale + at, offset + at, n);
        }
        if (last || rest > piece) spill<T>(record, total + 8 * c, dot + 8 * c);
        p += <usize>n * sizeof<T>();
        m += <usize>n * sizeof<T>();
      }
    }
    dy += step; x += step;
    if (is<R, General>()) {
      g = offsetOf(g, step);
      y = offsetOf(y, step);
      mask = offsetOf(mask, maskStep);
    }
  }
}

/** Adds n consecutive values of one channel to its record. */
function addRun<T, R>(record: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize, n: i32): void {
  const k = v128.load_splat<T>(shift);
  const a = is<R, Rectified>() ? v128.load_splat<T>(scale) : k, b = is<R, Rectified>() ? v128.load_splat<T>(offset) : k;
  let s0 = v128.load(record), q0 = v128.load(record, 16);
  let s1 = v128.splat<T>(0), q1 = s1;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const d = v128.sub<T>(v128.load(x), k), e = v128.sub<T>(v128.load(x, 16), k);
    const u = passing<T, R>(v128.load(dy), d, a, b), v = passing<T, R>(v128.load(dy, 16), e, a, b);
    s0 = v128.add<T>(s0, u);
    s1 = v128.add<T>(s1, v);
    q0 = v128.add<T>(q0, v128.mul<T>(u, d));
    q1 = v128.add<T>(q1, v128.mul<T>(v, e));
    x += 32; dy += 32;
  }
  if (x < end) {
    const d = v128.sub<T>(v128.load(x), k);
    const u = passing<T, R>(v128.load(dy), d, a, b);
    s0 = v128.add<T>(s0, u);
    q0 = v128.add<T>(q0, v128.mul<T>(u, d));
    dy += 16;
  }
  if (rest) {
    // Beyond the tail u is 0, and so is its product with -shift.
    const d = v128.sub<T>(loadTail<T>(end, rest), k);
    const u = passing<T, R>(loadTail<T>(dy, rest), d, a, b);
    s1 = v128.add<T>(s1, u);
    q1 = v128.add<T>(q1, v128.mul<T>(u, d));
  }
  v128.store(record, v128.add<T>(s0, s1));
  v128.store(record, v128.add<T>(q0, q1), 16);
}

/** The same with a mask; x and dy may be anything where it does not let them pass. */
function addMaskedRun<T, R>(
  record: usize, dy: usize, x: usize, mask: usize, shift: usize, scale: usize, offset: usize, n: i32,
): void {
  const k = v128.load_splat<T>(shift), a = v128.load_splat<T>(scale), b = v128.load_splat<T>(offset);
  let s = v128.load(record), q = v128.load(record, 16);
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    const valid = v128.load(mask), valid1 = v128.load(mask, 16);
    const d = v128.and(v128.sub<T>(v128.load(x), k), valid), e = v128.and(v128.sub<T>(v128.load(x, 16), k), valid1);
    const u = v128.and(passing<T, R>(v128.load(dy), d, a, b), valid);
    const v = v128.and(passing<T, R>(v128.load(dy, 16), e, a, b), valid1);
    s = v128.add<T>(s, v128.add<T>(u, v));
    q = v128.add<T>(q, v128.add<T>(v128.mul<T>(u, d), v128.mul<T>(v, e)));
    x += 32; dy += 32; mask += 32;
  }
  if (x < end) {
    const valid = v128.load(mask);
    const d = v128.and(v128.sub<T>(v128.load(x), k), valid);
    const u = v128.and(passing<T, R>(v128.load(dy), d, a, b), valid);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
    dy += 16; mask += 16;
  }
  if (rest) {
    const valid = loadTail<T>(mask, rest);
    const d = v128.and(v128.sub<T>(loadTail<T>(end, rest), k), valid);
    const u = v128.and(passing<T, R>(loadTail<T>(dy, rest), d, a, b), valid);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
  }
  v128.store(record, s);
  v128.store(record, q, 16);
}

/** g of one vector: dy where the mask and the ReLU let it pass. */
// @ts-ignore: decorator
@inline function passed<T>(dy: v128, d: v128, a: v128, b: v128, offset: usize): v128 {
  return offset ? passing<T, Rectified>(dy, d, a, b) : dy;
}

/** The same with a mask, through a ReLU, writing g, or any of these. */
function addGeneralRun<T>(
  record: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize, n: i32,
): void {
  const k = v128.load_splat<T>(shift);
  const a = v128.load_splat<T>(offset ? scale : shift), b = v128.load_splat<T>(offset ? offset : shift);
  let s = v128.load(record), q = v128.load(record, 16);
  const rest = n & (lanes<T>() - 1);
  const full = <usize>(n - rest) * sizeof<T>();
  for (let i: usize = 0; i < full; i += 16) {
    let d = v128.sub<T>(v128.load(x + i), k);
    let u = passed<T>(v128.load(dy + i), d, a, b, offset);
    if (y) u = rectified<T>(u, v128.load(y + i));
    if (mask) {
      const valid = v128.load(mask + i);
      u = v128.and(u, valid);
      d = v128.and(d, valid);
    }
    if (g) v128.store(g + i, u);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
  }
  if (rest) {
    let d = v128.sub<T>(loadTail<T>(x + full, rest), k);
    let u = passed<T>(loadTail<T>(dy + full, rest), d, a, b, offset);
    if (y) u = rectified<T>(u, loadTail<T>(y + full, rest));
    if (mask) {
      const valid = loadTail<T>(mask + full, rest);
      u = v128.and(u, valid);
      d = v128.and(d, valid);
    }
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

/** The sums of rows of `repeat` columns a channel. */
function sweepColumns<T, R>(
  total: usize, dot: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, repeat: i32, step: usize, scratch: usize,
): void {
  const columns = channels * repeat, bytes = <usize>columns * 8, width = padded<T>(columns);
  const wide = repeat > 1;
  const k = wide ? scratch + 2 * width : shift;
  const s = wide ? k + width : total, q = wide ? s + bytes : dot;
  memory.fill(s, 0, bytes);
  memory.fill(q, 0, bytes);
  if (wide) widen<T>(k, shift, channels, repeat, inner);
  if (wide && inner == 1) {
    const rows = outer / repeat, done = <usize>(rows * repeat) * step;
    sweepRows<T, R>(s, q, dy, x, k, scale, offset, rows, columns, step * repeat, scratch);
    sweepRows<T, R>(s, q, dy + done, x + done, k, scale, offset, outer - rows * repeat, channels, step, scratch);
  } else {
    sweepRows<T, R>(s, q, dy, x, k, scale, offset, outer, columns, step, scratch);
  }
  if (wide) {
    narrow(total, s, channels, repeat, inner);
    narrow(dot, q, channels, repeat, inner);
  }
}

/** Adds both sums of every column to the totals. */
function sweepRows<T, R>(
  total: usize, dot: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize,
  outer: i32, columns: i32, step: usize, scratch: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16;
  const rest = columns & (lanes<T>() - 1);
  const width = padded<T>(columns);
  const s = scratch, q = scratch + width;
  const byTwo = severalRows(2 * <usize>outer * step, full);
  const block = byTwo ? 2 * CHAIN : CHAIN;
  for (let o = 0; o < outer; o += block) {
    const rows = min(block, outer - o);
    memory.fill(s, 0, 2 * width);
    const pairs = byTwo ? rows >> 1 : 0;
    if (pairs) addTwoRows<T, R>(s, q, dy, x, shift, scale, offset, pairs, full, step);
    const done = <usize>(pairs << 1) * step;
    addRows<T, R>(s, q, dy + done, x + done, shift, scale, offset, rows - (pairs << 1), full, step);
    if (rest) {
      addRowTails<T, R>(
        s + full, q + full, dy + full, x + full, shift + full, scale + full, offset + full, rows, rest, step,
      );
    }
    addRowTo<T>(total, s, full, rest);
    addRowTo<T>(dot, q, full, rest);
    const bytes = <usize>rows * step;
    dy += bytes; x += bytes;
  }
}

/** Two rows at a time: half the accumulator traffic. Four would fill the ways of an L1 set where rows are 4 KiB apart. */
function addTwoRows<T, R>(
  s: usize, q: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize,
  pairs: i32, full: usize, step: usize,
): void {
  for (; pairs > 0; --pairs) {
    let x0 = x, x1 = x + step, g0 = dy, g1 = dy + step;
    let sp = s, qp = q, kp = shift, ap = scale, bp = offset;
    const end = x + full;
    while (x0 < end) {
      const k = v128.load(kp);
      const a = is<R, Rectified>() ? v128.load(ap) : k, b = is<R, Rectified>() ? v128.load(bp) : k;
      const d0 = v128.sub<T>(v128.load(x0), k), d1 = v128.sub<T>(v128.load(x1), k);
      const u0 = passing<T, R>(v128.load(g0), d0, a, b), u1 = passing<T, R>(v128.load(g1), d1, a, b);
      v128.store(sp, v128.add<T>(v128.load(sp), v128.add<T>(u0, u1)));
      v128.store(qp, v128.add<T>(v128.load(qp), v128.add<T>(v128.mul<T>(u0, d0), v128.mul<T>(u1, d1))));
      x0 += 16; x1 += 16; g0 += 16; g1 += 16;
      sp += 16; qp += 16; kp += 16;
      if (is<R, Rectified>()) { ap += 16; bp += 16; }
    }
    x += 2 * step;
    dy += 2 * step;
  }
}

/** One row at a time. */
function addRows<T, R>(
  s: usize, q: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize,
  rows: i32, full: usize, step: usize,
): void {
  for (; rows > 0; --rows) {
    let xp = x, dp = dy, sp = s, qp = q, kp = shift, ap = scale, bp = offset;
    const end = x + full;
    const pairs = end - 16;
    while (xp < pairs) {
      const k = v128.load(kp), l = v128.load(kp, 16);
      const d = v128.sub<T>(v128.load(xp), k), e = v128.sub<T>(v128.load(xp, 16), l);
      const u = passing<T, R>(
        v128.load(dp), d, is<R, Rectified>() ? v128.load(ap) : k, is<R, Rectified>() ? v128.load(bp) : k,
      );
      const v = passing<T, R>(
        v128.load(dp, 16), e, is<R, Rectified>() ? v128.load(ap, 16) : k, is<R, Rectified>() ? v128.load(bp, 16) : k,
      );
      v128.store(sp, v128.add<T>(v128.load(sp), u));
      v128.store(sp, v128.add<T>(v128.load(sp, 16), v), 16);
      v128.store(qp, v128.add<T>(v128.load(qp), v128.mul<T>(u, d)));
      v128.store(qp, v128.add<T>(v128.load(qp, 16), v128.mul<T>(v, e)), 16);
      xp += 32; dp += 32; sp += 32; qp += 32; kp += 32;
      if (is<R, Rectified>()) { ap += 32; bp += 32; }
    }
    if (xp < end) {
      const k = v128.load(kp), d = v128.sub<T>(v128.load(xp), k);
      const u = passing<T, R>(
        v128.load(dp), d, is<R, Rectified>() ? v128.load(ap) : k, is<R, Rectified>() ? v128.load(bp) : k,
      );
      v128.store(sp, v128.add<T>(v128.load(sp), u));
      v128.store(qp, v128.add<T>(v128.load(qp), v128.mul<T>(u, d)));
    }
    dy += step; x += step;
  }
}

/** The columns that do not fill a vector, down all rows of a block. */
function addRowTails<T, R>(
  s: usize, q: usize, dy: usize, x: usize, shift: usize, scale: usize, offset: usize,
  rows: i32, rest: i32, step: usize,
): void {
  const k = loadTail<T>(shift, rest);
  const a = is<R, Rectified>() ? loadTail<T>(scale, rest) : k, b = is<R, Rectified>() ? loadTail<T>(offset, rest) : k;
  let total = v128.splat<T>(0), dot = total;
  let totalOfFour = total, dotOfFour = total;
  for (let r = 1; r <= rows; ++r) {
    const d = v128.sub<T>(loadTail<T>(x, rest), k);
    const u = passing<T, R>(loadTail<T>(dy, rest), d, a, b);
    totalOfFour = v128.add<T>(totalOfFour, u);
    dotOfFour = v128.add<T>(dotOfFour, v128.mul<T>(u, d));
    if ((r & 3) == 0 || r == rows) {
      total = v128.add<T>(total, totalOfFour);
      dot = v128.add<T>(dot, dotOfFour);
      totalOfFour = dotOfFour = v128.splat<T>(0);
    }
    dy += step; x += step;
  }
  v128.store(s, total);
  v128.store(q, dot);
}

/** Rows with a mask, through a ReLU, writing g, or any of these. */
function generalRows<T>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  const full = <usize>(channels / lanes<T>()) * 16;
  const rest = channels & (lanes<T>() - 1);
  const width = padded<T>(channels);
  const s = scratch, q = scratch + width;
  memory.fill(total, 0, <usize>channels * 8);
  memory.fill(dot, 0, <usize>channels * 8);
  for (let o = 0; o < outer; o += CHAIN) {
    const rows = min(CHAIN, outer - o);
    memory.fill(s, 0, 2 * width);
    for (let r = 0; r < rows; ++r) {
      if (g | y) addGeneralRow<T>(s, q, g, dy, y, x, mask, shift, scale, offset, full, rest);
      else if (offset) addMaskedRow<T, Rectified>(s, q, dy, x, mask, shift, scale, offset, full, rest);
      else addMaskedRow<T, Plain>(s, q, dy, x, mask, shift, shift, shift, full, rest);
      dy += step; x += step;
      g = offsetOf(g, step);
      y = offsetOf(y, step);
      mask = offsetOf(mask, maskStep);
    }
    addRowTo<T>(total, s, full, rest);
    addRowTo<T>(dot, q, full, rest);
  }
}

function addMaskedRow<T, R>(
  s: usize, q: usize, dy: usize, x: usize, mask: usize, shift: usize, scale: usize, offset: usize,
  full: usize, rest: i32,
): void {
  const valid = v128.load_splat<T>(mask);
  const end = x + full;
  while (x < end) {
    const k = v128.load(shift), d = v128.and(v128.sub<T>(v128.load(x), k), valid);
    const a = is<R, Rectified>() ? v128.load(scale) : k, b = is<R, Rectified>() ? v128.load(offset) : k;
    const u = v128.and(passing<T, R>(v128.load(dy), d, a, b), valid);
    v128.store(s, v128.add<T>(v128.load(s), u));
    v128.store(q, v128.add<T>(v128.load(q), v128.mul<T>(u, d)));
    x += 16; dy += 16; s += 16; q += 16; shift += 16; scale += 16; offset += 16;
  }
  if (rest) {
    const k = loadTail<T>(shift, rest), d = v128.and(v128.sub<T>(loadTail<T>(x, rest), k), valid);
    const u = v128.and(passing<T, R>(loadTail<T>(dy, rest), d, loadTail<T>(scale, rest), loadTail<T>(offset, rest)), valid);
    v128.store(s, v128.add<T>(v128.load(s), u));
    v128.store(q, v128.add<T>(v128.load(q), v128.mul<T>(u, d)));
  }
}

function addGeneralRow<T>(
  s: usize, q: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize, full: usize, rest: i32,
): void {
  const valid = mask ? v128.load_splat<T>(mask) : v128.splat<i32>(-1);
  for (let i: usize = 0; i < full; i += 16) {
    let d = v128.sub<T>(v128.load(x + i), v128.load(shift + i));
    let u = v128.load(dy + i);
    if (offset) u = passed<T>(u, d, v128.load(scale + i), v128.load(offset + i), offset);
    if (y) u = rectified<T>(u, v128.load(y + i));
    u = v128.and(u, valid);
    d = v128.and(d, valid);
    if (g) v128.store(g + i, u);
    v128.store(s + i, v128.add<T>(v128.load(s + i), u));
    v128.store(q + i, v128.add<T>(v128.load(q + i), v128.mul<T>(u, d)));
  }
  if (rest) {
    let d = v128.sub<T>(loadTail<T>(x + full, rest), loadTail<T>(shift + full, rest));
    let u = loadTail<T>(dy + full, rest);
    if (offset) u = passed<T>(u, d, loadTail<T>(scale + full, rest), loadTail<T>(offset + full, rest), offset);
    if (y) u = rectified<T>(u, loadTail<T>(y + full, rest));
    u = v128.and(u, valid);
    d = v128.and(d, valid);
    if (g) storeTail<T>(g + full, u, rest);
    v128.store(s + full, v128.add<T>(v128.load(s + full), u));
    v128.store(q + full, v128.add<T>(v128.load(q + full), v128.mul<T>(u, d)));
  }
}
