/** `moments` of [outer, channels, inner]: scratch holds accumulators for every channel, so that x is read in address order. */
import { closedAt, deviation } from './mask';
import { CHAIN, RECORD, SHIFT } from './moments-shift';
import { is, Masked } from './tags';
import { addTotal, four, fourSquares, lanes, loadTail, spill, sum } from './vec';

/** Blocks whose sums are added in f64 before they join the others: as many additions are what f64 itself may have. */
const MOST_BLOCKS = 40;

/** One sweep: mean and m2 become sum d and sum d^2. Each channel's K is in its record. `table` is that of a mask. */
export function sweepPlanes<T, M>(
  mean: usize, m2: usize, x: usize, mask: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, records: usize, table: usize,
): void {
  const block = 4 * lanes<T>() * CHAIN;
  // A plane adds once per four vectors; then its sums are added to those of the plane before.
  const planes = min(max(CHAIN + 1 - inner / (4 * lanes<T>()), 1), 8);
  memory.fill(mean, 0, <usize>channels * 8);
  memory.fill(m2, 0, <usize>channels * 8);
  for (let c = 0; c < channels; ++c) {
    v128.store(records + RECORD * c, v128.splat<T>(0));
    v128.store(records + RECORD * c, v128.splat<T>(0), 16);
  }
  for (let o = 0; o < outer; ++o) {
    const last = (o + 1) % planes == 0 || o + 1 == outer;
    let plane = x + <usize>o * step;
    for (let c = 0; c < channels; ++c) {
      const record = records + RECORD * c;
      let maskAt = mask, n = inner;
      while (n >= block) {
        const whole = min(n / block, MOST_BLOCKS) * block;
        addBlocks<T, M>(record, mean + 8 * c, m2 + 8 * c, plane, maskAt, whole, table);
        n -= whole;
        plane += <usize>whole * sizeof<T>();
        maskAt += whole / lanes<T>();
      }
      addRun<T, M>(record, plane, maskAt, n, table);
      if (last) spill<T>(mean + 8 * c, m2 + 8 * c, record);
      plane += <usize>n * sizeof<T>();
    }
    mask += maskStep;
  }
}

/** Adds n consecutive values of one channel to its record. */
// @ts-ignore: decorator
@inline function addRun<T, M>(record: usize, x: usize, mask: usize, n: i32, table: usize): void {
  const k = v128.load(record, SHIFT);
  let s0 = v128.splat<T>(0), q0 = s0;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const quads = end - 48;
  while (x < quads) {
    const d0 = deviation<T, M>(v128.load(x), k, closedAt<M>(mask, table));
    const d1 = deviation<T, M>(v128.load(x, 16), k, closedAt<M>(mask + 1, table));
    const d2 = deviation<T, M>(v128.load(x, 32), k, closedAt<M>(mask + 2, table));
    const d3 = deviation<T, M>(v128.load(x, 48), k, closedAt<M>(mask + 3, table));
    s0 = v128.add<T>(s0, four<T>(d0, d1, d2, d3));
    q0 = v128.add<T>(q0, fourSquares<T>(d0, d1, d2, d3));
    x += 64;
    if (is<M, Masked>()) mask += 4;
  }
  let s1 = v128.splat<T>(0), q1 = s1;
  while (x < end) {
    const d = deviation<T, M>(v128.load(x), k, closedAt<M>(mask, table));
    s1 = v128.add<T>(s1, d);
    q1 = v128.add<T>(q1, v128.mul<T>(d, d));
    x += 16;
    if (is<M, Masked>()) mask += 1;
  }
  if (rest) {
    const d = deviation<T, M>(loadTail<T>(end, rest), loadTail<T>(record + SHIFT, rest), closedAt<M>(mask, table));
    s1 = v128.add<T>(s1, d);
    q1 = v128.add<T>(q1, v128.mul<T>(d, d));
  }
  v128.store(record, v128.add<T>(v128.load(record), v128.add<T>(s0, s1)));
  v128.store(record, v128.add<T>(v128.load(record, 16), v128.add<T>(q0, q1)), 16);
}

/** Adds n consecutive values of one channel, whole blocks of CHAIN sums per lane, to its totals. */
// @ts-ignore: decorator
@inline function addBlocks<T, M>(record: usize, mean: usize, m2: usize, x: usize, mask: usize, n: i32, table: usize): void {
  const k = v128.load(record, SHIFT), end = x + <usize>n * sizeof<T>();
  let s = v128.splat<f64>(0), q = s;
  while (x < end) {
    let s0 = v128.splat<T>(0), q0 = s0;
    const stop = x + 64 * CHAIN;
    do {
      const d0 = deviation<T, M>(v128.load(x), k, closedAt<M>(mask, table));
      const d1 = deviation<T, M>(v128.load(x, 16), k, closedAt<M>(mask + 1, table));
      const d2 = deviation<T, M>(v128.load(x, 32), k, closedAt<M>(mask + 2, table));
      const d3 = deviation<T, M>(v128.load(x, 48), k, closedAt<M>(mask + 3, table));
      s0 = v128.add<T>(s0, four<T>(d0, d1, d2, d3));
      q0 = v128.add<T>(q0, fourSquares<T>(d0, d1, d2, d3));
      x += 64;
      if (is<M, Masked>()) mask += 4;
    } while (x < stop);
    if (sizeof<T>() == 4) {
      // Both halves of each as one vector.
      const both = v128.add<T>(v128.shuffle<i64>(s0, q0, 0, 2), v128.shuffle<i64>(s0, q0, 1, 3));
      s0 = f64x2.promote_low_f32x4(both);
      q0 = f64x2.promote_low_f32x4(v128.shuffle<i64>(both, both, 1, 0));
    }
    s = f64x2.add(s, s0);
    q = f64x2.add(q, q0);
  }
  addTotal<T>(mean, sum<f64>(s), record);
  addTotal<T>(m2, sum<f64>(q), record + 16);
}
