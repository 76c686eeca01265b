import { describe, expect, it } from 'vitest';
import type { Engine } from '../src/runtime/engine.js';
import type { DType, Floats, Geometry, Kernels } from '../src/runtime/kernels.js';
import { BYTES, LANES, scratchBytes } from '../src/runtime/kernels.js';
import { sum } from './oracle.js';
import { arrayOf, DTYPES, KINDS, normal, RUNTIMES, random } from './setup.js';
import * as tolerance from './tolerances.js';

/** Geometries [outer, channels, inner, gap]: pitch is channels * inner + gap, so that a slice of a larger tensor is met too. */
const GEOMETRIES = [
  [1, 1, 1, 0], [2, 1, 1, 0], [3, 3, 1, 0], [5, 4, 1, 3], [7, 5, 1, 0], [59, 8, 1, 0], [61, 11, 1, 2], [239, 6, 1, 0],
  [241, 9, 1, 0], [300, 16, 1, 5], [33, 130, 1, 0], [5, 1200, 1, 0],
  [150, 2, 1, 0], [131, 3, 1, 0], [66, 5, 1, 0], [33, 20, 1, 0], [40, 7, 2, 0], [9, 33, 3, 5],
  [2, 3, 2, 0], [3, 2, 3, 1], [9, 5, 4, 0], [20, 3, 49, 7], [7, 4, 196, 0], [2, 2, 479, 0], [2, 2, 480, 0], [2, 2, 481, 0],
  [3, 1, 1111, 0], [1, 2, 2048, 0],
  [1, 3, 12_291, 2],
] as const;

const GUARD = 64;
const SENTINEL = -12345.678;

/** Arrays in the memory of a runtime, each with guard elements on both sides that `check` holds to their value. */
class Bench {
  readonly #engine: Engine;
  readonly #dtype: DType;
  readonly #blocks: { at: number; length: number; dtype: DType }[] = [];
  readonly #masks: number[] = [];

  constructor(engine: Engine, dtype: DType) {
    this.#engine = engine;
    this.#dtype = dtype;
  }

  put(values: ArrayLike<number>, dtype = this.#dtype): number {
    const at = this.#engine.allocate((values.length + 2 * GUARD) * BYTES[dtype]);
    const all = this.#engine.floats(dtype, at, values.length + 2 * GUARD).fill(SENTINEL);
    all.set(values, GUARD);
    this.#blocks.push({ at, length: values.length, dtype });
    return at + GUARD * BYTES[dtype];
  }

