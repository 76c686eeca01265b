import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/runtime/engine.js';
import type { DType, Floats, Geometry, Kernels } from '../../src/runtime/kernels.js';
import { BYTES, LANES } from '../../src/runtime/kernels.js';
import { sum } from '../oracle.js';
import { arrayOf, DTYPES, distance, KINDS, normal, RUNTIMES, random } from '../setup.js';
import * as tolerance from '../tolerances.js';

/** Geometries [outer, channels, inner, gap]: the pitch is channels * inner + gap, as in a slice of a larger tensor. */
const GEOMETRIES = [
  [1, 1, 1, 0], [2, 1, 1, 0], [3, 3, 1, 0], [5, 4, 1, 3], [7, 5, 1, 0], [59, 8, 1, 0], [61, 11, 1, 2], [239, 6, 1, 0],
  [241, 9, 1, 0], [300, 16, 1, 5], [16, 63, 1, 0], [33, 130, 1, 0], [5, 1200, 1, 0],
  [150, 2, 1, 0], [131, 3, 1, 0], [66, 5, 1, 0], [33, 20, 1, 0], [40, 7, 2, 0], [9, 33, 3, 5],
  [2, 3, 2, 0], [3, 2, 3, 1], [9, 5, 4, 0], [3, 2, 16, 0], [2, 3, 17, 0], [20, 3, 49, 7], [7, 4, 196, 0],
  [2, 2, 479, 0], [2, 2, 480, 0], [2, 2, 481, 0],
  [3, 1, 1111, 0], [1, 2, 2048, 0],
  [2, 400, 5, 0], [2, 190, 3, 0], [1, 3, 12_291, 2],
] as const;

const GUARD = 64;
const SENTINEL = -12345.678;

/** What each kernel takes before the geometry, in order. */
const PARAMETERS = {
  moments: ['mean', 'm2', 'x', 'mask', 'n'],
  affine: ['y', 'x', 'z', 'mask', 'shift', 'scale', 'offset', 'floor'],
  reduce: ['total', 'dot', 'g', 'dy', 'y', 'x', 'mask', 'shift', 'scale', 'offset'],
  gradient: ['dx', 'g', 'x', 'mask', 'shift', 'p', 'q', 'r', 'offset'],
} as const satisfies Record<Exclude<keyof Kernels, 'packMask' | 'scratchBytes' | 'small' | 'least'>, readonly string[]>;
type Kernel = keyof typeof PARAMETERS;
type Parameter<K extends Kernel> = (typeof PARAMETERS)[K][number];

