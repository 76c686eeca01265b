import { closed, closedRow, isClosed, writeTable } from './mask';
import { is, Masked, Plain } from './tags';
import { lanes, loadEnd, loadTail, spillRow, sum } from './vec';
import { clear, interleave, narrow, repeatOf, vectors } from './wide';

/**
 * mean[c] = sum x / n,  m2[c] = sum (x - mean)^2      over the n values that the mask lets pass
 *
 *   mean, m2          [channels]                f64   written
 *   x                 [outer, channels, inner]  T
 *   mask              [outer, vectors]            u8  of `packMask`; address 0: all positions count
 *   n                 values a channel, at least 1
 *   pitch, maskPitch  elements between outer slices of x, >= channels * inner, and of the mask
 *   scratch           scratchBytes(channels, inner), aligned to 16
 *
 * One sweep in address order, on d = x - K: mean = K + sum d / n, m2 = sum d^2 - (sum d)^2 / n.
 * K is a value of the channel itself, so that d keeps x's own precision. The error grows with (K - mean)^2 / variance;
 * where that exceeds 16, K becomes the mean just found and the sweep runs again (Chan, Golub & LeVeque 1983, section 3).
 * Lanes add at most about 60 times in T before the sum goes into f64: 60 * 2^-24 = 3.6e-6 bounds the relative error.
 */
export function moments<T>(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  if (mask) walk<T, Masked>(mean, m2, x, mask, n, outer, channels, inner, pitch, maskPitch, scratch);
  else walk<T, Plain>(mean, m2, x, 0, n, outer, channels, inner, pitch, 0, scratch);
}

function walk<T, R>(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  samplePositions<T, R>(scratch, mask, outer, inner, pitch, maskPitch);
  const repeat = is<R, Masked>() ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch;
  const shift = scratch + HEADER;
  if (repeat == 0) {
    seedPlanes<T>(x, channels, inner, scratch);
    for (let sweep = 0; sweep < SWEEPS; ++sweep) {
      sweepPlanes<T, R>(mean, m2, x, mask, outer, channels, inner, step, maskStep, scratch);
      if (settle<T>(mean, m2, channels, n, shift, RECORD, 16)) break;
    }
    return;
  }
  if (inner == 1) seedRows<T>(x, channels, scratch);
  else seedColumns<T>(x, channels, inner, scratch);
  for (let sweep = 0; sweep < SWEEPS; ++sweep) {
    sweepColumns<T, R>(mean, m2, x, mask, outer, channels, inner, repeat, step, maskStep, shift);
    if (settle<T>(mean, m2, channels, n, shift, sizeof<T>(), sizeof<T>())) break;
  }
}

const SWEEPS = 4;
const SAMPLES: usize = 8;
/**
 * Additions of one lane in T before the sum goes into f64. Values go in as sums of four where they can; one by one only
 * a quarter as many may. The reason is not their number but the squares: at mean / std = 1e4 values are multiples of
 * 2^-10, an odd square of which is 1 mod 8, so that a sum above 16 rounds nearly every one of them down
 * (measured: variance 3e-7 too small with 30 single squares, 1e-8 with sums of four).
 */
const CHAIN = 60;
/** Bytes of scratch before the per-channel part: byte offsets of the samples. */
const HEADER: usize = 64;
/** Bytes a channel in the walk over planes: K in every lane, sum d, sum d^2. */
const RECORD: usize = 48;

/** Byte offsets, within any channel, of positions spread evenly over it; under a mask, of the next valid ones. */
function samplePositions<T, R>(scratch: usize, mask: usize, outer: i32, inner: i32, pitch: i32, maskPitch: i32): void {
  const n = <u64>outer * <u64>inner;
  for (let s: usize = 0; s < SAMPLES; ++s) {
    let position = <u32>((<u64>(2 * s + 1) * n) / (2 * <u64>SAMPLES));
    while (is<R, Masked>() && isClosed<T>(mask + <usize>(position / inner) * maskPitch, position % inner)) {
      if (++position == <u32>n) position = 0;
    }
    const element = (position / inner) * pitch + (position % inner);
    store<u32>(scratch + 4 * s, element * <u32>sizeof<T>());
  }
}

/** K of the channel that starts at x: the sample nearest the mean of the samples; 0 where they are not finite. */
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

function seedPlanes<T>(x: usize, channels: i32, inner: i32, scratch: usize): void {
  let record = scratch + HEADER;
  for (let c = 0; c < channels; ++c) {
    v128.store(record, v128.splat<T>(seed<T>(x, scratch)));
    x += <usize>inner * sizeof<T>();
    record += RECORD;
  }
}