  /** A mask of a byte a position, packed, its rows `pitch` bytes apart; what lies between them lets nothing pass. */
  putMask(bytes: Uint8Array, outer: number, pitch: number): number {
    const inner = bytes.length / outer, vectors = Math.ceil(inner / LANES[this.#dtype]);
    const at = this.#engine.allocate(Math.max(bytes.length, outer * pitch) + 2 * GUARD), first = at + GUARD;
    const all = new Uint8Array(this.#engine.memory.buffer, at, bytes.length + 2 * GUARD).fill(7);
    all.set(bytes, GUARD);
    this.#engine.kernels[this.#dtype].packMask(first, first, outer, inner);
    expect(all.subarray(0, GUARD).every((byte) => byte === 7), 'bytes before a mask').toBe(true);
    expect(all.subarray(GUARD + outer * vectors, GUARD + bytes.length), 'bytes after a packed mask').toEqual(bytes.subarray(outer * vectors));
    expect(all.subarray(GUARD + bytes.length).every((byte) => byte === 7), 'bytes after a mask').toBe(true);
    const packed = all.slice(GUARD, GUARD + outer * vectors);
    const spread = new Uint8Array(this.#engine.memory.buffer, first, outer * pitch).fill(240);
    for (let o = 0; o < outer; o++) spread.set(packed.subarray(o * vectors, (o + 1) * vectors), o * pitch);
    this.#masks.push(at);
    return first;
  }

  get(pointer: number, length: number, dtype = this.#dtype): Floats {
    return this.#engine.floats(dtype, pointer, length).slice() as Floats;
  }

  scratch(channels: number, inner: number): number {
    return this.put(new Float64Array(Math.ceil(scratchBytes(channels, inner) / 8)), 'float64');
  }

  finish(): void {
    for (const { at, length, dtype } of this.#blocks) {
      const all = this.#engine.floats(dtype, at, length + 2 * GUARD);
      const guard = arrayOf(dtype, [SENTINEL])[0];
      expect(all.subarray(0, GUARD).every((value) => value === guard), 'bytes before a buffer').toBe(true);
      expect(all.subarray(GUARD + length).every((value) => value === guard), 'bytes after a buffer').toBe(true);
      this.#engine.free(at);
    }
    for (const at of this.#masks) this.#engine.free(at);
  }
}

/** Calls `visit` with the index of every element, by channel. */
function eachPlace({ outer, channels, inner, pitch }: Geometry, visit: (c: number, index: number) => void): void {
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < inner; i++) visit(c, o * pitch + c * inner + i);
    }
  }
}

function byChannel(geometry: Geometry, values: ArrayLike<number>): number[][] {
  const result = Array.from({ length: geometry.channels }, () => [] as number[]);
  eachPlace(geometry, (c, index) => result[c]!.push(values[index]!));
  return result;
}

/** Holds every element to `expected`, and the gaps between slices to what they were. */
function expectElements(
  geometry: Geometry, actual: Floats, before: ArrayLike<number>, expected: (c: number, index: number) => number, bound: number,
): void {
  const touched = new Set<number>();
  let worst = 0;
  eachPlace(geometry, (c, index) => {
    const want = expected(c, index);
    worst = Math.max(worst, Math.abs(actual[index]! - want) / Math.max(1, Math.abs(want)));
    touched.add(index);
  });
  expect(worst).toBeLessThanOrEqual(bound);
  const gaps = Array.from(actual.keys()).filter((index) => !touched.has(index));
  expect(gaps.every((index) => actual[index] === before[index]), 'elements between slices').toBe(true);
}

const cases = KINDS.flatMap((kind) =>
  DTYPES.flatMap((dtype) =>
    GEOMETRIES.map(([outer, channels, inner, gap]) => ({ kind, dtype, geometry: { outer, channels, inner, pitch: channels * inner + gap } })),
  ),
);

describe.each(cases)('$kind $dtype on $geometry.outer x $geometry.channels x $geometry.inner, pitch $geometry.pitch', ({ kind, dtype, geometry }) => {
  const { outer, channels, inner, pitch } = geometry;
  const engine = RUNTIMES[kind] as Engine;
  const kernels: Kernels = engine.kernels[dtype];
  const length = outer * pitch;
  const data = (seed: number, mean = 0) => arrayOf(dtype, normal(length, seed, mean));
  const perChannel = (seed: number, mean = 0) => arrayOf(dtype, normal(channels, seed, mean));
  const bound = tolerance.elementwise(dtype);

  it('finds mean and m2 of each channel', () => {
    const bench = new Bench(engine, dtype);
    const x = data(1, 3), mean = bench.put(new Float64Array(channels), 'float64'), m2 = bench.put(new Float64Array(channels), 'float64');
    kernels.moments(mean, m2, bench.put(x), 0, outer * inner, outer, channels, inner, pitch, 0, bench.scratch(channels, inner));
    const means = bench.get(mean, channels, 'float64'), m2s = bench.get(m2, channels, 'float64');
    byChannel(geometry, x).forEach((values, c) => {
      const center = sum(values) / values.length, squares = sum(values.map((value) => (value - center) ** 2));
      expect(Math.abs(means[c]! - center)).toBeLessThanOrEqual(tolerance.mean(dtype, 3));
      expect(Math.abs(m2s[c]! - squares)).toBeLessThanOrEqual(tolerance.variance(dtype) * squares + 1e-12);
    });
    bench.finish();
  });

  it.each([
    { residual: false, relu: false, inPlace: false },
    { residual: false, relu: true, inPlace: true },
    { residual: true, relu: false, inPlace: true },
    { residual: true, relu: true, inPlace: false },
  ])('normalises: residual $residual, relu $relu, in place $inPlace', ({ residual, relu, inPlace }) => {
    const bench = new Bench(engine, dtype);
    const x = data(2, 1), z = data(3), shift = perChannel(4, 1), scale = perChannel(5), offset = perChannel(6);
    const xAt = bench.put(x), before = inPlace ? x : data(7), yAt = inPlace ? xAt : bench.put(before);
    kernels.affine(
      yAt, xAt, residual ? bench.put(z) : 0, 0, bench.put(shift), bench.put(scale), bench.put(offset), relu ? 0 : -Infinity,
      outer, channels, inner, pitch, 0, bench.scratch(channels, inner),
    );
    expectElements(geometry, bench.get(yAt, length), before, (c, i) => {
      const y = (x[i]! - shift[c]!) * scale[c]! + offset[c]! + (residual ? z[i]! : 0);
      return relu ? Math.max(y, 0) : y;
    }, bound);
    bench.finish();
  });

  it.each([{ rectified: false }, { rectified: true }])('sums g and g * (x - shift): rectified $rectified', ({ rectified }) => {
    const bench = new Bench(engine, dtype);
    const dy = data(8), y = data(9), x = data(10, 2), shift = perChannel(11, 2);
    const g = dy.map((value, i) => (rectified && y[i]! <= 0 ? 0 : value));
    const total = bench.put(new Float64Array(channels), 'float64'), dot = bench.put(new Float64Array(channels), 'float64');
    const dyAt = bench.put(dy), before = data(12), gAt = rectified ? bench.put(before) : 0;
    kernels.reduce(
      total, dot, gAt, dyAt, rectified ? bench.put(y) : 0, bench.put(x), 0, bench.put(shift), 0, 0,
      outer, channels, inner, pitch, 0, bench.scratch(channels, inner),
    );
    const totals = bench.get(total, channels, 'float64'), dots = bench.get(dot, channels, 'float64');
    const gs = byChannel(geometry, g), xs = byChannel(geometry, x);
    gs.forEach((values, c) => {
      const products = values.map((value, i) => value * (xs[c]![i]! - shift[c]!));
      expect(Math.abs(totals[c]! - sum(values))).toBeLessThanOrEqual(tolerance.sums(dtype) * sum(values.map(Math.abs)));
      expect(Math.abs(dots[c]! - sum(products))).toBeLessThanOrEqual(tolerance.sums(dtype) * sum(products.map(Math.abs)));
    });
    if (rectified) expectElements(geometry, bench.get(gAt, length), before, (_, i) => g[i]!, 0);
    bench.finish();
  });

  it.each([{ inPlace: false }, { inPlace: true }])('forms the gradient: in place $inPlace', ({ inPlace }) => {
    const bench = new Bench(engine, dtype);
    const g = data(13), x = data(14, 1), shift = perChannel(15, 1), p = perChannel(16), q = perChannel(17), r = perChannel(18);
    const gAt = bench.put(g), before = inPlace ? g : data(19), dxAt = inPlace ? gAt : bench.put(before);
    kernels.gradient(
      dxAt, gAt, bench.put(x), 0, bench.put(shift), bench.put(p), bench.put(q), bench.put(r), 0,
      outer, channels, inner, pitch, 0, bench.scratch(channels, inner),
    );
    expectElements(
      geometry, bench.get(dxAt, length), before, (c, i) => g[i]! * p[c]! + ((x[i]! - shift[c]!) * q[c]! + r[c]!), bound,
    );
    bench.finish();
  });
});

/** Bytes between outer slices of a mask beyond its positions. */
const MASK_GAPS = [0, 3];

/** A mask of a byte a position, bytes between its rows once it is packed, and which positions it lets pass. */
function maskOf({ outer, inner }: Geometry, dtype: DType, gap: number): { pitch: number; bytes: Uint8Array; valid: boolean[] } {
  const uniform = random(30 + gap), n = outer * inner;
  const valid = Array.from({ length: n }, (_, i) => i === n - 1 || uniform() < 0.6);
  const open = [1, 255, 128, 2];
  return { pitch: Math.ceil(inner / LANES[dtype]) + gap, bytes: Uint8Array.from(valid, (passes, i) => (passes ? open[i % 4]! : 0)), valid };
}

describe.each(KINDS.flatMap((kind) => DTYPES.map((dtype) => ({ kind, dtype }))))('a mask of $kind $dtype', ({ kind, dtype }) => {
  it.each([1, 2, 3, 4, 5, 15, 16, 17, 31, 49, 64, 100])('is packed into a bit a position, a byte a vector: %i positions', (inner) => {
    const engine = RUNTIMES[kind] as Engine, outer = 19, lanes = LANES[dtype];
    const { bytes, valid } = maskOf({ outer, channels: 1, inner, pitch: inner }, dtype, 0), vectors = Math.ceil(inner / lanes);
    const at = engine.allocate(2 * bytes.length), from = at + bytes.length;
    new Uint8Array(engine.memory.buffer, from, bytes.length).set(bytes);
    engine.kernels[dtype].packMask(at, from, outer, inner);
    const expected = Array.from({ length: outer * vectors }, (_, b) => {
      const o = Math.floor(b / vectors), first = (b % vectors) * lanes;
      return sum(Array.from({ length: Math.min(lanes, inner - first) }, (_, i) => (valid[o * inner + first + i] ? 0 : 16 * 2 ** i)));
    });
    expect([...new Uint8Array(engine.memory.buffer, at, outer * vectors)]).toEqual(expected);
    engine.free(at);
  });
});

const GARBAGE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30];

describe.each(cases)('masked $kind $dtype on $geometry.outer x $geometry.channels x $geometry.inner, pitch $geometry.pitch', ({ kind, dtype, geometry }) => {
  const { outer, channels, inner, pitch } = geometry;
  const engine = RUNTIMES[kind] as Engine;
  const kernels: Kernels = engine.kernels[dtype];
  const length = outer * pitch;
  const perChannel = (seed: number, mean = 0) => arrayOf(dtype, normal(channels, seed, mean));
  const bound = tolerance.elementwise(dtype);
  /** Whether an element counts, by its index. */
  const passes = (valid: boolean[] | null) => {
    const result = new Array<boolean>(length).fill(true);
    if (valid === null) return result;
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < channels * inner; j++) result[o * pitch + j] = valid[o * inner + (j % inner)]!;
    }
    return result;
  };
  /** Normal numbers, and what is no number where the mask lets nothing pass. */
  const data = (seed: number, open: boolean[], mean = 0) =>
    arrayOf(dtype, normal(length, seed, mean).map((value, i) => (open[i] ? value : GARBAGE[(i + seed) % GARBAGE.length]!)));
  const expectZeros = (actual: Floats, open: boolean[]) => {
    expect(open.every((counts, i) => counts || Object.is(actual[i], 0)), 'masked elements').toBe(true);
  };

