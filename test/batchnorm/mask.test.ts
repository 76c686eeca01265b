import { describe, expect, it } from 'vitest';
import {
  BatchNorm, type BatchNormOptions, backwardParts, forwardParts, maskFromLengths, moments, type Tensor,
} from '../../src/index.js';
import { differentiate, normalise } from '../oracle.js';
import { expectRefusal } from '../refusal.js';
import {
  arrayOf, COMBINATIONS, distance, everything, KINDS, makeRuntime, normal, permute, placesOf, RUNTIMES, random, SHAPES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

const GARBAGE = [Number.NaN, Number.POSITIVE_INFINITY, -1e30, Number.NEGATIVE_INFINITY];

/** Positions of a channels-first shape of which about two thirds count, the last two among them. */
function someOf(shape: readonly number[], seed = 1): Uint8Array {
  const uniform = random(seed), n = sizeOf(shape) / shape[1]!;
  return Uint8Array.from({ length: n }, (_, i) => (i >= n - 2 ? 255 : uniform() < 0.6 ? 1 : 0));
}

describe.each(COMBINATIONS)('a mask in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const make = (channels: number, options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(channels, { dtype, layout, runtime, ...options });
    bn.weight!.set(normal(channels, 1, 1, 0.3));
    bn.bias!.set(normal(channels, 2));
    return bn;
  };
  /** Normal numbers in the layout, and values that are not finite where masked. */
  const data = (shape: readonly number[], seed: number, mask: Uint8Array | null, mean = 0, std = 1) => {
    const values = arrayOf(dtype, permute(normal(sizeOf(shape), seed, mean, std), shape, layout));
    if (mask === null) return values;
    for (const places of placesOf(shape, layout)) {
      places.forEach((place, m) => { if (mask[m] === 0) values[place] = GARBAGE[m % 4]!; });
    }
    return values;
  };
  const zerosWhereMasked = (shape: readonly number[], values: ArrayLike<number>, mask: Uint8Array) =>
    placesOf(shape, layout).every((places) => places.every((place, m) => mask[m] !== 0 || Object.is(values[place], 0)));

  it.each(SHAPES)('is batch norm on the positions that count, on %j, in train and eval', (...shape) => {
    const channels = shape[1]!, mask = someOf(shape), count = mask.filter(Boolean).length;
    const laidOut = shapeIn(layout, shape);
    const x = data(shape, 3, mask, 5, 2), dy = data(shape, 4, mask), bn = make(channels);
    for (const mode of ['train', 'eval'] as const) {
      const y = bn[mode]().forward(x, laidOut, { mask }), { mean, variance } = bn.context!;
      const { dx, dweight, dbias } = bn.backward(dy);
      expect(bn.context!).toMatchObject({ count, mode: mode === 'train' ? 'batch' : 'running' });
      expect(zerosWhereMasked(shape, y, mask), 'masked y').toBe(true);
      expect(zerosWhereMasked(shape, dx, mask), 'masked dx').toBe(true);
      // Errors, each divided by what is allowed.
      const errors = { mean: 0, variance: 0, runningMean: 0, runningVar: 0, y: 0, dx: 0, dweight: 0, dbias: 0 };
      const note = (name: keyof typeof errors, actual: number, expected: number, bound: number) => {
        errors[name] = Math.max(errors[name], Math.abs(actual - expected) / bound);
      };
      const allowed = tolerance.GOLDEN[dtype];
      placesOf(shape, layout).forEach((all, c) => {
        const places = all.filter((_, m) => mask[m] !== 0);
        const xs = places.map((place) => x[place]!), dys = places.map((place) => dy[place]!), weight = bn.weight![c]!;
        const given = mode === 'eval' ? { mean: bn.runningMean![c]!, variance: bn.runningVar![c]! } : undefined;
        const expected = normalise(xs, weight, bn.bias![c]!, bn.eps, given);
        const std = Math.sqrt(expected.variance + bn.eps);
        note('mean', mean[c]!, expected.mean, tolerance.mean(dtype, 5 / std) * Math.max(1, std));
        note('variance', variance[c]!, expected.variance, tolerance.variance(dtype, 5 / std) * expected.variance);
        if (mode === 'train') {
          const running = 0.9 + 0.1 * expected.variance * (count / (count - 1));
          note('runningMean', bn.runningMean![c]!, 0.1 * expected.mean, allowed.running);
          note('runningVar', bn.runningVar![c]!, running, allowed.running * Math.max(1, running));
        }
        const statistics = mode === 'train' ? 'batch' : 'running';
        const gradients = differentiate(dys, xs, weight, expected.mean, expected.variance, bn.eps, statistics);
        const largest = gradients.dx.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        const scale = Math.max(1, Math.abs(weight) / std) * largest;
        places.forEach((place, m) => {
          note('y', y[place]!, expected.y[m]!, allowed.y * Math.max(1, Math.abs(expected.y[m]!)));
          note('dx', dx[place]!, gradients.dx[m]!, allowed.dx * scale);
        });
        const terms = xs.reduce((total, value, m) => total + Math.abs(((value - expected.mean) / std) * dys[m]!), 0);
        note('dweight', dweight![c]!, gradients.dweight, tolerance.sums(dtype) * terms + 1e-12);
        note('dbias', dbias![c]!, gradients.dbias, tolerance.sums(dtype) * Math.sqrt(count) * count);
      });
      for (const [name, part] of Object.entries(errors)) expect(part, name).toBeLessThanOrEqual(1);
      expect(bn.numBatchesTracked).toBe(1);
    }
  });

  it.each([[7, 5], [4, 3, 9], [3, 5, 7, 7]])('gives tensors and arrays the same bits on %j', (...shape) => {
    const mask = someOf(shape), laidOut = shapeIn(layout, shape), start = runtime.bytesInUse;
    const ofArrays = make(shape[1]!), ofTensors = make(shape[1]!);
    const x = runtime.tensor(laidOut, { dtype, data: data(shape, 3, mask, 5) });
    const dy = runtime.tensor(laidOut, { dtype, data: data(shape, 4, mask) });
    for (const mode of ['train', 'eval'] as const) {
      const y = ofTensors[mode]().forward(x, { mask });
      expect(y.data).toEqual(ofArrays[mode]().forward(data(shape, 3, mask, 5), laidOut, { mask }));
      const gradients = ofTensors.backward(dy);
      expect({ ...gradients, dx: gradients.dx.data }).toEqual(ofArrays.backward(data(shape, 4, mask)));
      expect(ofTensors.stateDict()).toEqual(ofArrays.stateDict());
      for (const tensor of [y, gradients.dx]) tensor.dispose();
    }
    for (const tensor of [x, dy]) tensor.dispose();
    expect(runtime.bytesInUse).toBe(start);
  });

  it.each([[60, 4], [9, 3, 49], [500, 2], [2, 5, 3]])('of ones changes nothing on %j', (...shape) => {
    const laidOut = shapeIn(layout, shape), mask = new Uint8Array(sizeOf(shape) / shape[1]!).fill(1);
    const plain = make(shape[1]!), masked = make(shape[1]!), x = data(shape, 3, null, 5), dy = data(shape, 4, null);
    const expected = plain.forward(x, laidOut), y = masked.forward(x, laidOut, { mask });
    const gradients = plain.backward(dy), { dx } = masked.backward(dy);
    expect(distance(y, expected)).toBeLessThan(2 * tolerance.GOLDEN[dtype].y);
    expect(distance(dx, gradients.dx)).toBeLessThan(2 * tolerance.GOLDEN[dtype].dx);
    expect(masked.context!.count).toBe(plain.context!.count);
  });

  it('that lets nothing pass makes an empty batch, in train, eval and frozen', () => {
    const shape = [4, 3, 5], laidOut = shapeIn(layout, shape), mask = new Uint8Array(20), bn = make(3);
    const start = runtime.bytesInUse;
    bn.forward(data(shape, 1, null), laidOut);
    const { state, batches } = everything(bn), zero = arrayOf(dtype, [0, 0, 0]);
    const nothing = arrayOf(dtype, new Array(60).fill(0));
    const set = [() => bn.train(), () => bn.eval(), () => bn.train().freeze()];
    for (const prepare of set) {
      prepare();
      expect(bn.forward(data(shape, 3, mask), laidOut, { mask })).toEqual(nothing);
      expect(bn.context!.count).toBe(0);
      expect(bn.backward(data(shape, 4, mask))).toEqual({ dx: nothing, dweight: zero, dbias: zero, dresidual: null });
      const out = data(shape, 5, null);
      bn.forward(data(shape, 3, mask), laidOut, { mask, out, residual: data(shape, 6, mask) });
      expect(out).toEqual(nothing);
      expect(bn.backward(data(shape, 4, mask)))
        .toEqual({ dx: nothing, dweight: zero, dbias: zero, dresidual: nothing });
      const x = runtime.tensor(laidOut, { dtype, data: data(shape, 3, mask) }), y = bn.forward(x, { mask });
      expect(y.data).toEqual(nothing);
      const { dx } = bn.backward(x);
      expect(dx.data).toEqual(nothing);
      for (const tensor of [x, y, dx]) tensor.dispose();
      expect([bn.stateDict(), bn.numBatchesTracked]).toEqual([state, batches]);
    }
    expect(runtime.bytesInUse).toBe(start);
  });

  it('that lets one position pass is a single value', () => {
    const shape = [4, 3, 5], laidOut = shapeIn(layout, shape), mask = new Uint8Array(20), at = 7;
    mask[at] = 1;
    const x = data(shape, 3, mask, 5), dy = data(shape, 4, mask);
    const places = placesOf(shape, layout).map((all) => all[at]!);
    const strict = make(3), before = everything(strict);
    expect(() => strict.forward(x, laidOut, { mask })).toThrow(new RangeError(
      `Expected more than 1 value per channel when training, got shape [${laidOut.join(', ')}] with a mask that leaves 1`,
    ));
    expect(everything(strict)).toEqual(before);

    const zero = make(3, { onSingleValue: 'zero' }), y = zero.forward(x, laidOut, { mask });
    expect(places.map((place) => y[place])).toEqual(Array.from(zero.bias!));
    expect(zero.context!).toMatchObject({ count: 1, mode: 'batch', variance: new Float64Array(3) });
    expect(zero.backward(dy).dx.every((value) => value === 0)).toBe(true);
    expect(zero.backward(dy).dbias).toEqual(arrayOf(dtype, places.map((place) => dy[place]!)));
    expect(zero.numBatchesTracked).toBe(1);

    const running = make(3, { onSingleValue: 'running' }), likeEval = make(3).eval();
    expect(running.forward(x, laidOut, { mask })).toEqual(likeEval.forward(x, laidOut, { mask }));
    expect(running.context!.mode).toBe('running');
    expect(running.backward(dy)).toEqual(likeEval.backward(dy));
    expect(running.stateDict()).toEqual(likeEval.stateDict());
  });

  it('changed by the caller after forward does not change backward', () => {
    class Bytes extends Uint8Array {}        // as Node's Buffer is
    const shape = [4, 3, 5], laidOut = shapeIn(layout, shape), dy = data(shape, 4, null);
    for (const mask of [someOf(shape), Bytes.from(someOf(shape))]) {
      const bn = make(3);
      bn.forward(data(shape, 3, null), laidOut, { mask });
      const expected = bn.backward(dy);
      mask.fill(1);
      expect(bn.backward(dy)).toEqual(expected);
    }
  });

  it.each(Object.entries({
    'too short': { throws: RangeError, mask: new Uint8Array(19),
      message: '"mask" expected Uint8Array of length 20, one for each position, got length 19' },
    'of the shape of x': { throws: RangeError, mask: new Uint8Array(60),
      message: '"mask" expected Uint8Array of length 20, one for each position, got length 60' },
    'that is an array': { throws: TypeError, mask: new Array(20).fill(1),
      message: '"mask" expected Uint8Array of length 20, one for each position, got Array of length 20' },
    'of floats': { throws: TypeError, mask: new Float32Array(20), message: 'got Float32Array of length 20' },
    'of clamped bytes': { throws: TypeError, mask: new Uint8ClampedArray(20),
      message: 'got Uint8ClampedArray of length 20' },
    'that is a number': { throws: TypeError, mask: 1, message: 'got number 1' },
  }))('%s is refused, and nothing has changed', (_, { mask: wrong, throws, message }) => {
    const shape = [4, 3, 5], laidOut = shapeIn(layout, shape), bn = make(3), out = data(shape, 9, null);
    bn.forward(data(shape, 3, null), laidOut);
    const before = everything(bn), start = runtime.bytesInUse, tensor = runtime.tensor(laidOut, { dtype });
    const mask = wrong as never;
    for (const call of [
      () => bn.forward(data(shape, 3, null), laidOut, { mask, out }),
      () => bn.forward(tensor, { mask }),
      () => moments(data(shape, 3, null), laidOut, { layout, mask }),
    ]) expectRefusal(call, { throws, message });
    tensor.dispose();
    expect(everything(bn)).toEqual(before);
    expect(out).toEqual(data(shape, 9, null));
    expect(runtime.bytesInUse).toBe(start);
  });

  it('leaves a part of a batch that it lets nothing pass of out of the whole', () => {
    const shape = [4, 3, 5], laidOut = shapeIn(layout, shape);
    const masks = [new Uint8Array(20), someOf(shape), someOf(shape, 2)];
    const xs = masks.map((mask, i) => data(shape, 3 + i, mask)), dys = masks.map((mask, i) => data(shape, 6 + i, mask));
    const run = (start: number) => {
      const bn = make(3);
      const parts = xs.slice(start).map((x, i) => ({ x, shape: laidOut, mask: masks[start + i]! }));
      const { y, contexts } = forwardParts(bn, parts);
      return { y, ...backwardParts(bn, dys.slice(start), contexts), state: bn.stateDict() };
    };
    const all = run(0), rest = run(1);
    expect(all.y[0]!.every((value) => value === 0)).toBe(true);
    expect(all.dx[0]!.every((value) => value === 0)).toBe(true);
    expect({ ...all, y: all.y.slice(1), dx: all.dx.slice(1) }).toEqual(rest);
  });

  it('counts in parts as in one piece', () => {
    const shape = [6, 3, 5], half = [3, 3, 5], mask = someOf(shape), x = data(shape, 3, mask, 5);
    const dy = data(shape, 4, mask);
    const whole = make(3), y = whole.forward(x, shapeIn(layout, shape), { mask });
    const { dx, dweight, dbias } = whole.backward(dy);
    const bn = make(3), halves = <A extends { subarray(start: number, end: number): A; length: number }>(values: A) =>
      [values.subarray(0, values.length / 2), values.subarray(values.length / 2, values.length)];
    const masks = halves(mask);
    const parts = halves(x).map((part, i) => ({ x: part, shape: shapeIn(layout, half), mask: masks[i]! }));
    const { y: ys, contexts } = forwardParts(bn, parts);
    const gradients = backwardParts(bn, halves(dy), contexts);
    const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, bound: number) => {
      expect(distance(actual, expected)).toBeLessThan(2 * bound);
    };
    near([...ys[0]!, ...ys[1]!], y, tolerance.GOLDEN[dtype].y);
    near([...gradients.dx[0]!, ...gradients.dx[1]!], dx, tolerance.GOLDEN[dtype].dx);
    near(gradients.dweight!, dweight!, tolerance.GOLDEN[dtype].parameters);
    near(gradients.dbias!, dbias!, tolerance.GOLDEN[dtype].parameters);
    near(bn.runningVar!, whole.runningVar!, tolerance.GOLDEN[dtype].running);
    expect(bn.numBatchesTracked).toBe(1);
  });
});

