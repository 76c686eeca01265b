import { is, Plain, Rectified } from './tags';
import { addTailTo, addTo, lanes, loadTail, storeTail, sum } from './vec';
import { severalRows } from './walk';
import { narrow, padded, repeatOf, widen } from './wide';

/**
 * total[c] = sum g,  dot[c] = sum g * (x - shift)      g = dy, or dy where y > 0 and 0 elsewhere
 *
 *   total, dot   [channels]                f64   written
 *   g            [outer, channels, inner]  T     written where y is given; may be dy itself
 *   dy, y, x     [outer, channels, inner]  T     y = 0: no rectifier
 *   shift        [channels]                T
 *   pitch        elements between outer slices, >= channels * inner
 *   scratch      scratchBytes(channels, inner), aligned to 16
 *
 * The two sums of the backward pass (Ioffe & Szegedy 2015, section 3: dl/dbeta and dl/dgamma before the division by
 * the standard deviation). Lane sums go into f64 after about 64 additions, as in `moments`.
 */
export function reduce<T>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, scratch: usize,
): void {
  if (y) walk<T, Rectified>(total, dot, g, dy, y, x, shift, outer, channels, inner, pitch, scratch);
  else walk<T, Plain>(total, dot, dy, dy, dy, x, shift, outer, channels, inner, pitch, scratch);
}

const CHAIN = 60;
/** Bytes a channel in the walk over planes: the lane sums of g and of g * (x - shift). */
const RECORD: usize = 32;

/** dy where y is above 0 or NaN, else 0. */
// @ts-ignore: decorator
@inline function rectified<T>(dy: v128, y: v128): v128 {
  return v128.andnot(dy, v128.le<T>(y, v128.splat<T>(0)));
}

function walk<T, R>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>();
  const repeat = repeatOf(outer, channels, inner, pitch);
  if (repeat == 0) sweepPlanes<T, R>(total, dot, g, dy, y, x, shift, outer, channels, inner, step, scratch);
  else sweepColumns<T, R>(total, dot, g, dy, y, x, shift, outer, channels, inner, repeat, step, scratch);
}

function sweepPlanes<T, R>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize,
  outer: i32, channels: i32, inner: i32, step: usize, scratch: usize,
): void {
  memory.fill(total, 0, <usize>channels * 8);
  memory.fill(dot, 0, <usize>channels * 8);
  const piece = 2 * lanes<T>() * CHAIN;
  const planes = min(max(piece / inner, 1), 8);
  memory.fill(scratch, 0, RECORD * channels);
  for (let o = 0; o < outer; ++o) {
    const last = (o + 1) % planes == 0 || o + 1 == outer;
    let p: usize = 0;
    for (let c = 0; c < channels; ++c) {
      const record = scratch + RECORD * c, k = shift + <usize>c * sizeof<T>();
      let rest = inner;
      while (rest > piece) {
        addRun<T, R>(record, g + p, dy + p, y + p, x + p, k, piece);
        spill<T>(record, total + 8 * c, dot + 8 * c);
        p += <usize>piece * sizeof<T>();
        rest -= piece;
      }
      addRun<T, R>(record, g + p, dy + p, y + p, x + p, k, rest);
      if (last) spill<T>(record, total + 8 * c, dot + 8 * c);
      p += <usize>rest * sizeof<T>();
    }
    g += step; dy += step; y += step; x += step;
  }
}