  it.each(MASK_GAPS)('finds mean and m2 of what counts, whatever the rest holds, mask gap %i', (gap) => {
    const bench = new Bench(engine, dtype);
    const mask = maskOf(geometry, dtype, gap), open = passes(mask.valid), x = data(1, open, 3);
    const mean = bench.put(new Float64Array(channels), 'float64'), m2 = bench.put(new Float64Array(channels), 'float64');
    const n = mask.valid.filter(Boolean).length;
    kernels.moments(
      mean, m2, bench.put(x), bench.putMask(mask.bytes, outer, mask.pitch), n, outer, channels, inner, pitch, mask.pitch, bench.scratch(channels, inner),
    );
    const means = bench.get(mean, channels, 'float64'), m2s = bench.get(m2, channels, 'float64');
    byChannel(geometry, x).forEach((all, c) => {
      const values = all.filter((_, m) => mask.valid[m]), center = sum(values) / n;
      const squares = sum(values.map((value) => (value - center) ** 2));
      expect(Math.abs(means[c]! - center)).toBeLessThanOrEqual(tolerance.mean(dtype, 3));
      expect(Math.abs(m2s[c]! - squares)).toBeLessThanOrEqual(tolerance.variance(dtype) * squares + 1e-12);
    });
    bench.finish();
  });

