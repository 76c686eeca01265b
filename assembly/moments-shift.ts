/** K of `moments`, the shift of each channel: one of its own values, near the mean. It is chosen from samples and checked after a sweep. */
import { isClosed } from './mask';
import { is, Masked } from './tags';
import { four, lanes } from './vec';

const SAMPLES: usize = 8;

/** Bytes at the head of scratch, before the part per channel: the byte offsets of the samples. */
export const HEADER: usize = 64;

/** Bytes of a channel's record in the walk over planes: lane sums of d and d^2, then K in every lane. */
export const RECORD: usize = 48;
/** Byte offset of K in a record. */
export const SHIFT: usize = 32;

/** Byte offsets, the same in every channel, of positions spread evenly over it; with a mask, of the next ones that count. */
export function samplePositions<T, M>(scratch: usize, mask: usize, outer: i32, inner: i32, pitch: i32, maskPitch: i32): void {
  const n = <u64>outer * <u64>inner;
  for (let s: usize = 0; s < SAMPLES; ++s) {
    let position = <u32>((<u64>(2 * s + 1) * n) / (2 * <u64>SAMPLES));
    while (is<M, Masked>() && isClosed<T>(mask + <usize>(position / inner) * maskPitch, position % inner)) {
      if (++position == <u32>n) position = 0;
    }
    const element = (position / inner) * pitch + (position % inner);
    store<u32>(scratch + 4 * s, element * <u32>sizeof<T>());
  }
}

/** K of the channel that starts at x: the sample nearest to the mean of the samples, or 0 if they are not finite. */
function seed<T>(x: usize, scratch: usize): T {
  let total: f64 = 0;
  for (let s: usize = 0; s < SAMPLES; ++s) total += <f64>load<T>(x + load<u32>(scratch + 4 * s));
  const middle = <T>(total / <f64>SAMPLES);
  let nearest = load<T>(x + load<u32>(scratch));
  for (let s: usize = 1; s < SAMPLES; ++s) {
    const value = load<T>(x + load<u32>(scratch + 4 * s));
    nearest = select<T>(value, nearest, abs<T>(value - middle) < abs<T>(nearest - middle));
  }
  return select<T>(nearest, 0, nearest - nearest == 0);
}

/** Writes K of every channel into the records of a walk over planes. */
export function seedPlanes<T>(x: usize, channels: i32, inner: i32, scratch: usize): void {
  let record = scratch + HEADER + SHIFT;
  for (let c = 0; c < channels; ++c) {
    v128.store(record, v128.splat<T>(seed<T>(x, scratch)));
    x += <usize>inner * sizeof<T>();
    record += RECORD;
  }
}

/** Writes K of every channel side by side, where a channel has several columns. */
export function seedColumns<T>(x: usize, channels: i32, inner: i32, scratch: usize): void {
  for (let c = 0; c < channels; ++c) {
    store<T>(scratch + HEADER + <usize>c * sizeof<T>(), seed<T>(x, scratch));
    x += <usize>inner * sizeof<T>();
  }
}

/** Writes K of every channel side by side, a vector of channels at a time, where a channel has one column. */
export function seedRows<T>(x: usize, channels: i32, scratch: usize): void {
  const shift = scratch + HEADER;
  const full = <usize>(channels / lanes<T>()) * 16;
  const o0 = load<u32>(scratch), o1 = load<u32>(scratch, 4), o2 = load<u32>(scratch, 8), o3 = load<u32>(scratch, 12);
  const o4 = load<u32>(scratch, 16), o5 = load<u32>(scratch, 20), o6 = load<u32>(scratch, 24), o7 = load<u32>(scratch, 28);
  for (let i: usize = 0; i < full; i += 16) {
    const p = x + i;
    const v0 = v128.load(p + o0), v1 = v128.load(p + o1), v2 = v128.load(p + o2), v3 = v128.load(p + o3);
    const v4 = v128.load(p + o4), v5 = v128.load(p + o5), v6 = v128.load(p + o6), v7 = v128.load(p + o7);
    const total = v128.add<T>(four<T>(v0, v1, v2, v3), four<T>(v4, v5, v6, v7));
    const middle = v128.mul<T>(total, v128.splat<T>(<T>(1.0 / <f64>SAMPLES)));
    const nearest = nearer<T>(
      nearer<T>(nearer<T>(v0, v1, middle), nearer<T>(v2, v3, middle), middle),
      nearer<T>(nearer<T>(v4, v5, middle), nearer<T>(v6, v7, middle), middle), middle,
    );
    const finite = v128.eq<T>(v128.sub<T>(nearest, nearest), v128.splat<T>(0));
    v128.store(shift + i, v128.and(nearest, finite));
  }
  const end = <usize>channels * sizeof<T>();
  for (let i = full; i < end; i += sizeof<T>()) store<T>(shift + i, seed<T>(x + i, scratch));
}

/** Whichever of a and b is nearer to the middle. */
// @ts-ignore: decorator
@inline function nearer<T>(a: v128, b: v128, middle: v128): v128 {
  const first = v128.abs<T>(v128.sub<T>(a, middle)), second = v128.abs<T>(v128.sub<T>(b, middle));
  return v128.bitselect(b, a, v128.lt<T>(second, first));
}

/**
 * Turns the totals (sum d, sum d^2) into mean and m2. False if any K was too far from the mean; it is now that mean.
 * K fills `bytes` bytes; the next channel's K is `step` bytes further on.
 */
export function settle<T>(mean: usize, m2: usize, channels: i32, n: f64, shift: usize, step: usize, bytes: usize): bool {
  let settled = true;
  for (let c = 0; c < channels; ++c) {
    const total = load<f64>(mean), d = total / n;
    const found = load<f64>(m2) - total * d;
    const center = <f64>load<T>(shift) + d;
    // A comparison with NaN is false: a channel that contains one settles at once.
    if (total * d > 16 * found) {
      settled = false;
      for (let i: usize = 0; i < bytes; i += sizeof<T>()) store<T>(shift + i, <T>center);
    }
    store<f64>(mean, center);
    store<f64>(m2, found < 0 ? 0 : found);
    mean += 8;
    m2 += 8;
    shift += step;
  }
  return settled;
}