/** Larger than what a stage holds of each of two arrays (210,000 floats): per channel, as a whole, and in rows. */
const LARGE: readonly (readonly number[])[] = [[2, 2, 110_000], [3, 1, 150_000], [6_000, 40], [40, 60, 100]];

const staged = COMBINATIONS.filter(({ dtype }) => dtype === 'float32');
describe.each(staged)('a mask on what passes through a stage in $kind $layout', ({ kind, layout }) => {
  it.each(LARGE)('is the mask of a tensor, on %j', (...shape) => {
    const channels = shape[1]!, size = sizeOf(shape), laidOut = shapeIn(layout, shape);
    const runtime = makeRuntime(kind);
    const uniform = random(9), mask = Uint8Array.from({ length: size / channels }, () => (uniform() < 0.7 ? 1 : 0));
    // The first and the last quarter let nothing pass: blocks without values.
    mask.fill(0, 0, Math.floor(mask.length / 4)).fill(0, Math.floor(mask.length * 0.75));
    const fill = (seed: number, mean: number) => {
      const next = random(seed), values = new Float32Array(size);
      for (let i = 0; i < size; i++) values[i] = mean + 3 * (next() - 0.5);
      const inner = layout === 'channels-first' ? size / channels / shape[0]! : 1;
      for (let i = 0; i < size; i++) {
        const position = Math.floor(i / (channels * inner)) * inner + (i % inner);
        if (mask[position] === 0) values[i] = i % 2 ? Number.NaN : Number.POSITIVE_INFINITY;
      }
      return values;
    };
    const x = fill(1, 2), dy = fill(2, 0.1), staged = new BatchNorm(channels, { layout, runtime });
    const resident = new BatchNorm(channels, { layout, runtime });
    const xTensor = runtime.tensor(laidOut, { data: x }), dyTensor = runtime.tensor(laidOut, { data: dy });
    for (const mode of ['train', 'eval'] as const) {
      const y = staged[mode]().forward(x, laidOut, { mask }), yTensor = resident[mode]().forward(xTensor, { mask });
      const gradients = staged.backward(dy), ofTensors = resident.backward(dyTensor);
      expect(distance(y, yTensor.data)).toBeLessThan(2 * tolerance.GOLDEN.float32.y);
      expect(distance(gradients.dx, ofTensors.dx.data)).toBeLessThan(2 * tolerance.GOLDEN.float32.dx);
      // Sums of about 1e5 products of size 1 are of size 300.
      expect(distance(gradients.dweight!, ofTensors.dweight!)).toBeLessThan(tolerance.GOLDEN.float32.parameters * 10);
      expect(distance(gradients.dbias!, ofTensors.dbias!)).toBeLessThan(tolerance.GOLDEN.float32.parameters * 10);
      expect(distance(staged.runningVar!, resident.runningVar!)).toBeLessThan(tolerance.GOLDEN.float32.running);
      expect(staged.context!.count).toBe(mask.filter(Boolean).length);
      yTensor.dispose();
      ofTensors.dx.dispose();
    }
    // Only the positions that count, through the unmasked kernels.
    const valid: number[] = [], count = mask.filter(Boolean).length;
    const inner = layout === 'channels-first' ? size / channels / shape[0]! : 1;
    mask.forEach((counts, position) => { if (counts) valid.push(position); });
    const gathered = new Float32Array(count * channels);
    valid.forEach((position, m) => {
      const start = Math.floor(position / inner) * channels * inner + (position % inner);
      for (let c = 0; c < channels; c++) gathered[m * channels + c] = x[start + c * inner]!;
    });
    const { count: n, mean, m2 } = moments(gathered, [count, channels], { runtime });
    const masked = moments(x, laidOut, { layout, mask, runtime });
    expect(masked.count).toBe(n);
    expect(distance(masked.mean, mean)).toBeLessThan(2 * tolerance.mean('float32', 2));
    expect(distance(masked.m2, m2)).toBeLessThan(2 * tolerance.variance('float32'));
    for (const tensor of [xTensor, dyTensor]) tensor.dispose();
    expect(runtime.bytesInUse).toBe(0);
  });
});