function seedColumns<T>(x: usize, channels: i32, inner: i32, scratch: usize): void {
  for (let c = 0; c < channels; ++c) {
    store<T>(scratch + HEADER + <usize>c * sizeof<T>(), seed<T>(x, scratch));
    x += <usize>inner * sizeof<T>();
  }
}

/** `seed` for a vector of channels at a time. */
function seedRows<T>(x: usize, channels: i32, scratch: usize): void {
  const shift = scratch + HEADER;
  const full = <usize>(channels / lanes<T>()) * 16;
  const o0 = load<u32>(scratch), o1 = load<u32>(scratch, 4), o2 = load<u32>(scratch, 8), o3 = load<u32>(scratch, 12);
  const o4 = load<u32>(scratch, 16), o5 = load<u32>(scratch, 20), o6 = load<u32>(scratch, 24), o7 = load<u32>(scratch, 28);
  for (let i: usize = 0; i < full; i += 16) {
    const p = x + i;
    const a = v128.load(p + o0), b = v128.load(p + o1), c = v128.load(p + o2), d = v128.load(p + o3);
    const e = v128.load(p + o4), f = v128.load(p + o5), g = v128.load(p + o6), h = v128.load(p + o7);
    const total = v128.add<T>(four<T>(a, b, c, d), four<T>(e, f, g, h));
    const middle = v128.mul<T>(total, v128.splat<T>(<T>(1.0 / <f64>SAMPLES)));
    const nearest = nearer<T>(
      nearer<T>(nearer<T>(a, b, middle), nearer<T>(c, d, middle), middle),
      nearer<T>(nearer<T>(e, f, middle), nearer<T>(g, h, middle), middle), middle,
    );
    const finite = v128.eq<T>(v128.sub<T>(nearest, nearest), v128.splat<T>(0));
    v128.store(shift + i, v128.and(nearest, finite));
  }
  const end = <usize>channels * sizeof<T>();
  for (let i = full; i < end; i += sizeof<T>()) store<T>(shift + i, seed<T>(x + i, scratch));
}

/** That of a and b which lies nearer the middle. */
// @ts-ignore: decorator
@inline function nearer<T>(a: v128, b: v128, middle: v128): v128 {
  const first = v128.abs<T>(v128.sub<T>(a, middle)), second = v128.abs<T>(v128.sub<T>(b, middle));
  return v128.bitselect(b, a, v128.lt<T>(second, first));
}

/**
 * Turns the totals (sum d, sum d^2) into mean and m2; false where some K was poor and has been replaced.
 * K fills `bytes`; that of the next channel starts `step` bytes on.
 */
