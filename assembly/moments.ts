import { sweepPlanes } from './moments-planes';
import { sweepColumns } from './moments-rows';
import { HEADER, RECORD, SHIFT, samplePositions, seedColumns, seedPlanes, seedRows, settle } from './moments-shift';
import { is, Masked, Plain } from './tags';
import { repeatOf } from './wide';

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
 * K is a value of the channel itself, so that d keeps x's own precision. The error grows with (K - mean)^2 / variance;
 * if that exceeds 16, K becomes the mean just found and the sweep runs again (Chan, Golub & LeVeque 1983, section 3).
 * A lane adds at most about 60 times in T before its sum goes into f64: 60 * 2^-24 = 3.6e-6 bounds the relative error.
 */
export function moments<T>(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  if (mask) walk<T, Masked>(mean, m2, x, mask, n, outer, channels, inner, pitch, maskPitch, scratch);
  else walk<T, Plain>(mean, m2, x, 0, n, outer, channels, inner, pitch, 0, scratch);
}

const SWEEPS = 4;

function walk<T, M>(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  samplePositions<T, M>(scratch, mask, outer, inner, pitch, maskPitch);
  const repeat = is<M, Masked>() ? i32(inner == 1) : repeatOf(outer, channels, inner, pitch);
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch;
  const shift = scratch + HEADER;
  if (repeat == 0) {
    seedPlanes<T>(x, channels, inner, scratch);
    for (let sweep = 0; sweep < SWEEPS; ++sweep) {
      sweepPlanes<T, M>(mean, m2, x, mask, outer, channels, inner, step, maskStep, scratch);
      if (settle<T>(mean, m2, channels, n, shift + SHIFT, RECORD, 16)) break;
    }
    return;
  }
  if (inner == 1) seedRows<T>(x, channels, scratch);
  else seedColumns<T>(x, channels, inner, scratch);
  for (let sweep = 0; sweep < SWEEPS; ++sweep) {
    sweepColumns<T, M>(mean, m2, x, mask, outer, channels, inner, repeat, step, maskStep, shift);
    if (settle<T>(mean, m2, channels, n, shift, sizeof<T>(), sizeof<T>())) break;
  }
}
