/** What the reference kernels do with every element: over planes a channel at a time, over rows all channels of a row. */
import type { Floats } from './kernels.js';

export function planeAffine(
  y: Floats, x: Floats, shift: Floats, scale: Floats, offset: Floats,
  outer: number, channels: number, inner: number, pitch: number, z: Floats | null,
): void {
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      const k = shift[c]!, a = scale[c]!, b = offset[c]!;
      const start = o * pitch + c * inner, end = start + inner;
      if (z) for (let i = start; i < end; i++) y[i] = (x[i]! - k) * a + b + z[i]!;
      else for (let i = start; i < end; i++) y[i] = (x[i]! - k) * a + b;
    }
  }
}

export function rowAffine(
  y: Floats, x: Floats, shift: Floats, scale: Floats, offset: Floats,
  outer: number, channels: number, _inner: number, pitch: number, z: Floats | null,
): void {
  for (let o = 0; o < outer; o++) {
    const row = o * pitch;
    if (z) {
      for (let c = 0; c < channels; c++) {
        y[row + c] = (x[row + c]! - shift[c]!) * scale[c]! + offset[c]! + z[row + c]!;
      }
    } else {
      for (let c = 0; c < channels; c++) y[row + c] = (x[row + c]! - shift[c]!) * scale[c]! + offset[c]!;
    }
  }
}

export function planeSums(
  total: Float64Array, dot: Float64Array, g: Floats, x: Floats, shift: Floats,
  outer: number, channels: number, inner: number, pitch: number,
): void {
  for (let c = 0; c < channels; c++) {
    const k = shift[c]!;
    let sum = 0, products = 0;
    for (let o = 0; o < outer; o++) {
      const start = o * pitch + c * inner, end = start + inner;
      for (let i = start; i < end; i++) {
        const value = g[i]!;
        sum += value;
        products += value * (x[i]! - k);
      }
    }
    total[c] = sum;
    dot[c] = products;
  }
}

export function rowSums(
  total: Float64Array, dot: Float64Array, g: Floats, x: Floats, shift: Floats,
  outer: number, channels: number, _inner: number, pitch: number,
): void {
  total.fill(0);
  dot.fill(0);
  for (let o = 0; o < outer; o++) {
    const row = o * pitch;
    for (let c = 0; c < channels; c++) {
      const value = g[row + c]!;
      total[c]! += value;
      dot[c]! += value * (x[row + c]! - shift[c]!);
    }
  }
}

export function planeGradient(
  dx: Floats, g: Floats, x: Floats, shift: Floats, p: Floats, q: Floats, r: Floats,
  outer: number, channels: number, inner: number, pitch: number,
): void {
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      const k = shift[c]!, a = p[c]!, b = q[c]!, d = r[c]!;
      const start = o * pitch + c * inner, end = start + inner;
      for (let i = start; i < end; i++) dx[i] = g[i]! * a + ((x[i]! - k) * b + d);
    }
  }
}

export function rowGradient(
  dx: Floats, g: Floats, x: Floats, shift: Floats, p: Floats, q: Floats, r: Floats,
  outer: number, channels: number, _inner: number, pitch: number,
): void {
  for (let o = 0; o < outer; o++) {
    const row = o * pitch;
    for (let c = 0; c < channels; c++) {
      dx[row + c] = g[row + c]! * p[c]! + ((x[row + c]! - shift[c]!) * q[c]! + r[c]!);
    }
  }
}