/** Adds n consecutive values of one channel to its record. */
function addRun<T, R>(record: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize, n: i32): void {
  const k = v128.load_splat<T>(shift);
  let s0 = v128.load(record), q0 = v128.load(record, 16);
  let s1 = v128.splat<T>(0), q1 = s1;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const pairs = end - 16;
  while (x < pairs) {
    let u = v128.load(dy), v = v128.load(dy, 16);
    if (is<R, Rectified>()) {
      u = rectified<T>(u, v128.load(y));
      v = rectified<T>(v, v128.load(y, 16));
      v128.store(g, u);
      v128.store(g, v, 16);
      g += 32; y += 32;
    }
    s0 = v128.add<T>(s0, u);
    s1 = v128.add<T>(s1, v);
    q0 = v128.add<T>(q0, v128.mul<T>(u, v128.sub<T>(v128.load(x), k)));
    q1 = v128.add<T>(q1, v128.mul<T>(v, v128.sub<T>(v128.load(x, 16), k)));
    x += 32; dy += 32;
  }
  if (x < end) {
    let u = v128.load(dy);
    if (is<R, Rectified>()) {
      u = rectified<T>(u, v128.load(y));
      v128.store(g, u);
      g += 16; y += 16;
    }
    s0 = v128.add<T>(s0, u);
    q0 = v128.add<T>(q0, v128.mul<T>(u, v128.sub<T>(v128.load(x), k)));
    x += 16; dy += 16;
  }
  if (rest) {
    let u = loadTail<T>(dy, rest);
    if (is<R, Rectified>()) {
      u = rectified<T>(u, loadTail<T>(y, rest));
      storeTail<T>(g, u, rest);
    }
    // Beyond the tail u is 0, and so is its product with -shift.
    s1 = v128.add<T>(s1, u);
    q1 = v128.add<T>(q1, v128.mul<T>(u, v128.sub<T>(loadTail<T>(x, rest), k)));
  }
  v128.store(record, v128.add<T>(s0, s1));
  v128.store(record, v128.add<T>(q0, q1), 16);
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
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize,
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
    sweepRows<T, R>(s, q, g, dy, y, x, k, rows, columns, step * repeat, scratch);
    sweepRows<T, R>(
      s, q, g + done, dy + done, y + done, x + done, k, outer - rows * repeat, channels, step, scratch,
    );
  } else {
    sweepRows<T, R>(s, q, g, dy, y, x, k, outer, columns, step, scratch);
  }
  if (wide) {
    narrow(total, s, channels, repeat, inner);
    narrow(dot, q, channels, repeat, inner);
  }
}

/** Adds both sums of every column to the totals. */
function sweepRows<T, R>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize,
  outer: i32, columns: i32, step: usize, scratch: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16;
  const rest = columns & (lanes<T>() - 1);
  const width = padded<T>(columns);
  const s = scratch, q = scratch + width;
  const byTwo = !is<R, Rectified>() && severalRows(2 * <usize>outer * step, full);
  const block = byTwo ? 2 * CHAIN : CHAIN;
  for (let o = 0; o < outer; o += block) {
    const rows = min(block, outer - o);
    memory.fill(s, 0, 2 * width);
    const pairs = byTwo ? rows >> 1 : 0;
    if (pairs) addTwoRows<T>(s, q, dy, x, shift, pairs, full, step);
    const done = <usize>(pairs << 1) * step;
    addRows<T, R>(s, q, g + done, dy + done, y + done, x + done, shift, rows - (pairs << 1), full, step);
    if (rest) addRowTails<T, R>(s + full, q + full, g + full, dy + full, y + full, x + full, shift + full, rows, rest, step);
    spillRow<T>(total, s, full, rest);
    spillRow<T>(dot, q, full, rest);
    const bytes = <usize>rows * step;
    g += bytes; dy += bytes; y += bytes; x += bytes;
  }
}

/** Two rows at a time: half the accumulator traffic. Four would fill the ways of an L1 set where rows are 4 KiB apart. */
function addTwoRows<T>(
  s: usize, q: usize, dy: usize, x: usize, shift: usize, pairs: i32, full: usize, step: usize,
): void {
  for (; pairs > 0; --pairs) {
    let x0 = x, x1 = x + step, g0 = dy, g1 = dy + step;
    let sp = s, qp = q, kp = shift;
    const end = x + full;
    const whole = end - 16;
    while (x0 < whole) {
      const k = v128.load(kp), l = v128.load(kp, 16);
      const u0 = v128.load(g0), u1 = v128.load(g1), v0 = v128.load(g0, 16), v1 = v128.load(g1, 16);
      const d0 = v128.mul<T>(u0, v128.sub<T>(v128.load(x0), k));
      const d1 = v128.mul<T>(u1, v128.sub<T>(v128.load(x1), k));
      const e0 = v128.mul<T>(v0, v128.sub<T>(v128.load(x0, 16), l));
      const e1 = v128.mul<T>(v1, v128.sub<T>(v128.load(x1, 16), l));
      v128.store(sp, v128.add<T>(v128.load(sp), v128.add<T>(u0, u1)));
      v128.store(sp, v128.add<T>(v128.load(sp, 16), v128.add<T>(v0, v1)), 16);
      v128.store(qp, v128.add<T>(v128.load(qp), v128.add<T>(d0, d1)));
      v128.store(qp, v128.add<T>(v128.load(qp, 16), v128.add<T>(e0, e1)), 16);
      x0 += 32; x1 += 32; g0 += 32; g1 += 32;
      sp += 32; qp += 32; kp += 32;
    }
    if (x0 < end) {
      const k = v128.load(kp), u0 = v128.load(g0), u1 = v128.load(g1);
      const d0 = v128.mul<T>(u0, v128.sub<T>(v128.load(x0), k));
      const d1 = v128.mul<T>(u1, v128.sub<T>(v128.load(x1), k));
      v128.store(sp, v128.add<T>(v128.load(sp), v128.add<T>(u0, u1)));
      v128.store(qp, v128.add<T>(v128.load(qp), v128.add<T>(d0, d1)));
    }
    x += 2 * step;
    dy += 2 * step;
  }
}

