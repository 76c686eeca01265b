import { sweepPlanes } from './reduce-planes';
import { sweepColumns, sweepGeneralRows, sweepPlainRows } from './reduce-rows';
import { General, is, Masked, Plain, Rectified } from './tags';
import { repeatOf } from './wide';

/**
 * total[c] = sum g,  dot[c] = sum g * (x - shift)      g = dy where the mask and the ReLU let it pass, 0 elsewhere
 *
 *   total, dot            [channels]                f64   written
 *   g                     [outer, channels, inner]  T     written unless 0; may be dy itself
 *   dy, y, x              [outer, channels, inner]  T     y = 0: absent; else g is 0 where y <= 0
 *   mask                  [outer, vectors]          u8  of `packMask`; 0: every position counts
 *   shift, scale, offset  [channels]                T     offset = 0: absent; else, without g and y, g is 0 where
 *                                                         (x - shift) * scale + offset <= 0
 *   pitch, maskPitch      elements between outer slices of the tensors, >= channels * inner, and of the mask
 *   scratch               scratchBytes(channels, inner), aligned to 16
 *
 * The two sums of the backward pass (Ioffe & Szegedy 2015, section 3: dl/dbeta and dl/dgamma before the division by
 * the standard deviation). Lane sums go into f64 after about 60 additions, as in `moments`.
 */
export function reduce<T>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  memory.fill(total, 0, <usize>channels * 8);
  memory.fill(dot, 0, <usize>channels * 8);
  if (g | y) {
    if (mask) walk<T, General, Masked>(total, dot, g, dy, y, x, mask, shift, 0, 0, outer, channels, inner, pitch, maskPitch, scratch);
    else walk<T, General, Plain>(total, dot, g, dy, y, x, 0, shift, 0, 0, outer, channels, inner, pitch, 0, scratch);
  } else if (mask) {
    if (offset) walk<T, Rectified, Masked>(total, dot, 0, dy, 0, x, mask, shift, scale, offset, outer, channels, inner, pitch, maskPitch, scratch);
    else walk<T, Plain, Masked>(total, dot, 0, dy, 0, x, mask, shift, 0, 0, outer, channels, inner, pitch, maskPitch, scratch);
  } else if (offset) {
    walk<T, Rectified, Plain>(total, dot, 0, dy, 0, x, 0, shift, scale, offset, outer, channels, inner, pitch, 0, scratch);
  } else {
    walk<T, Plain, Plain>(total, dot, 0, dy, 0, x, 0, shift, 0, 0, outer, channels, inner, pitch, 0, scratch);
  }
}

function walk<T, R, M>(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  const step = <usize>pitch * sizeof<T>(), maskStep = <usize>maskPitch;
  // Only the plain walk widens narrow rows.
  const repeat = is<R, Plain>() && is<M, Plain>() ? repeatOf(outer, channels, inner, pitch) : i32(inner == 1);
  if (repeat == 0) {
    sweepPlanes<T, R, M>(
      total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, inner, step, maskStep, scratch,
    );
  } else if (is<R, Plain>() && is<M, Plain>() && repeat > 1) {
    sweepColumns<T>(total, dot, dy, x, shift, outer, channels, inner, repeat, step, scratch);
  } else if (is<R, General>()) {
    sweepGeneralRows<T, M>(total, dot, g, dy, y, x, mask, shift, outer, channels, step, maskStep, scratch);
  } else {
    sweepPlainRows<T, R, M>(total, dot, dy, x, mask, shift, scale, offset, outer, channels, step, maskStep, scratch);
  }
}