describe.each(KINDS)('memory of a mask in %s', (kind) => {
  it('is given back also where it runs out', () => {
    const runtime = makeRuntime(kind, { maximumBytes: 2 ** 20 }), bn = new BatchNorm(2, { runtime });
    const shape = [2, 2, 20_000];
    const mask = new Uint8Array(40_000).fill(1), x = runtime.tensor(shape, { data: normal(80_000, 1) });
    const tensors: Tensor[] = [runtime.tensor([88_000])];
    const before = everything(bn), inUse = runtime.bytesInUse;
    // There is room for y, but not for the mask.
    expect(() => bn.forward(x, { mask })).toThrow(RangeError);
    expect(runtime.bytesInUse).toBe(inUse);
    expect(everything(bn)).toEqual(before);
    for (const tensor of tensors) tensor.dispose();
    bn.forward(x, { mask }).dispose();
    x.dispose();
    expect(runtime.bytesInUse).toBe(0);
  });

  it('may grow under a view of it that is x', () => {
    const runtime = makeRuntime(kind), shape = [4, 3, 3000], values = Float32Array.from(normal(36_000, 1));
    const mask = new Uint8Array(12_000).fill(1), x = runtime.tensor(shape, { data: values });
    const y = new BatchNorm(3, { runtime }).forward(x.data as Float32Array, shape, { mask });
    expect(y).toEqual(new BatchNorm(3, { runtime }).forward(values, shape, { mask }));
  });

  it('may grow under the mask itself', () => {
    const runtime = makeRuntime(kind), shape = [4, 3, 3000];
    const x = runtime.tensor(shape, { data: normal(36_000, 1) });
    const bytes = Uint8Array.from({ length: 12_000 }, (_, i) => i % 3), { data } = runtime.tensor([3000]);
    const mask = new Uint8Array(data.buffer, data.byteOffset, 12_000);
    mask.set(bytes);
    const y = Array.from(new BatchNorm(3, { runtime }).forward(x, { mask }).data);
    expect(y).toEqual(Array.from(new BatchNorm(3, { runtime }).forward(x, { mask: bytes }).data));
  });

  it('may grow under the mask of moments', () => {
    const runtime = makeRuntime(kind), shape = [4, 3, 3000], x = Float32Array.from(normal(36_000, 1));
    const bytes = Uint8Array.from({ length: 12_000 }, (_, i) => i % 3), { data } = runtime.tensor([3000]);
    const mask = new Uint8Array(data.buffer, data.byteOffset, 12_000);
    mask.set(bytes);
    expect(moments(x, shape, { mask, runtime })).toEqual(moments(x, shape, { mask: bytes, runtime }));
  });

  it('lets the same positions pass where a plane goes through the stage in parts', () => {
    const runtime = makeRuntime(kind), shape = [1, 2, 450_003], size = 900_006, uniform = random(5);
    const mask = Uint8Array.from({ length: 450_003 }, () => (uniform() < 0.7 ? 1 : 0));
    const values = (seed: number) => Float32Array.from({ length: size }, random(seed));
    const x = values(1), dy = values(2), residual = values(3);
    const bn = new BatchNorm(2, { runtime }), tensor = (data: Float32Array) => runtime.tensor(shape, { data });
    const y = bn.forward(x, shape, { mask, residual }), { dx } = bn.backward(dy);
    const yTensor = bn.forward(tensor(x), { mask, residual: tensor(residual) }), dxTensor = bn.backward(tensor(dy)).dx;
    // Values up to 3, where the table assumes 16.
    expect(distance(y, yTensor.data)).toBeLessThan(tolerance.elementwise('float32') / 2);
    expect(distance(dx, dxTensor.data)).toBeLessThan(tolerance.elementwise('float32') / 2);
    const masked = (values: ArrayLike<number>) => mask.every((byte, i) => (byte !== 0) === !Object.is(values[i], 0));
    for (const values of [y, dx]) expect(masked(values)).toBe(true);
  });

  it('holds that of the latest forward, also after one that ran out of memory', () => {
    const runtime = makeRuntime(kind, { maximumBytes: 17 * 2 ** 16 }), shape = [2, 2, 20_000];
    const x = runtime.tensor(shape, { data: normal(80_000, 1) });
    const dy = runtime.tensor(shape, { data: normal(80_000, 2) });
    const first = Uint8Array.from({ length: 40_000 }, (_, i) => i % 2), second = first.map((byte) => 1 - byte);
    const bn = new BatchNorm(2, { runtime });
    const out = bn.forward(x, { mask: first }), rest = runtime.tensor([25_000]);
    // There is no room for the mask.
    expect(() => bn.forward(x, { mask: second, out })).toThrow(RangeError);
    rest.dispose();
    const dx = bn.backward(dy, { out: dy }).dx.data;
    expect(first.every((byte, i) => byte === 1 || Object.is(dx[i < 20_000 ? i : i + 20_000], 0))).toBe(true);
    const context = bn.context!;
    bn.forward(x, { mask: second, out });
    bn.backward(dy, { context, out: dy });
    expect(first.every((byte, i) => byte === 1 || Object.is(dy.data[i < 20_000 ? i : i + 20_000], 0))).toBe(true);
  });
});