function settle<T>(mean: usize, m2: usize, channels: i32, n: f64, shift: usize, step: usize, bytes: usize): bool {
  let settled = true;
  for (let c = 0; c < channels; ++c) {
    const s = load<f64>(mean), d = s / n;
    const found = load<f64>(m2) - s * d;
    const center = <f64>load<T>(shift) + d;
    // A comparison with NaN is false: a channel that holds one settles at once.
    if (s * d > 16 * found) {
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

/** Four vectors in one. */
// @ts-ignore: decorator
@inline function four<T>(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.add<T>(v128.add<T>(a, b), v128.add<T>(c, d));
}

// @ts-ignore: decorator
@inline function fourSquares<T>(a: v128, b: v128, c: v128, d: v128): v128 {
  return four<T>(v128.mul<T>(a, a), v128.mul<T>(b, b), v128.mul<T>(c, c), v128.mul<T>(d, d));
}

// Planes: [outer, channels, inner], accumulators of every channel in scratch, so that memory is read in address order.

function sweepPlanes<T, R>(
  mean: usize, m2: usize, x: usize, mask: usize,
  outer: i32, channels: i32, inner: i32, step: usize, maskStep: usize, scratch: usize,
): void {
  const piece = 4 * lanes<T>() * CHAIN;
  const planes = min(max(piece / inner, 1), 8);
  const records = scratch + HEADER, table = records + RECORD * channels;
  if (is<R, Masked>()) writeTable<T>(table);
  memory.fill(mean, 0, <usize>channels * 8);
  memory.fill(m2, 0, <usize>channels * 8);
  for (let c = 0; c < channels; ++c) spill<T>(records + RECORD * c, 0, 0);
  for (let o = 0; o < outer; ++o) {
    const last = (o + 1) % planes == 0 || o + 1 == outer;
    let plane = x + <usize>o * step;
    for (let c = 0; c < channels; ++c) {
      const record = records + RECORD * c;
      let m = mask;
      for (let rest = inner; rest > 0; rest -= piece) {
        const n = min(rest, piece);
        addRun<T, R>(record, plane, m, n, table);
        if (last || rest > piece) spill<T>(record, mean + 8 * c, m2 + 8 * c);
        plane += <usize>n * sizeof<T>();
        m += n / lanes<T>();
      }
    }
    mask += maskStep;
  }
}

/** x - K, or 0 where the position does not count. */
// @ts-ignore: decorator
@inline function deviation<T, R>(x: v128, k: v128, m: v128): v128 {
  const d = v128.sub<T>(x, k);
  return is<R, Masked>() ? v128.andnot(d, m) : d;
}

/** Adds n consecutive values of one channel to its record. */
// @ts-ignore: decorator
@inline function addRun<T, R>(record: usize, x: usize, mask: usize, n: i32, table: usize): void {
  const k = v128.load(record);
  let s = v128.splat<T>(0), q = s;
  const rest = n & (lanes<T>() - 1);
  const end = x + <usize>(n - rest) * sizeof<T>();
  const quads = end - 48;
  while (x < quads) {
    const m0 = is<R, Masked>() ? closed(load<u8>(mask), table) : k, m1 = is<R, Masked>() ? closed(load<u8>(mask, 1), table) : k;
    const m2 = is<R, Masked>() ? closed(load<u8>(mask, 2), table) : k, m3 = is<R, Masked>() ? closed(load<u8>(mask, 3), table) : k;
    const a = deviation<T, R>(v128.load(x), k, m0);
    const b = deviation<T, R>(v128.load(x, 16), k, m1);
    const c = deviation<T, R>(v128.load(x, 32), k, m2);
    const d = deviation<T, R>(v128.load(x, 48), k, m3);
    s = v128.add<T>(s, four<T>(a, b, c, d));
    q = v128.add<T>(q, fourSquares<T>(a, b, c, d));
    x += 64;
    if (is<R, Masked>()) mask += 4;
  }
  let r = v128.splat<T>(0), t = r;
  while (x < end) {
    const a = deviation<T, R>(v128.load(x), k, is<R, Masked>() ? closed(load<u8>(mask), table) : k);
    r = v128.add<T>(r, a);
    t = v128.add<T>(t, v128.mul<T>(a, a));
    x += 16;
    if (is<R, Masked>()) mask += 1;
  }
  if (rest) {
    const a = deviation<T, R>(loadTail<T>(end, rest), loadTail<T>(record, rest), is<R, Masked>() ? closed(load<u8>(mask), table) : k);
    r = v128.add<T>(r, a);
    t = v128.add<T>(t, v128.mul<T>(a, a));
  }
  v128.store(record, v128.add<T>(v128.load(record, 16), v128.add<T>(s, r)), 16);
  v128.store(record, v128.add<T>(v128.load(record, 32), v128.add<T>(q, t)), 32);
}

/** Moves the lane sums of a record into f64 and clears them; total 0: only clears. */
function spill<T>(record: usize, s: usize, q: usize): void {
  if (s) {
    store<f64>(s, load<f64>(s) + sum<T>(v128.load(record, 16)));
    store<f64>(q, load<f64>(q) + sum<T>(v128.load(record, 32)));
  }
  v128.store(record, v128.splat<T>(0), 16);
  v128.store(record, v128.splat<T>(0), 32);
}

// Rows: [outer, columns], a record for every vector of columns in scratch.

/** Vectors of a record: sum d, sum d^2, K. */
const VECTORS = 3;

/** One sweep over rows of `repeat` columns a channel; K of each channel stands at `shift`, scratch behind it. */
function sweepColumns<T, R>(
  mean: usize, m2: usize, x: usize, mask: usize,
  outer: i32, channels: i32, inner: i32, repeat: i32, step: usize, maskStep: usize, shift: usize,
): void {
  const columns = channels * repeat, bytes = <usize>columns * 8;
  const wide = repeat > 1;
  const records = shift + 16 * vectors<T>(channels);
  const s = wide ? records + 16 * VECTORS * vectors<T>(columns) : mean, q = wide ? s + bytes : m2;
  memory.fill(s, 0, bytes);
  memory.fill(q, 0, bytes);
  clear<T>(records, VECTORS, columns);
  interleave<T>(records, VECTORS, 2, shift, channels, repeat, inner);
  if (wide && inner == 1) {
    const rows = outer / repeat;
    sweepRows<T, R>(s, q, x, 0, rows, columns, step * repeat, 0, records);
    const x1 = x + <usize>(rows * repeat) * step;
    sweepRows<T, R>(s, q, x1, 0, outer - rows * repeat, channels, step, 0, records);
  } else {
    sweepRows<T, R>(s, q, x, mask, outer, columns, step, maskStep, records);
  }
  if (wide) {
    narrow(mean, s, channels, repeat, inner);
    narrow(m2, q, channels, repeat, inner);
  }
}

/**
 * Adds sum d and sum d^2 of every column to the totals, by way of lane sums.
 *
 * Four rows at a step: a quarter of the accumulator traffic, and sums of four before a lane sees them. They lie a quarter
 * of the tensor apart: four streams side by side are what prefetchers follow best, where rows within one page confuse
 * them (see bench/NOTES.md).
 */
function sweepRows<T, R>(
  total: usize, squares: usize, x: usize, mask: usize,
  outer: i32, columns: i32, step: usize, maskStep: usize, records: usize,
): void {
  const full = <usize>(columns / lanes<T>()) * 16, rest = columns & (lanes<T>() - 1);
  const quarter = outer >> 2, apart = <usize>quarter * step, maskApart = <usize>quarter * maskStep;
  for (let o = 0; o < quarter; o += CHAIN) {
    const n = min(CHAIN, quarter - o);
    addFourRows<T, R>(records, x, mask, n, full, rest, step, maskStep, apart, maskApart);
    spillRow<T>(total, squares, records, VECTORS, full, rest);
    x += <usize>n * step;
    mask += <usize>n * maskStep;
  }
  if (outer & 3) {
    addRows<T, R>(records, x + 3 * apart, mask + 3 * maskApart, outer & 3, full, rest, step, maskStep);
    spillRow<T>(total, squares, records, VECTORS, full, rest);
  }
}

/** Adds one vector of each of four rows to the record at c. */
// @ts-ignore: decorator
@inline function addFour<T>(c: usize, a: v128, b: v128, d: v128, e: v128): void {
  v128.store(c, v128.add<T>(v128.load(c), four<T>(a, b, d, e)));
  v128.store(c, v128.add<T>(v128.load(c, 16), fourSquares<T>(a, b, d, e)), 16);
}

/** n times four rows, those of a step `apart`. */
function addFourRows<T, R>(
  records: usize, x: usize, mask: usize, n: i32, full: usize, rest: i32,
  step: usize, maskStep: usize, apart: usize, maskApart: usize,
): void {
  let m0 = v128.splat<T>(0), m1 = m0, m2 = m0, m3 = m0;
  for (; n > 0; --n) {
    if (is<R, Masked>()) {
      m0 = closedRow(mask);
      m1 = closedRow(mask + maskApart);
      m2 = closedRow(mask + 2 * maskApart);
      m3 = closedRow(mask + 3 * maskApart);
      mask += maskStep;
    }
    let xp = x, c = records;
    const end = x + full;
    while (xp < end) {
      const k = v128.load(c, 32), x1 = xp + apart, x2 = x1 + apart, x3 = x2 + apart;
      addFour<T>(
        c, deviation<T, R>(v128.load(xp), k, m0), deviation<T, R>(v128.load(x1), k, m1),
        deviation<T, R>(v128.load(x2), k, m2), deviation<T, R>(v128.load(x3), k, m3),
      );
      xp += 16; c += 16 * VECTORS;
    }
    if (rest) {
      const k = v128.load(c, 32), x1 = end + apart, x2 = x1 + apart, x3 = x2 + apart;
      addFour<T>(
        c, deviation<T, R>(loadEnd<T>(end, rest), k, m0), deviation<T, R>(loadEnd<T>(x1, rest), k, m1),
        deviation<T, R>(loadEnd<T>(x2, rest), k, m2), deviation<T, R>(loadEnd<T>(x3, rest), k, m3),
      );
    }
    x += step;
  }
}

/** One row after another. */
function addRows<T, R>(
  records: usize, x: usize, mask: usize, n: i32, full: usize, rest: i32, step: usize, maskStep: usize,
): void {
  for (; n > 0; --n) {
    const m = is<R, Masked>() ? closedRow(mask) : v128.splat<T>(0);
    let c = records;
    for (let i: usize = 0; i < full; i += 16) {
      addOne<T, R>(c, v128.load(x + i), m);
      c += 16 * VECTORS;
    }
    if (rest) addOne<T, R>(c, loadEnd<T>(x + full, rest), m);
    x += step;
    if (is<R, Masked>()) mask += maskStep;
  }
}

/** Adds one vector to the record at c. */
// @ts-ignore: decorator
@inline function addOne<T, R>(c: usize, x: v128, m: v128): void {
  const d = deviation<T, R>(x, v128.load(c, 32), m);
  v128.store(c, v128.add<T>(v128.load(c), d));
  v128.store(c, v128.add<T>(v128.load(c, 16), v128.mul<T>(d, d)), 16);
}