  it.each([
    { residual: false, relu: false, over: 'x', gap: 0 }, { residual: false, relu: true, over: 'none', gap: 3 },
    { residual: true, relu: false, over: 'z', gap: 3 }, { residual: true, relu: true, over: 'x', gap: 0 },
    { residual: true, relu: true, over: 'z', gap: 0 }, { residual: true, relu: true, over: 'none', gap: 3 },
  ] as const)('normalises what counts and clears the rest: residual $residual, relu $relu, y over $over, mask gap $gap', ({ residual, relu, over, gap }) => {
    const bench = new Bench(engine, dtype);
    const mask = maskOf(geometry, dtype, gap), open = passes(mask.valid);
    const x = data(2, open, 1), z = data(3, open), shift = perChannel(4, 1), scale = perChannel(5), offset = perChannel(6);
    const xAt = bench.put(x), zAt = residual ? bench.put(z) : 0;
    const before = over === 'x' ? x : over === 'z' ? z : data(7, open);
    const yAt = over === 'x' ? xAt : over === 'z' ? zAt : bench.put(before);
    kernels.affine(
      yAt, xAt, zAt, bench.putMask(mask.bytes, outer, mask.pitch), bench.put(shift), bench.put(scale), bench.put(offset), relu ? 0 : -Infinity,
      outer, channels, inner, pitch, mask.pitch, bench.scratch(channels, inner),
    );
    const y = bench.get(yAt, length);
    expectElements(geometry, y, before, (c, i) => {
      if (!open[i]) return 0;
      const value = (x[i]! - shift[c]!) * scale[c]! + offset[c]! + (residual ? z[i]! : 0);
      return relu ? Math.max(value, 0) : value;
    }, bound);
    expectZeros(y, open);
    bench.finish();
  });

