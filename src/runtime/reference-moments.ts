/** Mean and m2 of every channel in two sweeps, in plain TypeScript. */
import type { Floats } from './kernels.js';

/**
 * Values whose sum is added up before it joins those of others: with sqrt(n) of them, n additions err by 2 sqrt(n) roundings
 * instead of n.
 */
function blockOf(n: number): number {
  return Math.ceil(Math.sqrt(n));
}

/** Mean and m2 of a channel: what the first mean missed is put right (Chan, Golub & LeVeque 1983, eq. 1.7). */
function settle(mean: Float64Array, m2: Float64Array, c: number, center: number, missed: number, squares: number, n: number): void {
  mean[c] = center + missed / n;
  m2[c] = Math.max(squares - missed * (missed / n), 0);
}

/** Two passes over the positions that count. */
export function maskedMoments(
  mean: Float64Array, m2: Float64Array, x: Floats, masked: Uint8Array, n: number,
  outer: number, channels: number, inner: number, pitch: number,
): void {
  const block = blockOf(n);
  for (let c = 0; c < channels; c++) {
    const over = (add: (value: number) => void) => {
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) if (masked[o * inner + i] === 0) add(x[o * pitch + c * inner + i]!);
      }
    };
    let total = 0, missed = 0, squares = 0, d = 0, dd = 0, seen = 0;
    over((value) => { total += value; });
    const center = total / n;
    over((value) => {
      d += value - center;
      dd += (value - center) ** 2;
      if (++seen % block !== 0 && seen !== n) return;
      missed += d;
      squares += dd;
      d = dd = 0;
    });
    settle(mean, m2, c, center, missed, squares, n);
  }
}

/** Two passes. */
export function planeMoments(
  mean: Float64Array, m2: Float64Array, x: Floats, outer: number, channels: number, inner: number, pitch: number,
): void {
  const n = outer * inner, block = blockOf(n);
  for (let c = 0; c < channels; c++) {
    let total = 0;
    for (let o = 0; o < outer; o++) {
      const start = o * pitch + c * inner, end = start + inner;
      for (let i = start; i < end; i++) total += x[i]!;
    }
    const center = total / n;
    let missed = 0, squares = 0, d = 0, dd = 0, seen = 0;
    for (let o = 0; o < outer; o++) {
      const start = o * pitch + c * inner, end = start + inner;
      for (let from = start; from < end; from += block) {
        const to = Math.min(from + block, end);
        for (let i = from; i < to; i++) {
          const value = x[i]! - center;
          d += value;
          dd += value * value;
        }
        seen += to - from;
        if (seen < block && o < outer - 1) continue;
        missed += d;
        squares += dd;
        d = dd = seen = 0;
      }
    }
    settle(mean, m2, c, center, missed, squares, n);
  }
}

/** The same row by row, since the channels of a row lie side by side. */
export function rowMoments(
  mean: Float64Array, m2: Float64Array, x: Floats, outer: number, channels: number, _inner: number, pitch: number,
): void {
  mean.fill(0);
  m2.fill(0);
  for (let o = 0; o < outer; o++) {
    const row = o * pitch;
    for (let c = 0; c < channels; c++) mean[c]! += x[row + c]!;
  }
  for (let c = 0; c < channels; c++) mean[c]! /= outer;
  const missed = new Float64Array(channels), d = new Float64Array(channels), dd = new Float64Array(channels), block = blockOf(outer);
  for (let o = 0; o < outer; o++) {
    const row = o * pitch;
    for (let c = 0; c < channels; c++) {
      const value = x[row + c]! - mean[c]!;
      d[c]! += value;
      dd[c]! += value * value;
    }
    if ((o + 1) % block !== 0 && o + 1 !== outer) continue;
    for (let c = 0; c < channels; c++) {
      missed[c]! += d[c]!;
      m2[c]! += dd[c]!;
    }
    d.fill(0);
    dd.fill(0);
  }
  for (let c = 0; c < channels; c++) settle(mean, m2, c, mean[c]!, missed[c]!, m2[c]!, outer);
}