/** Arrays in the memory of a runtime, each with guard elements on both sides; `finish` checks that they are intact. */
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

  /** Packs a mask of one byte per position, its rows `pitch` bytes apart; the bytes between rows let nothing pass. */
  putMask(bytes: Uint8Array, outer: number, pitch: number): number {
    const inner = bytes.length / outer, vectors = Math.ceil(inner / LANES[this.#dtype]);
    const at = this.#engine.allocate(Math.max(bytes.length, outer * pitch) + 2 * GUARD), first = at + GUARD;
    const all = new Uint8Array(this.#engine.memory.buffer, at, bytes.length + 2 * GUARD).fill(7);
    all.set(bytes, GUARD);
    this.#engine.kernels[this.#dtype].packMask(first, first, outer, inner);
    expect(all.subarray(0, GUARD).every((byte) => byte === 7), 'bytes before a mask').toBe(true);
    expect(all.subarray(GUARD + outer * vectors, GUARD + bytes.length), 'bytes after a packed mask')
      .toEqual(bytes.subarray(outer * vectors));
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
    return this.put(new Float64Array(Math.ceil(this.#engine.kernels[this.#dtype].scratchBytes(channels, inner) / 8)), 'float64');
  }

  /** Calls a kernel with arguments by name: numbers, or arrays, which are put into memory; what is not named is 0. */
  run<K extends Kernel>(
    kernel: K, given: Partial<Record<Parameter<K>, number | Floats>>, geometry: Geometry, maskPitch = 0,
  ): void {
    const { outer, channels, inner, pitch } = geometry, names: readonly Parameter<K>[] = PARAMETERS[kernel];
    const values = names.map((name) => {
      const value: number | Floats = given[name] ?? 0;
      return typeof value === 'number' ? value : this.put(value);
    });
    const kernels = this.#engine.kernels[this.#dtype] as Record<Kernel, (...numbers: number[]) => void>;
    kernels[kernel](...values, outer, channels, inner, pitch, maskPitch, this.scratch(channels, inner));
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

/** Checks every element against `expected`, and that the gaps between slices are as before. */
function expectElements(
  geometry: Geometry, actual: Floats, before: ArrayLike<number>, expected: (c: number, index: number) => number,
  bound: number,
): void {
  const touched = new Set<number>(), wanted: number[] = [];
  eachPlace(geometry, (c, index) => {
    touched.add(index);
    wanted.push(expected(c, index));
  });
  expect(distance(Array.from(touched, (index) => actual[index]!), wanted)).toBeLessThanOrEqual(bound);
  const gaps = Array.from(actual.keys()).filter((index) => !touched.has(index));
  expect(gaps.every((index) => actual[index] === before[index]), 'elements between slices').toBe(true);
}

const cases = KINDS.flatMap((kind) =>
  DTYPES.flatMap((dtype) =>
    GEOMETRIES.map(([outer, channels, inner, gap]) => (
      { kind, dtype, geometry: { outer, channels, inner, pitch: channels * inner + gap } }
    )),
  ),
);

/** A mask of one byte per position, the pitch of its rows once packed, and which positions it lets pass. */
function maskOf({ outer, inner }: Geometry, dtype: DType, gap: number) {
  const uniform = random(30 + gap), n = outer * inner;
  const valid = Array.from({ length: n }, (_, i) => i === n - 1 || uniform() < 0.6);
  const open = [1, 255, 128, 2];
  const bytes = Uint8Array.from(valid, (passes, i) => (passes ? open[i % 4]! : 0));
  return { pitch: Math.ceil(inner / LANES[dtype]) + gap, bytes, valid };
}

describe.each(KINDS.flatMap((kind) => DTYPES.map((dtype) => ({ kind, dtype }))))('a mask of $kind $dtype', ({ kind, dtype }) => {
  it.each([1, 2, 3, 4, 5, 15, 16, 17, 31, 49, 64, 100])('is packed into a bit a position, a byte a vector: %i positions', (inner) => {
    const engine = RUNTIMES[kind] as Engine, outer = 19, lanes = LANES[dtype];
    const { bytes, valid } = maskOf({ outer, channels: 1, inner, pitch: inner }, dtype, 0);
    const vectors = Math.ceil(inner / lanes);
    const at = engine.allocate(2 * bytes.length), from = at + bytes.length;
    new Uint8Array(engine.memory.buffer, from, bytes.length).set(bytes);
    engine.kernels[dtype].packMask(at, from, outer, inner);
    const expected = Array.from({ length: outer * vectors }, (_, b) => {
      const o = Math.floor(b / vectors), first = (b % vectors) * lanes;
      const length = Math.min(lanes, inner - first);
      const bits = Array.from({ length }, (_, i) => (valid[o * inner + first + i] ? 0 : 2 ** i));
      return 16 * sum(bits);
    });
    expect([...new Uint8Array(engine.memory.buffer, at, outer * vectors)]).toEqual(expected);
    engine.free(at);
  });
});

const GARBAGE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30];

const NAME = '$kind $dtype on $geometry.outer x $geometry.channels x $geometry.inner, pitch $geometry.pitch';
describe.each(cases)(NAME, ({ kind, dtype, geometry }) => {
  const { outer, channels, inner, pitch } = geometry;
  const engine = RUNTIMES[kind] as Engine;
  const length = outer * pitch;
  const perChannel = (seed: number, mean = 0) => arrayOf(dtype, normal(channels, seed, mean));
  const bound = tolerance.elementwise(dtype);
  /** A mask in memory and which elements it lets pass; or no mask, with a pitch that must not matter. */
  const maskIn = (bench: Bench, masked: boolean, gap: number) => {
    const open = new Array<boolean>(length).fill(true);
    if (!masked) return { open, valid: new Array<boolean>(outer * inner).fill(true), mask: 0, maskPitch: gap };
    const { pitch: maskPitch, bytes, valid } = maskOf(geometry, dtype, gap);
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < channels * inner; j++) open[o * pitch + j] = valid[o * inner + (j % inner)]!;
    }
    return { open, valid, mask: bench.putMask(bytes, outer, maskPitch), maskPitch };
  };
  /** Normal numbers, and garbage where the mask lets nothing pass. */
  const data = (seed: number, open: boolean[], mean = 0) =>
    arrayOf(dtype, normal(length, seed, mean)
      .map((value, i) => (open[i] ? value : GARBAGE[(i + seed) % GARBAGE.length]!)));
  const expectZeros = (actual: Floats, open: boolean[]) => {
    expect(open.every((counts, i) => counts || Object.is(actual[i], 0)), 'masked elements').toBe(true);
  };

  it.each([
    { masked: false, gap: 0 }, { masked: true, gap: 0 }, { masked: true, gap: 3 },
  ])('finds mean and m2 of what counts, whatever the rest holds: masked $masked, mask gap $gap', ({ masked, gap }) => {
    const bench = new Bench(engine, dtype), { open, valid, mask, maskPitch } = maskIn(bench, masked, gap);
    const x = data(1, open, 3), n = valid.filter(Boolean).length;
    const mean = bench.put(new Float64Array(channels), 'float64');
    const m2 = bench.put(new Float64Array(channels), 'float64');
    bench.run('moments', { mean, m2, x, mask, n }, geometry, maskPitch);
    const means = bench.get(mean, channels, 'float64'), m2s = bench.get(m2, channels, 'float64');
    byChannel(geometry, x).forEach((all, c) => {
      const values = all.filter((_, m) => valid[m]), center = sum(values) / n;
      const squares = sum(values.map((value) => (value - center) ** 2));
      expect(Math.abs(means[c]! - center)).toBeLessThanOrEqual(tolerance.mean(dtype, 3));
      expect(Math.abs(m2s[c]! - squares)).toBeLessThanOrEqual(tolerance.variance(dtype) * squares + 1e-12);
    });
    bench.finish();
  });

  it.each([
    { masked: false, residual: false, relu: false, over: 'none', gap: 0 },
    { masked: false, residual: false, relu: false, over: 'x', gap: 0 },
    { masked: false, residual: false, relu: true, over: 'x', gap: 0 },
    { masked: false, residual: true, relu: false, over: 'x', gap: 0 },
    { masked: false, residual: true, relu: true, over: 'none', gap: 0 },
    { masked: false, residual: true, relu: true, over: 'z', gap: 0 },
    { masked: true, residual: false, relu: false, over: 'x', gap: 0 },
    { masked: true, residual: false, relu: true, over: 'none', gap: 3 },
    { masked: true, residual: true, relu: false, over: 'z', gap: 3 },
    { masked: true, residual: true, relu: true, over: 'x', gap: 0 },
    { masked: true, residual: true, relu: true, over: 'z', gap: 0 },
    { masked: true, residual: true, relu: true, over: 'none', gap: 3 },
  ] as const)(
    'normalises what counts and clears the rest: masked $masked, residual $residual, relu $relu, y over $over, mask gap $gap',
    ({ masked, residual, relu, over, gap }) => {
      const bench = new Bench(engine, dtype), { open, mask, maskPitch } = maskIn(bench, masked, gap);
      const x = data(2, open, 1), z = data(3, open), shift = perChannel(4, 1), scale = perChannel(5);
      const offset = perChannel(6);
      const xAt = bench.put(x), zAt = residual ? bench.put(z) : 0;
      const before = over === 'x' ? x : over === 'z' ? z : data(7, open);
      const yAt = over === 'x' ? xAt : over === 'z' ? zAt : bench.put(before), floor = relu ? 0 : -Infinity;
      bench.run('affine', { y: yAt, x: xAt, z: zAt, mask, shift, scale, offset, floor }, geometry, maskPitch);
      const y = bench.get(yAt, length);
      expectElements(geometry, y, before, (c, i) => {
        if (!open[i]) return 0;
        const value = (x[i]! - shift[c]!) * scale[c]! + offset[c]! + (residual ? z[i]! : 0);
        return relu ? Math.max(value, 0) : value;
      }, bound);
      expectZeros(y, open);
      bench.finish();
    },
  );

  /** Coefficients, and an x some of whose elements make (x - shift) * scale + offset exactly 0. */
  const signed = (open: boolean[]) => {
    const x = data(10, open, 2), shift = perChannel(11, 2), scale = perChannel(21), offset = perChannel(22);
    offset[0] = 0;
    eachPlace(geometry, (c, i) => { if (c === 0 && i % 3 === 0 && open[i]) x[i] = shift[0]!; });
    return { x, shift, scale, offset };
  };

  it.each([
    { masked: false, sign: 'none', g: 'none', gap: 0 }, { masked: false, sign: 'none', g: 'apart', gap: 3 },
    { masked: false, sign: 'x', g: 'none', gap: 3 }, { masked: false, sign: 'ignored x', g: 'dy', gap: 3 },
    { masked: false, sign: 'y', g: 'none', gap: 3 }, { masked: false, sign: 'y', g: 'apart', gap: 0 },
    { masked: true, sign: 'none', g: 'none', gap: 3 }, { masked: true, sign: 'none', g: 'apart', gap: 0 },
    { masked: true, sign: 'x', g: 'none', gap: 3 }, { masked: true, sign: 'ignored x', g: 'apart', gap: 0 },
    { masked: true, sign: 'y', g: 'none', gap: 0 }, { masked: true, sign: 'y', g: 'dy', gap: 3 },
    { masked: true, sign: 'y', g: 'apart', gap: 3 },
  ] as const)('sums and writes g: masked $masked, sign of $sign, g over $g, mask gap $gap', ({ g: over, ...given }) => {
    const { masked, sign, gap } = given;
    const bench = new Bench(engine, dtype), { open, mask, maskPitch } = maskIn(bench, masked, gap);
    const dy = data(8, open), y = data(9, open), { x, shift, scale, offset } = signed(open);
    y.forEach((_, i) => { if (i % 5 === 0 && open[i]) y[i] = 0; });
    const expected = new Array<number>(length).fill(0);
    eachPlace(geometry, (c, i) => {
      const closed = sign === 'y' && y[i]! <= 0;
      const clipped = sign === 'x' && (x[i]! - shift[c]!) * scale[c]! + offset[c]! <= 0;
      expected[i] = open[i] && !closed && !clipped ? dy[i]! : 0;
    });
    const sevens = new Float64Array(channels).fill(7), total = bench.put(sevens, 'float64');
    const dot = bench.put(sevens, 'float64');
    const dyAt = bench.put(dy), before = over === 'dy' ? dy : data(12, open);
    const g = over === 'none' ? 0 : over === 'dy' ? dyAt : bench.put(before);
    const fromX = sign === 'x' || sign === 'ignored x';
    bench.run('reduce', {
      total, dot, g, dy: dyAt, x, mask, shift, ...(sign === 'y' && { y }), ...(fromX && { scale, offset }),
    }, geometry, maskPitch);
    const totals = bench.get(total, channels, 'float64'), dots = bench.get(dot, channels, 'float64');
    const terms = new Array<number>(length).fill(0);
    eachPlace(geometry, (c, i) => { if (expected[i] !== 0) terms[i] = expected[i]! * (x[i]! - shift[c]!); });
    const gs = byChannel(geometry, expected), products = byChannel(geometry, terms);
    const allowed = (values: number[]) => tolerance.sums(dtype) * sum(values.map(Math.abs));
    gs.forEach((values, c) => {
      expect(Math.abs(totals[c]! - sum(values))).toBeLessThanOrEqual(allowed(values));
      expect(Math.abs(dots[c]! - sum(products[c]!))).toBeLessThanOrEqual(allowed(products[c]!));
    });
    if (over !== 'none') {
      const written = bench.get(g, length);
      expectElements(geometry, written, before, (_, i) => expected[i]!, 0);
      expectZeros(written, open);
    }
    bench.finish();
  });

  it.each([
    { masked: false, rectified: false, over: 'none', gap: 0 }, { masked: false, rectified: false, over: 'g', gap: 0 },
    { masked: false, rectified: true, over: 'g', gap: 3 }, { masked: false, rectified: true, over: 'x', gap: 3 },
    { masked: true, rectified: false, over: 'none', gap: 3 }, { masked: true, rectified: false, over: 'g', gap: 0 },
    { masked: true, rectified: true, over: 'none', gap: 0 }, { masked: true, rectified: true, over: 'g', gap: 3 },
    { masked: true, rectified: false, over: 'x', gap: 0 },
  ] as const)('forms the gradient: masked $masked, rectified $rectified, dx over $over, mask gap $gap', (given) => {
    const { masked, rectified, over, gap } = given;
    const bench = new Bench(engine, dtype), { open, mask, maskPitch } = maskIn(bench, masked, gap);
    const g = data(13, open), { x, shift, scale: p, offset } = signed(open), q = perChannel(17), r = perChannel(18);
    const gAt = bench.put(g), xAt = bench.put(x), before = over === 'g' ? g : over === 'x' ? x : data(19, open);
    const dxAt = over === 'g' ? gAt : over === 'x' ? xAt : bench.put(before);
    const offsets = rectified ? { offset } : {};
    bench.run('gradient', { dx: dxAt, g: gAt, x: xAt, mask, shift, p, q, r, ...offsets }, geometry, maskPitch);
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
    const x = arrayOf(dtype, normal(outer * 5 * inner, 20));
    x[2 * inner] = Number.NaN;
    const mean = bench.put(new Float64Array(5), 'float64'), m2 = bench.put(new Float64Array(5), 'float64');
    bench.run('moments', { mean, m2, x, n: outer * inner }, { outer, channels: 5, inner, pitch: 5 * inner });
    expect(Array.from(bench.get(mean, 5, 'float64'), Number.isNaN)).toEqual([false, false, true, false, false]);
    expect(Array.from(bench.get(m2, 5, 'float64'), Number.isNaN)).toEqual([false, false, true, false, false]);
    bench.finish();
  });

  it.each([[6, 5, 1], [6, 70, 1], [300, 70, 1], [40, 7, 2], [2, 5, 13]])('finds mean and m2 of equal values exactly, on %i x %i x %i', (outer, channels, inner) => {
    for (const value of [0, 0.1, -3e5, Math.PI]) {
      const bench = new Bench(RUNTIMES[kind] as Engine, dtype), geometry = { outer, channels, inner, pitch: channels * inner };
      const x = arrayOf(dtype, new Array<number>(outer * channels * inner).fill(value));
      const mean = bench.put(new Float64Array(channels), 'float64'), m2 = bench.put(new Float64Array(channels), 'float64');
      bench.run('moments', { mean, m2, x, n: outer * inner }, geometry);
      expect([...bench.get(mean, channels, 'float64')]).toEqual(new Array(channels).fill(x[0]));
      expect([...bench.get(m2, channels, 'float64')]).toEqual(new Array(channels).fill(0));
      bench.finish();
    }
  });

  it.each([[300, 70, 1], [300, 7, 1], [40, 7, 2], [2, 5, 130]])('finds mean and m2 of values far from 0, on %i x %i x %i', (outer, channels, inner) => {
    const bench = new Bench(RUNTIMES[kind] as Engine, dtype), geometry = { outer, channels, inner, pitch: channels * inner }, n = outer * inner;
    const x = arrayOf(dtype, normal(n * channels, 25, 1e6)), mean = bench.put(new Float64Array(channels), 'float64');
    const m2 = bench.put(new Float64Array(channels), 'float64');
    bench.run('moments', { mean, m2, x, n }, geometry);
    const means = bench.get(mean, channels, 'float64'), m2s = bench.get(m2, channels, 'float64');
    byChannel(geometry, x).forEach((values, c) => {
      const center = sum(values) / n, squares = sum(values.map((value) => (value - center) ** 2));
      expect(Math.abs(means[c]! - center)).toBeLessThanOrEqual(tolerance.mean(dtype, 1e6));
      expect(Math.abs(m2s[c]! / squares - 1)).toBeLessThanOrEqual(tolerance.variance(dtype, 1e6));
    });
    bench.finish();
  });

  it.each([[40, 7, 1], [40, 70, 1], [40, 7, 2], [9, 33, 3], [6, 5, 13]])('finds mean and m2 of a channel from its own values alone, on %i x %i x %i', (outer, channels, inner) => {
    const geometry = { outer, channels, inner, pitch: channels * inner }, x = arrayOf(dtype, normal(outer * channels * inner, 24));
    // The first channel once as it is and once elsewhere, but not so far away that another shift would make a second sweep necessary.
    const [before, after] = [0, 0.1].map((level) => {
      const bench = new Bench(RUNTIMES[kind] as Engine, dtype), moved = x.slice();
      eachPlace(geometry, (c, i) => { if (c === 0) moved[i]! += level; });
      const mean = bench.put(new Float64Array(channels), 'float64'), m2 = bench.put(new Float64Array(channels), 'float64');
      bench.run('moments', { mean, m2, x: moved, n: outer * inner }, geometry);
      const found = [mean, m2].flatMap((at) => [...bench.get(at, channels, 'float64').subarray(1)]);
      bench.finish();
      return found;
    });
    expect(after).toEqual(before);
  });

  it('let NaN pass the ReLU and its gradient', () => {
    const bench = new Bench(RUNTIMES[kind] as Engine, dtype), geometry = { outer: 1, channels: 1, inner: 7, pitch: 7 };
    const x = bench.put([Number.NaN, -1, 0, 1, 2, Number.NaN, -2]), one = bench.put([1]), zero = bench.put([0]);
    bench.run('affine', { y: x, x, shift: zero, scale: one, offset: zero, floor: 0 }, geometry);
    expect(Array.from(bench.get(x, 7))).toEqual([Number.NaN, 0, 0, 1, 2, Number.NaN, 0]);
    const g = bench.put(new Float64Array(7)), dy = bench.put([1, 2, 3, 4, 5, 6, 7]);
    const sums = bench.put([0, 0], 'float64');
    bench.run('reduce', { total: sums, dot: sums + 8, g, dy, y: x, x, shift: zero }, geometry);
    expect(Array.from(bench.get(g, 7))).toEqual([1, 0, 0, 4, 5, 6, 0]);
    bench.finish();
  });
});