  /** Coefficients with some elements of x where (x - shift) * scale + offset is exactly 0. */
  const signed = (open: boolean[]) => {
    const x = data(10, open, 2), shift = perChannel(11, 2), scale = perChannel(21), offset = perChannel(22);
    offset[0] = 0;
    eachPlace(geometry, (c, i) => { if (c === 0 && i % 3 === 0 && open[i]) x[i] = shift[0]!; });
    return { x, shift, scale, offset };
  };

  it.each([
    { masked: true, sign: 'none', g: 'none', gap: 3 }, { masked: true, sign: 'none', g: 'apart', gap: 0 },
    { masked: false, sign: 'x', g: 'none', gap: 0 }, { masked: true, sign: 'x', g: 'none', gap: 3 },
    { masked: true, sign: 'ignored x', g: 'apart', gap: 0 }, { masked: false, sign: 'ignored x', g: 'dy', gap: 0 },
    { masked: true, sign: 'y', g: 'none', gap: 0 }, { masked: true, sign: 'y', g: 'dy', gap: 3 },
    { masked: false, sign: 'y', g: 'none', gap: 0 }, { masked: false, sign: 'none', g: 'apart', gap: 0 },
    { masked: true, sign: 'y', g: 'apart', gap: 3 }, { masked: false, sign: 'y', g: 'apart', gap: 0 },
  ] as const)('sums and writes g: masked $masked, sign of $sign, g over $g, mask gap $gap', ({ masked, sign, g, gap }) => {
    const bench = new Bench(engine, dtype);
    const mask = maskOf(geometry, dtype, gap), open = passes(masked ? mask.valid : null);
    const dy = data(8, open), y = data(9, open), { x, shift, scale, offset } = signed(open);
    y.forEach((_, i) => { if (i % 5 === 0 && open[i]) y[i] = 0; });
    const expected = new Array<number>(length).fill(0);
    eachPlace(geometry, (c, i) => {
      const closed = sign === 'y' && y[i]! <= 0;
      const clipped = sign === 'x' && (x[i]! - shift[c]!) * scale[c]! + offset[c]! <= 0;
      expected[i] = open[i] && !closed && !clipped ? dy[i]! : 0;
    });
    const total = bench.put(new Float64Array(channels).fill(7), 'float64'), dot = bench.put(new Float64Array(channels).fill(7), 'float64');
    const dyAt = bench.put(dy), before = g === 'dy' ? dy : data(12, open);
    const gAt = g === 'none' ? 0 : g === 'dy' ? dyAt : bench.put(before);
    const fromY = sign === 'y', fromX = sign === 'x' || sign === 'ignored x';
    kernels.reduce(
      total, dot, gAt, dyAt, fromY ? bench.put(y) : 0, bench.put(x), masked ? bench.putMask(mask.bytes, outer, mask.pitch) : 0,
      bench.put(shift), fromX ? bench.put(scale) : 0, fromX ? bench.put(offset) : 0,
      outer, channels, inner, pitch, mask.pitch, bench.scratch(channels, inner),
    );
    const totals = bench.get(total, channels, 'float64'), dots = bench.get(dot, channels, 'float64');
    const terms = new Array<number>(length).fill(0);
    eachPlace(geometry, (c, i) => { if (expected[i] !== 0) terms[i] = expected[i]! * (x[i]! - shift[c]!); });
    const gs = byChannel(geometry, expected), products = byChannel(geometry, terms);
    gs.forEach((values, c) => {
      expect(Math.abs(totals[c]! - sum(values))).toBeLessThanOrEqual(tolerance.sums(dtype) * sum(values.map(Math.abs)));
      expect(Math.abs(dots[c]! - sum(products[c]!))).toBeLessThanOrEqual(tolerance.sums(dtype) * sum(products[c]!.map(Math.abs)));
    });
    if (g !== 'none') {
      const written = bench.get(gAt, length);
      expectElements(geometry, written, before, (_, i) => expected[i]!, 0);
      expectZeros(written, open);
    }
    bench.finish();
  });

