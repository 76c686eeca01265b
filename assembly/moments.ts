import { writeTable } from './mask';
import { sweepPlanes } from './moments-planes';
import { sweepColumns } from './moments-rows';
import { HEADER, RECORD, SHIFT, samplePositions, samplesOf, seedColumns, seedPlanes, seedRows, settle } from './moments-shift';
import { is, Masked, Plain } from './tags';
import { lanes } from './vec';
import { repeatOf, vectors } from './wide';

/**
 * mean[c] = sum x / n,  m2[c] = sum (x - mean)^2      over the n values that the mask lets pass
 *
 *   mean, m2          [channels]                f64   written
 *   x                 [outer, channels, inner]  T
 *   mask              [outer, vectors]          u8  of `packMask`; 0: every position counts
 *   n                 values per channel that count, at least 1
 *   pitch, maskPitch  elements between outer slices of x, >= channels * inner, and of the mask
 *   scratch           scratchBytes(channels, inner), aligned to 16
 *
 * One sweep in address order, on d = x - K: mean = K + sum d / n, m2 = sum d^2 - (sum d)^2 / n.
 * K is near the mean, and differs from a value of the channel by a number of few digits, so that d keeps x's own precision. Where
 * (K - mean)^2 exceeds 0.8 variances, K becomes about the mean just found and that channel is swept again (Chan, Golub & LeVeque
 * 1983, section 3). A lane adds at most 16 times in T before its sum goes into f64. Together this bounds the relative error of m2
 * by 64 roundings whatever x is (docs/numerics.md): 3.8e-6 in f32.
 */
export function moments<T>(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  if (mask) walk<T, Masked>(mean, m2, x, mask, n, outer, channels, inner, pitch, maskPitch, scratch);
  else walk<T, Plain>(mean, m2, x, 0, n, outer, channels, inner, pitch, 0, scratch);
}

/** Sweeps of a channel, at most. */
const SWEEPS = 4;
/** Channels from which they are swept again by vectors of them; fewer of them, in rows, are widened. */
const GROUPED = 16;

function walk<T, M>(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const repeat = is<M, Masked>() ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  const samples = samplesOf(outer * inner, repeat == 0);
  samplePositions<T, M>(scratch, samples, mask, outer, inner, pitch, maskPitch);
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch;
  const shift = scratch + HEADER;
  if (repeat == 0) {
    const table = shift + RECORD * channels;
    if (is<M, Masked>()) writeTable<T>(table);
    seedPlanes<T>(x, channels, inner, scratch, samples);
    sweepPlanes<T, M>(mean, m2, x, mask, outer, channels, inner, step, maskStep, shift, table);
    const k = shift + SHIFT;
    for (let c = 0; (c = settle<T>(mean, m2, c, channels, n, k, RECORD, 16, false)) < channels; ++c) {
      const record = shift + RECORD * c, plane = x + <usize>(c * inner) * sizeof<T>(), at = 8 * c;
      let sweep = 1;
      do {
        sweepPlanes<T, M>(mean + at, m2 + at, plane, mask, outer, 1, inner, step, maskStep, record, table);
      } while (settle<T>(mean, m2, c, c + 1, n, k, RECORD, 16, ++sweep == SWEEPS) == c);
    }
    return;
  }
  if (inner == 1) seedRows<T>(x, channels, scratch, samples);
  else seedColumns<T>(x, channels, inner, scratch, samples);
  const records = shift + 16 * vectors<T>(channels);
  sweepColumns<T, M>(mean, m2, x, mask, outer, channels, inner, repeat, step, maskStep, shift, records);
  // Of many channels, a vector of them is swept again.
  const group = channels < GROUPED ? channels : lanes<T>(), columns = channels < GROUPED ? repeat : inner;
  for (let c = 0; (c = settle<T>(mean, m2, c, channels, n, shift, sizeof<T>(), sizeof<T>(), false)) < channels; ) {
    const start = c - c % group, end = min(start + group, channels), at = 8 * start;
    const k = shift + <usize>start * sizeof<T>(), column = x + <usize>(start * inner) * sizeof<T>();
    settleAll<T>(mean, m2, c + 1, end, n, shift, false);
    let sweep = 1;
    do {
      sweepColumns<T, M>(mean + at, m2 + at, column, mask, outer, end - start, inner, columns, step, maskStep, k, records);
    } while (!settleAll<T>(mean, m2, start, end, n, shift, ++sweep == SWEEPS));
    c = end;
  }
}

/** `settle` for all channels from c to end. False if any of them got a better K. */
function settleAll<T>(mean: usize, m2: usize, c: i32, end: i32, n: f64, shift: usize, last: bool): bool {
  let settled = true;
  for (; (c = settle<T>(mean, m2, c, end, n, shift, sizeof<T>(), sizeof<T>(), last)) < end; ++c) settled = false;
  return settled;
}