/** One row at a time. */
function addRows<T, R>(
  s: usize, q: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize, rows: i32, full: usize, step: usize,
): void {
  for (; rows > 0; --rows) {
    let xp = x, dp = dy, yp = y, gp = g, sp = s, qp = q, kp = shift;
    const end = x + full;
    const pairs = end - 16;
    while (xp < pairs) {
      let u = v128.load(dp), v = v128.load(dp, 16);
      if (is<R, Rectified>()) {
        u = rectified<T>(u, v128.load(yp));
        v = rectified<T>(v, v128.load(yp, 16));
        v128.store(gp, u);
        v128.store(gp, v, 16);
        gp += 32; yp += 32;
      }
      const a = v128.mul<T>(u, v128.sub<T>(v128.load(xp), v128.load(kp)));
      const b = v128.mul<T>(v, v128.sub<T>(v128.load(xp, 16), v128.load(kp, 16)));
      v128.store(sp, v128.add<T>(v128.load(sp), u));
      v128.store(sp, v128.add<T>(v128.load(sp, 16), v), 16);
      v128.store(qp, v128.add<T>(v128.load(qp), a));
      v128.store(qp, v128.add<T>(v128.load(qp, 16), b), 16);
      xp += 32; dp += 32; sp += 32; qp += 32; kp += 32;
    }
    if (xp < end) {
      let u = v128.load(dp);
      if (is<R, Rectified>()) {
        u = rectified<T>(u, v128.load(yp));
        v128.store(gp, u);
      }
      v128.store(sp, v128.add<T>(v128.load(sp), u));
      v128.store(qp, v128.add<T>(v128.load(qp), v128.mul<T>(u, v128.sub<T>(v128.load(xp), v128.load(kp)))));
    }
    g += step; dy += step; y += step; x += step;
  }
}

/** The columns that do not fill a vector, down all rows of a block. */
function addRowTails<T, R>(
  s: usize, q: usize, g: usize, dy: usize, y: usize, x: usize, shift: usize, rows: i32, rest: i32, step: usize,
): void {
  const k = loadTail<T>(shift, rest);
  let total = v128.splat<T>(0), dot = total;
  let totalOfFour = total, dotOfFour = total;
  for (let r = 1; r <= rows; ++r) {
    let u = loadTail<T>(dy, rest);
    if (is<R, Rectified>()) {
      u = rectified<T>(u, loadTail<T>(y, rest));
      storeTail<T>(g, u, rest);
      g += step; y += step;
    }
    totalOfFour = v128.add<T>(totalOfFour, u);
    dotOfFour = v128.add<T>(dotOfFour, v128.mul<T>(u, v128.sub<T>(loadTail<T>(x, rest), k)));
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

/** Adds a row of T to a row of f64. */
function spillRow<T>(total: usize, row: usize, full: usize, rest: i32): void {
  const end = row + full;
  while (row < end) {
    addTo<T>(total, v128.load(row));
    row += 16;
    total += 8 * lanes<T>();
  }
  if (rest) addTailTo<T>(total, v128.load(row), rest);
}
