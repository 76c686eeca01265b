import type { DType, Floats, Kernels } from './kernels.js';
import type { Memory } from './memory.js';
import { maskedMoments, planeMoments, rowMoments } from './reference-moments.js';
import { planeAffine, planeGradient, planeSums, rowAffine, rowGradient, rowSums } from './reference-walks.js';

/** The kernels in plain TypeScript over any memory: fallback, oracle of the tests and baseline of the benchmark. */
export function reference(memory: Memory): Record<DType, Kernels> {
  return { float32: plainKernels(memory, Float32Array), float64: plainKernels(memory, Float64Array) };
}

function plainKernels(memory: Memory, FloatArray: Float32ArrayConstructor | Float64ArrayConstructor): Kernels {
  const floats = (pointer: number, length: number): Floats => new FloatArray(memory.buffer, pointer, length);
  const doubles = (pointer: number, length: number) => new Float64Array(memory.buffer, pointer, length);
  const lanes = 16 / FloatArray.BYTES_PER_ELEMENT;
  /** [outer, inner]: 1 where a mask lets nothing pass. */
  const closed = (mask: number, outer: number, inner: number, maskPitch: number) => {
    const bytes = new Uint8Array(memory.buffer, mask, (outer - 1) * maskPitch + Math.ceil(inner / lanes));
    return Uint8Array.from({ length: outer * inner }, (_, m) => {
      const i = m % inner;
      return (bytes[(m - i) / inner * maskPitch + Math.floor(i / lanes)]! >> (4 + i % lanes)) & 1;
    });
  };
  const length = (outer: number, channels: number, inner: number, pitch: number) =>
    (outer - 1) * pitch + channels * inner;

  return {
    packMask(mask, bytes, outer, inner) {
      const vectors = Math.ceil(inner / lanes);
      const from = new Uint8Array(memory.buffer, bytes, outer * inner), to = new Uint8Array(memory.buffer, mask, outer * vectors);
      for (let o = 0; o < outer; o++) {
        for (let v = 0; v < vectors; v++) {
          let bits = 0;
          for (let i = v * lanes; i < Math.min((v + 1) * lanes, inner); i++) if (from[o * inner + i] === 0) bits |= 16 << (i % lanes);
          to[o * vectors + v] = bits;
        }
      }
    },

    moments(mean, m2, x, mask, n, outer, channels, inner, pitch, maskPitch) {
      const size = length(outer, channels, inner, pitch);
      const means = doubles(mean, channels), m2s = doubles(m2, channels), values = floats(x, size);
      if (mask) {
        maskedMoments(means, m2s, values, closed(mask, outer, inner, maskPitch), n, outer, channels, inner, pitch);
      } else {
        (inner === 1 ? rowMoments : planeMoments)(means, m2s, values, outer, channels, inner, pitch);
      }
    },

    affine(y, x, z, mask, shift, scale, offset, floor, outer, channels, inner, pitch, maskPitch) {
      const n = length(outer, channels, inner, pitch);
      const result = floats(y, n), input = floats(x, n);
      const k = floats(shift, channels), a = floats(scale, channels), b = floats(offset, channels);
      const run = inner === 1 ? rowAffine : planeAffine;
      run(result, input, k, a, b, outer, channels, inner, pitch, z ? floats(z, n) : null);
      if (floor > -Infinity) limit(result, floor, outer, channels * inner, pitch);
      if (mask) clear(result, closed(mask, outer, inner, maskPitch), outer, channels, inner, pitch);
    },

    reduce(total, dot, g, dy, y, x, mask, shift, scale, offset, outer, channels, inner, pitch, maskPitch) {
      const n = length(outer, channels, inner, pitch);
      const k = floats(shift, channels);
      let gs = floats(dy, n), xs = floats(x, n);
      if (g || y || mask || offset) gs = gs.slice() as Floats;
      if (y) rectify(gs, floats(y, n), outer, channels * inner, pitch);
      if (offset && !g && !y) {
        const sign = gs.slice() as Floats, run = inner === 1 ? rowAffine : planeAffine;
        run(sign, xs, k, floats(scale, channels), floats(offset, channels), outer, channels, inner, pitch, null);
        rectify(gs, sign, outer, channels * inner, pitch);
      }
      if (mask) {
        const masked = closed(mask, outer, inner, maskPitch);
        xs = xs.slice() as Floats;
        clear(gs, masked, outer, channels, inner, pitch);
        clear(xs, masked, outer, channels, inner, pitch);
      }
      if (g) {
        for (let o = 0; o < outer; o++) {
          const start = o * pitch;
          floats(g, n).set(gs.subarray(start, start + channels * inner), start);
        }
      }
      (inner === 1 ? rowSums : planeSums)(
        doubles(total, channels), doubles(dot, channels), gs, xs, k, outer, channels, inner, pitch,
      );
    },

    gradient(dx, g, x, mask, shift, p, q, r, offset, outer, channels, inner, pitch, maskPitch) {
      const n = length(outer, channels, inner, pitch);
      const result = floats(dx, n), xs = floats(x, n), k = floats(shift, channels), a = floats(p, channels);
      let gs = floats(g, n);
      if (offset) {
        gs = gs.slice() as Floats;
        const sign = gs.slice() as Floats, run = inner === 1 ? rowAffine : planeAffine;
        run(sign, xs, k, a, floats(offset, channels), outer, channels, inner, pitch, null);
        rectify(gs, sign, outer, channels * inner, pitch);
      }
      const run = inner === 1 ? rowGradient : planeGradient;
      run(result, gs, xs, k, a, floats(q, channels), floats(r, channels), outer, channels, inner, pitch);
      if (mask) clear(result, closed(mask, outer, inner, maskPitch), outer, channels, inner, pitch);
    },

    scratchBytes: () => 0,
  };
}

/** 0 where masked. */
function clear(values: Floats, masked: Uint8Array, outer: number, channels: number, inner: number, pitch: number): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      if (masked[o * inner + i] === 0) continue;
      for (let c = 0; c < channels; c++) values[o * pitch + c * inner + i] = 0;
    }
  }
}

/** y = max(y, floor); NaN stays. */
function limit(y: Floats, floor: number, outer: number, slice: number, pitch: number): void {
  for (let o = 0; o < outer; o++) {
    const start = o * pitch, end = start + slice;
    for (let i = start; i < end; i++) if (y[i]! < floor) y[i] = floor;
  }
}

/** g becomes 0 where y is 0 or below. */
function rectify(g: Floats, y: Floats, outer: number, slice: number, pitch: number): void {
  for (let o = 0; o < outer; o++) {
    const start = o * pitch, end = start + slice;
    for (let i = start; i < end; i++) if (y[i]! <= 0) g[i] = 0;
  }
}
