/** K of `moments`, the shift of each channel, near its mean. It is chosen from samples and checked after a sweep. */
import { isClosed } from './mask';
import { is, Masked } from './tags';
import { four, lanes } from './vec';

/**
 * Additions per lane in T before the sum goes into f64 (docs/numerics.md). Values are added as sums of four wherever possible. Not
 * only for the number of additions but for the squares: at mean / std = 1e4 values are multiples of 2^-10, and odd squares are 1
 * mod 8, so that a sum above 16 rounds nearly every one of them down (measured: the variance is 3e-7 too small with 30 single
 * squares, 1e-8 with sums of four).
 */
export const CHAIN: i32 = 16;
/** The most that the square of the distance of K from the mean may be, in units of the variance. See docs/numerics.md. */
const LIMIT = 0.8;

/** Samples of a channel: at most, and those by which their spread is judged. */
const MANY: i32 = 32, SOME: i32 = 4;

/** Bytes at the head of scratch, before the part per channel: the byte offsets of the samples. */
export const HEADER: usize = 4 * MANY;

/** Bytes of a channel's record in the walk over planes: lane sums of d and d^2, then K in every lane. */
export const RECORD: usize = 48;
/** Byte offset of K in a record. */
export const SHIFT: usize = 32;

/** Samples of a channel of n values, a multiple of SOME. In planes sampling costs more, in rows another sweep. */
// @ts-ignore: decorator
@inline export function samplesOf(n: i32, planes: bool): i32 {
  return planes ? (n < 8192 ? 8 : 16) : n < 512 ? 12 : MANY;
}

/** Byte offsets, the same in every channel, of positions spread evenly over it; with a mask, of the next ones that count. */
export function samplePositions<T, M>(
  scratch: usize, samples: i32, mask: usize, outer: i32, inner: i32, pitch: i32, maskPitch: i32,
): void {
  const n = <u64>outer * <u64>inner;
  for (let s = 0; s < samples; ++s) {
    let position = <u32>(<u64>(2 * s + 1) * n / <u64>(2 * samples));
    while (is<M, Masked>() && isClosed<T>(mask + <usize>(position / inner) * maskPitch, position % inner)) {
      if (++position == <u32>n) position = 0;
    }
    const element = (position / inner) * pitch + (position % inner);
    store<u32>(scratch + 4 * s, element * <u32>sizeof<T>());
  }
}

/**
 * K of the channel that starts at x: the mean of the samples, rounded so that it differs from the first of them by a multiple of a
 * power of two, an eighth of how far some of the others are from it. Deviations that have few digits keep them. 0 if not finite.
 */
function seed<T>(x: usize, scratch: usize, samples: i32): T {
  const first = load<T>(x + load<u32>(scratch)), end = scratch + 4 * samples, some = scratch + 4 * SOME;
  let total: T = 0, most: T = 0;
  for (let s = scratch + 4; s < end; s += 4) {
    const d = load<T>(x + load<u32>(s)) - first;
    total += d;
    if (s < some) most = max<T>(most, abs<T>(d));
  }
  const unit = powerOfTwo<T>(most) * 0.125;
  const k = unit > 0 ? first + nearest<T>(total * (1 / <T>samples) / unit) * unit : first;
  return select<T>(k, 0, k - k == 0);
}

/** v without the digits after the first, v >= 0. */
// @ts-ignore: decorator
@inline function powerOfTwo<T>(v: T): T {
  return sizeof<T>() == 4
    ? <T>reinterpret<f32>(reinterpret<u32>(<f32>v) & 0x7f800000)
    : <T>reinterpret<f64>(reinterpret<u64>(<f64>v) & 0x7ff0000000000000);
}

/** Writes K of every channel into the records of a walk over planes. */
export function seedPlanes<T>(x: usize, channels: i32, inner: i32, scratch: usize, samples: i32): void {
  let record = scratch + HEADER + SHIFT;
  for (let c = 0; c < channels; ++c) {
    v128.store(record, v128.splat<T>(seed<T>(x, scratch, samples)));
    x += <usize>inner * sizeof<T>();
    record += RECORD;
  }
}

/** Writes K of every channel side by side, where a channel has several columns. */
export function seedColumns<T>(x: usize, channels: i32, inner: i32, scratch: usize, samples: i32): void {
  for (let c = 0; c < channels; ++c) {
    store<T>(scratch + HEADER + <usize>c * sizeof<T>(), seed<T>(x, scratch, samples));
    x += <usize>inner * sizeof<T>();
  }
}

