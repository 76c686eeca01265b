/**
 * The table of exports: every kernel in f32 and f64, and the bytes of scratch that they use.
 *
 * The module holds no state. It imports its memory and has no data, no allocation and no start function. Kernels check
 * nothing and cannot fail. Pointers are byte addresses; all other sizes count elements. The interface `Kernels` in src/ is
 * this table in TypeScript.
 */
import { affine } from './affine';
import { gradient } from './gradient';
import { packMask } from './mask';
import { moments } from './moments';
import { reduce } from './reduce';
import { scratchBytes } from './scratch';

export function moments_f32(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  moments<f32>(mean, m2, x, mask, n, outer, channels, inner, pitch, maskPitch, scratch);
}

export function affine_f32(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: f32,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  affine<f32>(y, x, z, mask, shift, scale, offset, floor, outer, channels, inner, pitch, maskPitch, scratch);
}

export function reduce_f32(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  reduce<f32>(
    total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, inner, pitch, maskPitch, scratch,
  );
}

export function gradient_f32(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  gradient<f32>(dx, g, x, mask, shift, p, q, r, offset, outer, channels, inner, pitch, maskPitch, scratch);
}

export function moments_f64(
  mean: usize, m2: usize, x: usize, mask: usize, n: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  moments<f64>(mean, m2, x, mask, n, outer, channels, inner, pitch, maskPitch, scratch);
}

export function affine_f64(
  y: usize, x: usize, z: usize, mask: usize, shift: usize, scale: usize, offset: usize, floor: f64,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  affine<f64>(y, x, z, mask, shift, scale, offset, floor, outer, channels, inner, pitch, maskPitch, scratch);
}

export function reduce_f64(
  total: usize, dot: usize, g: usize, dy: usize, y: usize, x: usize, mask: usize,
  shift: usize, scale: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  reduce<f64>(
    total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, inner, pitch, maskPitch, scratch,
  );
}

export function gradient_f64(
  dx: usize, g: usize, x: usize, mask: usize, shift: usize, p: usize, q: usize, r: usize, offset: usize,
  outer: i32, channels: i32, inner: i32, pitch: i32, maskPitch: i32, scratch: usize,
): void {
  gradient<f64>(dx, g, x, mask, shift, p, q, r, offset, outer, channels, inner, pitch, maskPitch, scratch);
}

export function pack_mask_f32(mask: usize, bytes: usize, outer: i32, inner: i32): void {
  packMask<f32>(mask, bytes, outer, inner);
}

export function pack_mask_f64(mask: usize, bytes: usize, outer: i32, inner: i32): void {
  packMask<f64>(mask, bytes, outer, inner);
}

export function scratch_bytes(channels: i32, inner: i32): i32 {
  return scratchBytes(channels, inner);
}
