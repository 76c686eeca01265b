/** `moments` of [outer, channels, inner]: accumulators of every channel in scratch, so that memory is read in address order. */
import { closed, deviation, writeTable } from './mask';
import { HEADER, RECORD, SHIFT } from './shift';
import { is, Masked } from './tags';
import { CHAIN, four, fourSquares, lanes, loadTail, spill } from './vec';

/** One sweep: mean and m2 become sum d and sum d^2. K of each channel stands in its record, behind the header of scratch. */
export function sweepPlanes<T, M>(
  mean: usize, m2: usize, x: usize, mask: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  const piece = 4 * lanes<T>() * CHAIN;
  const planes = min(max(piece / inner, 1), 8);
  const records = scratch + HEADER, table = records + RECORD * channels;
  if (is<M, Masked>()) writeTable<T>(table);
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
      let m = mask;
      for (let rest = inner; rest > 0; rest -= piece) {
        const n = min(rest, piece);
        addRun<T, M>(record, plane, m, n, table);
        if (last || rest > piece) spill<T>(mean + 8 * c, m2 + 8 * c, record);
        plane += <usize>n * sizeof<T>();
        m += n / lanes<T>();
      }
    }
    mask += maskStep;
  }
}

/** Adds n consecutive values of one channel to its record. */
// @ts-ignore: decorator
@inline function addRun<T, M>(record: usize, x: usize, mask: usize, n: i32, table: usize): void {
  const k = v128.load(record, SHIFT);
  let s = v128.splat<T>(0), q = s;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const quads = end - 48;
  while (x < quads) {
    const m0 = is<M, Masked>() ? closed(load<u8>(mask), table) : k, m1 = is<M, Masked>() ? closed(load<u8>(mask, 1), table) : k;
    const m2 = is<M, Masked>() ? closed(load<u8>(mask, 2), table) : k, m3 = is<M, Masked>() ? closed(load<u8>(mask, 3), table) : k;
    const a = deviation<T, M>(v128.load(x), k, m0);
    const b = deviation<T, M>(v128.load(x, 16), k, m1);
    const c = deviation<T, M>(v128.load(x, 32), k, m2);
    const d = deviation<T, M>(v128.load(x, 48), k, m3);
    s = v128.add<T>(s, four<T>(a, b, c, d));
    q = v128.add<T>(q, fourSquares<T>(a, b, c, d));
    x += 64;
    if (is<M, Masked>()) mask += 4;
  }
  let r = v128.splat<T>(0), t = r;
  while (x < end) {
    const a = deviation<T, M>(v128.load(x), k, is<M, Masked>() ? closed(load<u8>(mask), table) : k);
    r = v128.add<T>(r, a);
    t = v128.add<T>(t, v128.mul<T>(a, a));
    x += 16;
    if (is<M, Masked>()) mask += 1;
  }
  if (rest) {
    const a = deviation<T, M>(loadTail<T>(end, rest), loadTail<T>(record + SHIFT, rest), is<M, Masked>() ? closed(load<u8>(mask), table) : k);
    r = v128.add<T>(r, a);
    t = v128.add<T>(t, v128.mul<T>(a, a));
  }
  v128.store(record, v128.add<T>(v128.load(record), v128.add<T>(s, r)));
  v128.store(record, v128.add<T>(v128.load(record, 16), v128.add<T>(q, t)), 16);
}
