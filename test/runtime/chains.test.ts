import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/runtime/engine.js';
import { BYTES, type DType, type Geometry } from '../../src/runtime/kernels.js';
import { DTYPES, KINDS, RUNTIMES } from '../setup.js';
import { U } from '../tolerances.js';

/**
 * [outer, channels, inner] of every walk, with far more values per channel than a lane may add in float32, and elements between slices of
 * the tensor: with some, rows are walked one by one, and so many that totals in float64 have far more additions than they may.
 */
const GEOMETRIES = [
  [1024, 1, 4], [700, 2, 7], [600, 1, 20], [300, 2, 49], [100, 1, 280], [200, 1, 500], [4, 1, 9600], [1, 1, 30_000],
  [12_000, 1, 1], [12_000, 3, 1], [2600, 70, 1], [6000, 5, 2], [100_000, 2, 1, 1], [100_000, 3, 1, 1],
] as const;

/**
 * A number c whose sums are rounded the same way at each addition, once they are 2^(24 - bits) times as large: 1 and just
 * less than half of the last bit that such a sum has.
 */
const EVEN = {
  float32: [8, 9, 10, 11, 12, 13, 14].map((bits) => Math.fround(1 + 0.49 * 2 ** -bits)),
  float64: [37, 38, 39, 40, 41, 42, 43].map((bits) => 1 + 0.49 * 2 ** -bits),
};

/** How wrong a sum of these is after so many additions in a lane, relative: a quarter of a rounding each, and one at the end of a run. */
const wrongAfter = (additions: number) => (additions / 4 + 1) * U.float32;
/** docs/numerics.md and the tolerance of sums count on 16 and 60 additions in float32; sums of float64 carry what they lose. */
const BOUNDS = {
  moments: { float32: wrongAfter(16), float64: 64 * U.float64 },
  reduce: { float32: wrongAfter(60), float64: 66 * U.float64 },
};

/** Addresses, beyond what an allocator has reserved for small calls. */
function memoryOf(engine: Engine, dtype: DType, { outer, pitch, channels, inner }: Geometry) {
  const bytes = BYTES[dtype] * outer * pitch, x = engine.allocate(bytes), dy = engine.allocate(bytes);
  const first = engine.allocate(8 * channels), second = engine.allocate(8 * channels), shift = engine.allocate(8 * channels);
  const scratch = engine.allocate(engine.kernels[dtype].scratchBytes(channels, inner));
  return { x, dy, first, second, shift, scratch, free: () => { for (const at of [x, dy, first, second, shift, scratch]) engine.free(at); } };
}

/** Plain loops sum float64 in blocks, which is another bound. */
const cases = KINDS.flatMap((kind) => DTYPES.filter((dtype) => kind !== 'javascript' || dtype === 'float32').flatMap((dtype) =>
  GEOMETRIES.map(([outer, channels, inner, gap = 0]) => ({ kind, dtype, outer, channels, inner, gap }))));
describe.each(cases)('$dtype sums of $kind on $outer x $channels x $inner', ({ kind, dtype, outer, channels, inner, gap }) => {
  const engine = RUNTIMES[kind] as Engine, n = outer * inner, pitch = channels * inner + gap, geometry = { outer, channels, inner, pitch };
  const kernels = engine.kernels[dtype], tail = [outer, channels, inner, pitch, 0] as const;
  const rounded = dtype === 'float32' ? Math.fround : (value: number) => value;

  it('go on in float64, or carry what they lose, before equal addends round too often the same way, in moments', () => {
    const { x, first, second, scratch, free } = memoryOf(engine, dtype, geometry);
    for (const halves of [true, false]) {
      for (const even of EVEN[dtype]) {
        // x = b or -b, of which one is the shift: squares of deviations are 0 or 4 b^2 = even.
        const b = rounded(Math.sqrt(even) / 2), values = engine.floats(dtype, x, outer * pitch);
        for (let i = 0; i < values.length; i++) {
          const position = Math.floor(i / pitch) * inner + (i % inner);
          values[i] = (halves ? 2 * position < n : position % 2 === 0) ? b : -b;
        }
        kernels.moments(first, second, x, 0, n, ...tail, scratch);
        for (const m2 of engine.floats('float64', second, channels)) {
          expect(Math.abs(m2 / (n * b * b) - 1)).toBeLessThanOrEqual(BOUNDS.moments[dtype]);
        }
      }
    }
    free();
  });

  it('go on in float64, or carry what they lose, before equal addends round too often the same way, in reduce', () => {
    const { x, dy, first, second, shift, scratch, free } = memoryOf(engine, dtype, geometry);
    engine.floats(dtype, x, outer * pitch).fill(1);
    engine.floats(dtype, shift, channels).fill(0);
    for (const even of EVEN[dtype]) {
      for (const g of [0, dy]) {
        engine.floats(dtype, dy, outer * pitch).fill(even);
        kernels.reduce(first, second, g, dy, 0, x, 0, shift, 0, 0, ...tail, scratch);
        for (const at of [first, second]) {
          for (const sum of engine.floats('float64', at, channels)) {
            expect(Math.abs(sum / (n * even) - 1)).toBeLessThanOrEqual(BOUNDS.reduce[dtype]);
          }
        }
      }
    }
    free();
  });
});

describe.each(KINDS.flatMap((kind) => DTYPES.map((dtype) => ({ kind, dtype }))))('moments of $kind $dtype', ({ kind, dtype }) => {
  it('are the same bits in whatever place a channel is whose samples are far from its mean', () => {
    const engine = RUNTIMES[kind] as Engine, outer = 96, channels = 71, geometry = { outer, channels, inner: 1, pitch: channels };
    const { x, first, second, scratch, free } = memoryOf(engine, dtype, geometry);
    const ordinary = (o: number) => Math.sin(o * o), found = new Set<string>();
    for (let place = 0; place < channels; place++) {
      const values = engine.floats(dtype, x, outer * channels);
      // Of 96 rows 12 are samples: 4, 12, 20 and so on.
      for (let i = 0; i < values.length; i++) {
        const o = Math.floor(i / channels);
        values[i] = i % channels === place && o % 8 === 4 ? 1000 : ordinary(o);
      }
      engine.kernels[dtype].moments(first, second, x, 0, outer, outer, channels, 1, channels, 0, scratch);
      const mean = engine.floats('float64', first, channels), m2 = engine.floats('float64', second, channels);
      found.add(`${mean[place]} ${m2[place]}`);
    }
    expect([...found]).toHaveLength(1);
    free();
  });
});