/** Writes K of every channel side by side, a vector of channels at a time, where a channel has one column. */
export function seedRows<T>(x: usize, channels: i32, scratch: usize, samples: i32): void {
  const shift = scratch + HEADER, some = scratch + 4 * SOME, end = scratch + 4 * samples;
  const full = <usize>(channels / lanes<T>()) * 16, o0 = load<u32>(scratch);
  const exponent = sizeof<T>() == 4 ? v128.splat<i32>(0x7f800000) : v128.splat<i64>(0x7ff0000000000000);
  for (let i: usize = 0; i < full; i += 16) {
    const p = x + i, first = v128.load(p + o0);
    let total = v128.splat<T>(0), most = total;
    for (let s = scratch; s < end; s += 16) {
      const d0 = v128.sub<T>(v128.load(p + load<u32>(s)), first), d1 = v128.sub<T>(v128.load(p + load<u32>(s, 4)), first);
      const d2 = v128.sub<T>(v128.load(p + load<u32>(s, 8)), first), d3 = v128.sub<T>(v128.load(p + load<u32>(s, 12)), first);
      total = v128.add<T>(total, four<T>(d0, d1, d2, d3));
      if (s < some) {
        const most0 = v128.pmax<T>(v128.abs<T>(d0), v128.abs<T>(d1)), most1 = v128.pmax<T>(v128.abs<T>(d2), v128.abs<T>(d3));
        most = v128.pmax<T>(most, v128.pmax<T>(most0, most1));
      }
    }
    const unit = v128.mul<T>(v128.and(most, exponent), v128.splat<T>(0.125));
    const steps = v128.nearest<T>(v128.div<T>(v128.mul<T>(total, v128.splat<T>(1 / <T>samples)), unit));
    const k = v128.add<T>(first, v128.and(v128.mul<T>(steps, unit), v128.gt<T>(unit, v128.splat<T>(0))));
    v128.store(shift + i, v128.and(k, v128.eq<T>(v128.sub<T>(k, k), v128.splat<T>(0))));
  }
  const all = <usize>channels * sizeof<T>();
  for (let i = full; i < all; i += sizeof<T>()) store<T>(shift + i, seed<T>(x + i, scratch, samples));
}

/**
 * Turns the totals (sum d, sum d^2) of the channels from c up to end into mean and m2, but stops at one whose K is further from the
 * mean than LIMIT allows, and puts a better K in its place, if there is one. Returns that channel, or end. With `last` any K will
 * do. K fills `bytes` bytes; the next channel's K is `step` bytes further on.
 */
export function settle<T>(
  mean: usize, m2: usize, c: i32, end: i32, n: f64, shift: usize, step: usize, bytes: usize, last: bool,
): i32 {
  for (; c < end; ++c) {
    if (step == sizeof<T>()) {
      c = settlePairs<T>(mean, m2, c, end, n, shift, last);
      if (c == end) break;
    }
    const at = 8 * c, kAt = shift + step * <usize>c, k = load<T>(kAt);
    const total = load<f64>(mean + at), d = total / n;
    const found = load<f64>(m2 + at) - total * d;
    // A comparison with NaN is false: a channel that contains one settles at once.
    if (total * d > LIMIT * found && !last) {
      const better = nearMean<T>(k, d, found / n);
      if (better != k) {
        for (let i: usize = 0; i < bytes; i += sizeof<T>()) store<T>(kAt + i, better);
        return c;
      }
    }
    store<f64>(mean + at, <f64>k + d);
    store<f64>(m2 + at, found < 0 ? 0 : found);
  }
  return end;
}

/**
 * What `settle` does, with the same bits, for pairs of channels whose K lie side by side, up to the first that has a poor K.
 * `moments` of 64x1024 takes 0.92 of the time.
 */
function settlePairs<T>(mean: usize, m2: usize, c: i32, end: i32, n: f64, shift: usize, last: bool): i32 {
  const count = f64x2.splat(n), limit = f64x2.splat(LIMIT), zero = f64x2.splat(0);
  for (; c + 1 < end; c += 2) {
    const at = 8 * c, kAt = shift + sizeof<T>() * <usize>c;
    const total = v128.load(mean + at), d = f64x2.div(total, count), drift = f64x2.mul(total, d);
    const found = f64x2.sub(v128.load(m2 + at), drift);
    if (v128.any_true(f64x2.gt(drift, f64x2.mul(limit, found))) && !last) break;
    const k = sizeof<T>() == 4 ? f64x2.promote_low_f32x4(v128.load64_zero(kAt)) : v128.load(kAt);
    v128.store(mean + at, f64x2.add(k, d));
    v128.store(m2 + at, v128.andnot(found, f64x2.lt(found, zero)));
  }
  return c;
}

/**
 * The mean k + d, rounded so that it differs from k by a multiple of a power of two, the standard deviation rounded down to one:
 * deviations that have few digits keep them.
 */
function nearMean<T>(k: T, d: f64, variance: f64): T {
  const unit = reinterpret<f64>(reinterpret<u64>(sqrt(variance)) & 0x7ff0000000000000);
  // Rounding may make the variance of nearly constant values negative.
  return <T>(<f64>k + (variance > 0 ? nearest(d / unit) * unit : d));
}