describe('maskFromLengths', () => {
  it('lets the first positions of every sample pass', () => {
    expect(maskFromLengths([2, 0, 3], 3)).toEqual(Uint8Array.of(1, 1, 0, 0, 0, 0, 1, 1, 1));
    expect(maskFromLengths(Int32Array.of(1), 2)).toEqual(Uint8Array.of(1, 0));
    expect(maskFromLengths([], 5)).toEqual(new Uint8Array(0));
    expect(maskFromLengths([0, 0], 0)).toEqual(new Uint8Array(0));
  });

  it('says what it expected and what came', () => {
    expect(() => maskFromLengths([1, 4], 3))
      .toThrow(new RangeError('"lengths" expected integers from 0 to 3, got 4 at index 1'));
    expect(() => maskFromLengths([-1], 3)).toThrow(RangeError);
    expect(() => maskFromLengths([1.5], 3)).toThrow(RangeError);
    expect(() => maskFromLengths([Number.NaN], 3)).toThrow(RangeError);
    expect(() => maskFromLengths(['1'] as never, 3)).toThrow(TypeError);
    expect(() => maskFromLengths([1], -1)).toThrow(RangeError);
    expect(() => maskFromLengths([1], 1.5)).toThrow(RangeError);
    expect(() => maskFromLengths(3 as never, 3)).toThrow(TypeError);
    expect(() => maskFromLengths(null as never, 3)).toThrow(TypeError);
    expect(() => maskFromLengths([1], '3' as never)).toThrow(TypeError);
  });
});