  it.each([
    { masked: true, rectified: false, over: 'none', gap: 3 }, { masked: true, rectified: false, over: 'g', gap: 0 },
    { masked: false, rectified: true, over: 'g', gap: 0 }, { masked: false, rectified: true, over: 'x', gap: 0 },
    { masked: true, rectified: true, over: 'none', gap: 0 }, { masked: true, rectified: true, over: 'g', gap: 3 },
    { masked: true, rectified: false, over: 'x', gap: 0 },
  ] as const)('forms the gradient: masked $masked, rectified $rectified, dx over $over, mask gap $gap', ({ masked, rectified, over, gap }) => {
    const bench = new Bench(engine, dtype);
    const mask = maskOf(geometry, dtype, gap), open = passes(masked ? mask.valid : null);
    const g = data(13, open), { x, shift, scale: p, offset } = signed(open), q = perChannel(17), r = perChannel(18);
    const gAt = bench.put(g), xAt = bench.put(x), before = over === 'g' ? g : over === 'x' ? x : data(19, open);
    const dxAt = over === 'g' ? gAt : over === 'x' ? xAt : bench.put(before);
    kernels.gradient(
      dxAt, gAt, xAt, masked ? bench.putMask(mask.bytes, outer, mask.pitch) : 0, bench.put(shift), bench.put(p), bench.put(q), bench.put(r),
      rectified ? bench.put(offset) : 0, outer, channels, inner, pitch, mask.pitch, bench.scratch(channels, inner),
    );
    const dx = bench.get(dxAt, length);
    expectElements(geometry, dx, before, (c, i) => {
      if (!open[i]) return 0;
      const d = x[i]! - shift[c]!, clipped = rectified && d * p[c]! + offset[c]! <= 0;
      return (clipped ? 0 : g[i]!) * p[c]! + (d * q[c]! + r[c]!);
    }, bound);
    expectZeros(dx, open);
    bench.finish();
  });
});

describe.each(KINDS.flatMap((kind) => DTYPES.map((dtype) => ({ kind, dtype }))))('$kind $dtype kernels', ({ kind, dtype }) => {
  it.each([[6, 1], [2, 13]])('keep a NaN in its own channel, on 5 channels of %i x %i', (outer, inner) => {
    const bench = new Bench(RUNTIMES[kind] as Engine, dtype);
    const geometry: Geometry = { outer, channels: 5, inner, pitch: 5 * inner };
    const x = arrayOf(dtype, normal(outer * 5 * inner, 20));
    x[2 * inner] = Number.NaN;
    const mean = bench.put(new Float64Array(5), 'float64'), m2 = bench.put(new Float64Array(5), 'float64');
    const kernels = (RUNTIMES[kind] as Engine).kernels[dtype];
    kernels.moments(mean, m2, bench.put(x), 0, outer * inner, outer, 5, inner, geometry.pitch, 0, bench.scratch(5, inner));
    expect(Array.from(bench.get(mean, 5, 'float64'), Number.isNaN)).toEqual([false, false, true, false, false]);
    expect(Array.from(bench.get(m2, 5, 'float64'), Number.isNaN)).toEqual([false, false, true, false, false]);
    bench.finish();
  });

  it('let NaN pass the ReLU and its gradient', () => {
    const bench = new Bench(RUNTIMES[kind] as Engine, dtype);
    const kernels = (RUNTIMES[kind] as Engine).kernels[dtype];
    const x = bench.put(arrayOf(dtype, [Number.NaN, -1, 0, 1, 2, Number.NaN, -2])), one = bench.put([1]), zero = bench.put([0]);
    kernels.affine(x, x, 0, 0, zero, one, zero, 0, 1, 1, 7, 7, 0, bench.scratch(1, 7));
    expect(Array.from(bench.get(x, 7))).toEqual([Number.NaN, 0, 0, 1, 2, Number.NaN, 0]);
    const g = bench.put(new Float64Array(7)), sums = bench.put([0, 0], 'float64');
    const dy = bench.put([1, 2, 3, 4, 5, 6, 7]);
    kernels.reduce(sums, sums + 8, g, dy, x, x, 0, zero, 0, 0, 1, 1, 7, 7, 0, bench.scratch(1, 7));
    expect(Array.from(bench.get(g, 7))).toEqual([1, 0, 0, 4, 5, 6, 0]);
    bench.finish();
  });
});
