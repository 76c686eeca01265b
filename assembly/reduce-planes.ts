/** `reduce` of [outer, channels, inner]: scratch holds accumulators for every channel, so that tensors are read in address order. */
import { closedAt, deviation, kept, passing, writeTable } from './mask';
import { General, is, Masked, Rectified } from './tags';
import { CHAIN, lanes, loadTail, rectified, spill, storeTail } from './vec';

/** Bytes per channel in the walk over planes: the lane sums of g and of g * (x - shift). */
export const RECORD: usize = 32;

export function sweepPlanes<T, R, M>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  const table = scratch + RECORD * channels;
  if (is<M, Masked>()) writeTable<T>(table);
  memory.fill(scratch, 0, RECORD * channels);
  // Vectors are added to two sums by turns, except in the general walk.
  const piece = (is<R, General>() ? 1 : 2) * lanes<T>() * CHAIN;
  const planes = min(max(piece / inner, 1), 8);
  for (let o = 0; o < outer; ++o) {
    const last = (o + 1) % planes == 0 || o + 1 == outer;
    let at: usize = 0;
    for (let c = 0; c < channels; ++c) {
      const record = scratch + RECORD * c, i = <usize>c * sizeof<T>();
      let maskAt = mask;
      for (let rest = inner; rest > 0; rest -= piece) {
        const n = min(rest, piece);
        if (is<R, General>()) {
          addGeneralRun<T, M>(record, g ? g + at : 0, dy + at, y ? y + at : 0, x + at, maskAt, shift + i, n, table);
        } else {
          addRun<T, R, M>(record, dy + at, x + at, maskAt, shift + i, scale + i, offset + i, n, table);
        }
        if (last || rest > piece) spill<T>(total + 8 * c, dot + 8 * c, record);
        at += <usize>n * sizeof<T>();
        maskAt += n / lanes<T>();
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
    const m0 = closedAt<M>(mask, table), m1 = closedAt<M>(mask + 1, table);
    const d0 = deviation<T, M>(v128.load(x), k, m0), d1 = deviation<T, M>(v128.load(x, 16), k, m1);
    const u0 = passing<T, R, M>(v128.load(dy), d0, a, b, m0), u1 = passing<T, R, M>(v128.load(dy, 16), d1, a, b, m1);
    s0 = v128.add<T>(s0, u0);
    s1 = v128.add<T>(s1, u1);
    q0 = v128.add<T>(q0, v128.mul<T>(u0, d0));
    q1 = v128.add<T>(q1, v128.mul<T>(u1, d1));
    x += 32; dy += 32;
    if (is<M, Masked>()) mask += 2;
  }
  if (x < end) {
    const m0 = closedAt<M>(mask, table);
    const d = deviation<T, M>(v128.load(x), k, m0), u = passing<T, R, M>(v128.load(dy), d, a, b, m0);
    s0 = v128.add<T>(s0, u);
    q0 = v128.add<T>(q0, v128.mul<T>(u, d));
    dy += 16;
    if (is<M, Masked>()) mask += 1;
  }
  if (rest) {
    // After the last element u is 0, and so is its product with -shift.
    const m0 = closedAt<M>(mask, table);
    const d = deviation<T, M>(loadTail<T>(end, rest), k, m0), u = passing<T, R, M>(loadTail<T>(dy, rest), d, a, b, m0);
    s1 = v128.add<T>(s1, u);
    q1 = v128.add<T>(q1, v128.mul<T>(u, d));
  }
  v128.store(record, v128.add<T>(s0, s1));
  v128.store(record, v128.add<T>(q0, q1), 16);
}

/** As addRun, but the ReLU's sign comes from y, or g is written, or both. */
// @ts-ignore: decorator
@inline function addGeneralRun<T, M>(
  record: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize, shift: usize, n: i32, table: usize,
): void {
  const k = v128.load_splat<T>(shift);
  let s = v128.load(record), q = v128.load(record, 16);
  const rest = n & (lanes<T>() - 1);
  const full = <usize>(n - rest) * sizeof<T>();
  for (let i: usize = 0; i < full; i += 16) {
    const m = closedAt<M>(mask, table);
    const d = deviation<T, M>(v128.load(x + i), k, m);
    let u = kept<M>(v128.load(dy + i), m);
    if (y) u = rectified<T>(u, v128.load(y + i));
    if (g) v128.store(g + i, u);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
    if (is<M, Masked>()) mask += 1;
  }
  if (rest) {
    const m = closedAt<M>(mask, table);
    const d = deviation<T, M>(loadTail<T>(x + full, rest), k, m);
    let u = kept<M>(loadTail<T>(dy + full, rest), m);
    if (y) u = rectified<T>(u, loadTail<T>(y + full, rest));
    if (g) storeTail<T>(g + full, u, rest);
    s = v128.add<T>(s, u);
    q = v128.add<T>(q, v128.mul<T>(u, d));
  }
  v128.store(record, s);
  v128.store(record, q, 16);
}
