import { describe, expect, it } from 'vitest';
import {
  addGradientSums, BatchNorm, type BatchNormOptions, type Floats, type GradientSums, type Moments,
  mergeMoments, moments,
} from '../../src/index.js';
import { inAnotherRealm } from '../host.js';
import { normalise } from '../oracle.js';
import { expectRefusal, type Refusal } from '../refusal.js';
import {
  arrayOf, COMBINATIONS, concatenate, distance, makeRuntime, maskOf, normal, permute, placesOf, RUNTIMES, SHAPES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

/** Channels-first shapes of parts with different numbers of samples, the last without any. */
const PARTS = [[5, 3, 7], [1, 3, 7], [9, 3, 7], [0, 3, 7]] as const;
const WHOLE = [15, 3, 7];

/** Checks moments against the oracle. `places`: the values of each channel that count. */
function check(actual: Moments, x: Floats, places: readonly (readonly number[])[], meanOverStd: number) {
  const dtype = x instanceof Float32Array ? 'float32' : 'float64';
  expect([actual.mean.length, actual.m2.length]).toEqual([places.length, places.length]);
  places.forEach((of, c) => {
    expect(actual.count).toBe(of.length);
    const { mean, variance } = normalise(of.map((place) => x[place]!), 1, 0, 1);
    const std = Math.sqrt(variance);
    expect(Math.abs(actual.mean[c]! - mean))
      .toBeLessThanOrEqual(tolerance.mean(dtype, meanOverStd) * std + 2 * tolerance.U.float64 * Math.abs(mean));
    expect(Math.abs(actual.m2[c]! - variance * of.length))
      .toBeLessThanOrEqual(tolerance.variance(dtype, meanOverStd) * variance * of.length);
  });
}

describe.each(COMBINATIONS)('moments in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const of = (x: Floats, shape: readonly number[], mask?: Uint8Array) =>
    moments(x, shape, { layout, runtime, ...(mask && { mask }) });

  it.each(SHAPES)('are count, mean and sum of squared deviations of arrays and tensors on %j', (...shape) => {
    const x = arrayOf(dtype, permute(normal(sizeOf(shape), 1, 5, 2), shape, layout)), laidOut = shapeIn(layout, shape);
    const kept = x.slice(), start = runtime.bytesInUse;
    const actual = of(x, laidOut);
    check(actual, x, placesOf(shape, layout), 2.5);
    const tensor = runtime.tensor(laidOut, { dtype, data: x });
    expect(moments(tensor, laidOut, { layout })).toEqual(moments(tensor, laidOut, { layout, runtime }));
    check(moments(tensor, laidOut, { layout }), x, placesOf(shape, layout), 2.5);
    tensor.dispose();
    expect(x).toEqual(kept);
    expect(runtime.bytesInUse).toBe(start);
  });

  it.each([[5, 3], [4, 3, 5], [2, 4, 3, 3], [1, 1, 9], [7, 9, 50]])('leave out what is masked on %j', (...shape) => {
    const positions = sizeOf(shape) / shape[1]!;
    const x = arrayOf(dtype, permute(normal(sizeOf(shape), 2, 5, 2), shape, layout)), mask = maskOf(positions, 3);
    const places = placesOf(shape, layout).map((all) => all.filter((_, m) => mask[m]));
    placesOf(shape, layout).forEach((all) => { all.forEach((place, m) => { if (!mask[m]) x[place] = Number.NaN; }); });
    check(of(x, shapeIn(layout, shape), mask), x, places, 2.5);
    const none = of(x, shapeIn(layout, shape), new Uint8Array(positions));
    expect(none).toEqual({ count: 0, mean: new Float64Array(shape[1]!), m2: new Float64Array(shape[1]!) });
  });

  it('are those of the whole over several staged blocks', () => {
    const shape = [3, 4, 40_000], x = arrayOf(dtype, normal(sizeOf(shape), 4, 1, 2));
    check(of(x, shapeIn(layout, shape)), x, placesOf(shape, layout), 0.5);
  });

  it('are nothing of nothing', () => {
    expect(of(arrayOf(dtype, []), shapeIn(layout, [0, 2, 3])))
      .toEqual({ count: 0, mean: new Float64Array(2), m2: new Float64Array(2) });
  });

  it('of parts with unequal and zero counts merge into those of the whole, in any grouping and order', () => {
    const xs = PARTS.map((shape, i) =>
      arrayOf(dtype, permute(normal(sizeOf(shape), 10 + i, 3 * i, 1 + i), shape, layout)));
    const parts = PARTS.map((shape, i) => of(xs[i]!, shapeIn(layout, shape)));
    const [a, b, c, d] = parts as [Moments, Moments, Moments, Moments];
    const copies = structuredClone(parts);
    const whole = concatenate(dtype, xs), places = placesOf(WHOLE, layout);
    for (const merged of [
      mergeMoments(a, b, c, d), mergeMoments(mergeMoments(a, b), mergeMoments(c, d)),
      mergeMoments(a, mergeMoments(b, mergeMoments(d, c))),
      mergeMoments(d, c, b, a), mergeMoments(mergeMoments(d), c, mergeMoments(a, d, b)),
    ]) check(merged, whole, places, 3);
    expect(parts).toEqual(copies);
    expect(mergeMoments(a)).toEqual(a);
    expect(mergeMoments(d, a, d)).toEqual(a);
    expect(mergeMoments(d, d)).toEqual(d);
  });

  it('of nothing are neutral whatever their mean says', () => {
    const part = of(arrayOf(dtype, [1, 2, 3, 4]), [2, 2]);
    const nothing = { count: 0, mean: new Float64Array(2).fill(Number.NaN), m2: new Float64Array(2).fill(7) };
    expect(mergeMoments(nothing, part, nothing)).toEqual(part);
  });

  it('of far away data keep their digits when merged', () => {
    const values = Array.from({ length: 8 }, (_, i) => 2 ** 20 + i);
    const [first, rest] = [values.slice(0, 3), values.slice(3)]
      .map((part) => of(arrayOf(dtype, part), [part.length, 1]));
    const merged = mergeMoments(first!, rest!);
    expect(merged.count).toBe(8);
    expect(merged.mean[0]).toBe(2 ** 20 + 3.5);
    expect(Math.abs(merged.m2[0]! - 42)).toBeLessThan(42 * tolerance.variance(dtype, 2 ** 20));
  });

  it.each(Object.entries<Refusal>({
    'no array': { throws: TypeError, message: '"x" expected Float32Array of length 2 (1x2), got Array of length 2',
      call: () => of([1, 2] as never, [1, 2]) },
    'nothing': { throws: TypeError, message: 'got undefined', call: () => moments(undefined as never, [1, 2]) },
    'another length': { throws: RangeError, message: 'length 2 (1x2), got length 1',
      call: () => of(arrayOf(dtype, [1]), [1, 2]) },
    'no shape': { throws: TypeError, message: '"shape" expected an array of dimensions, got undefined',
      call: () => of(arrayOf(dtype, [1]), undefined as never) },
    'a rank below 2': { throws: RangeError, message: '"shape" expected a rank of 2 or more, got [1]',
      call: () => of(arrayOf(dtype, [1]), [1]) },
    'a negative dimension': { throws: RangeError, message: '"shape" expected non-negative integers',
      call: () => of(arrayOf(dtype, [1]), [-1, -1]) },
    'a layout that is none': { throws: RangeError, message: "got 'NCHW'",
      call: () => moments(arrayOf(dtype, [1, 2]), [1, 2], { layout: 'NCHW' as never }) },
    'a misspelt option': { throws: TypeError, message: 'got "masks"',
      call: () => moments(arrayOf(dtype, [1, 2]), [1, 2], { masks: 1 } as never) },
    'a mask of another length': { throws: RangeError,
      message: '"mask" expected Uint8Array of length 1, one for each position, got length 2',
      call: () => of(arrayOf(dtype, [1, 2]), [1, 2], new Uint8Array(2)) },
    'a mask of another type': { throws: TypeError, message: '"mask" expected Uint8Array',
      call: () => of(arrayOf(dtype, [1, 2]), [1, 2], [1] as never) },
    'a runtime that is none': { throws: TypeError,
      message: '"runtime" expected what createRuntime() returns, got Object',
      call: () => moments(arrayOf(dtype, [1, 2]), [1, 2], { runtime: {} as never }) },
    'a tensor of another runtime': { throws: TypeError, message: 'runtime',
      call: () => moments(makeRuntime(kind).tensor([1, 2], { dtype }), [1, 2], { runtime }) },
    'a tensor of another shape': { throws: RangeError, message: '"x" expected shape [2, 1], got [1, 2]',
      call: () => {
        const tensor = runtime.tensor([1, 2], { dtype });
        try {
          moments(tensor, [2, 1]);
        } finally {
          tensor.dispose();
        }
      } },
    'no parts': { throws: TypeError, message: 'got undefined', call: () => mergeMoments() },
    'parts in an array': { throws: TypeError, message: 'got Array of length 1',
      call: () => mergeMoments([of(arrayOf(dtype, [1]), [1, 1])] as never) },
    'a mean of the wrong type': { throws: TypeError,
      message: '"parts" expected { count, mean: Float64Array, m2: Float64Array }, got Object',
      call: () => mergeMoments({ count: 1, mean: [1], m2: [1] } as never) },
    'parts of unequal channels': { throws: RangeError,
      message: '"parts" expected mean and m2 of 1 channels, got 2 and 2',
      call: () => mergeMoments(of(arrayOf(dtype, [1]), [1, 1]), of(arrayOf(dtype, [1, 2]), [1, 2])) },
    'a count that is none': { throws: RangeError, message: 'got 1.5',
      call: () => mergeMoments({ count: 1.5, mean: Float64Array.of(1), m2: Float64Array.of(1) }) },
    'a negative m2': { throws: RangeError, message: 'expected an m2 of 0 or more, got -0.5 in channel 1',
      call: () => mergeMoments({ count: 2, mean: Float64Array.of(1, 1), m2: Float64Array.of(1, -0.5) }) },
    'a negative count': { throws: RangeError, message: 'got -1',
      call: () => mergeMoments({ count: -1, mean: Float64Array.of(1), m2: Float64Array.of(1) }) },
    'no sums': { throws: TypeError, message: 'got undefined', call: () => addGradientSums() },
    'sums of unequal channels': { throws: RangeError, message: 'of 2 channels, got 3 and 3',
      call: () => addGradientSums(...[2, 3].map((c) => ({ total: new Float64Array(c), dot: new Float64Array(c) }))) },
  }))('throw for %s', (_, { call, ...refusal }) => {
    const start = runtime.bytesInUse;
    expectRefusal(call, refusal);
    expect(runtime.bytesInUse).toBe(start);
  });

  it('take arrays of another realm', async () => {
    const name = dtype === 'float32' ? 'Float32Array' : 'Float64Array';
    const values = (await inAnotherRealm(`${name}.of(1, 3)`)) as Floats;
    expect(of(values, [2, 1])).toEqual({ count: 2, mean: Float64Array.of(2), m2: Float64Array.of(2) });
  });
});

describe.each(COMBINATIONS)('forwardWith and backwardWith in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const make = (options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(3, { dtype, layout, runtime, ...options });
    bn.weight?.set([1.5, -0.5, 2]);
    bn.bias?.set([0.3, -0.2, 0]);
    return bn;
  };
  const data = (shape: readonly number[], seed: number) => arrayOf(dtype, normal(sizeOf(shape), seed, 2, 3));
  const of = (x: Floats, shape: readonly number[], mask?: Uint8Array) =>
    moments(x, shapeIn(layout, shape), { layout, runtime, ...(mask && { mask }) });
  const yBound = 2 * tolerance.BETWEEN * tolerance.y(dtype, 1);
  const runningBound = tolerance.BETWEEN * tolerance.GOLDEN[dtype].running;
  const dxBound = tolerance.BETWEEN * tolerance.GOLDEN[dtype].dx;

  it.each([
    'train', 'eval', 'frozen',
  ] as const)('equal forward and backward where the statistics are those of x, in %s', (mode) => {
    const one = make(), other = make(), x = data(WHOLE, 1), dy = data(WHOLE, 2), shape = shapeIn(layout, WHOLE);
    for (const bn of [one, other]) {
      bn.forward(data(WHOLE, 3), shape);
      if (mode === 'eval') bn.eval();
      if (mode === 'frozen') bn.freeze();
    }
    const expected = one.forward(x, shape), y = other.forwardWith(of(x, WHOLE), x, shape);
    expect(distance(y, expected)).toBeLessThanOrEqual(yBound);
    expect(other.context!.mode).toBe(one.context!.mode);
    expect(other.context!.count).toBe(one.context!.count);
    const gradients = other.backwardWith(other.backwardSums(dy), dy), wanted = one.backward(dy);
    expect(distance(gradients.dx, wanted.dx)).toBeLessThanOrEqual(dxBound);
    expect(distance(gradients.dweight!, wanted.dweight!))
      .toBeLessThanOrEqual(tolerance.BETWEEN * tolerance.GOLDEN[dtype].parameters);
    expect(gradients.dbias).toEqual(wanted.dbias);
    expect(other.numBatchesTracked).toBe(one.numBatchesTracked);
    for (const name of ['runningMean', 'runningVar'] as const) {
      expect(distance(other[name]!, one[name]!)).toBeLessThanOrEqual(runningBound);
    }
  });

  const variants = [
    'plain', 'mask', 'relu', 'residual', 'residual and relu', 'mask, residual and relu', 'tensors',
    'all in the stage twice',
  ] as const;
  it.each(variants)('of the parts equal forward and backward of the whole: %s', (variant) => {
    const masked = variant.includes('mask'), residual = variant.includes('residual'), inMemory = variant === 'tensors';
    const long = variant === 'all in the stage twice';
    // If long, the first part does not fit into the stage: some of its groups are one block, some several.
    const shapes = long ? [3, 1, 1, 0].map((n) => [n, 3, 24_001]) : PARTS, wholeShape = long ? [5, 3, 24_001] : WHOLE;
    const options = variant.includes('relu') ? { activation: 'relu' as const } : {};
    const bn = make(options), big = make(options);
    // Values of the concatenation are those of the parts in order: the batch is the first axis in both layouts.
    const parts = shapes.map((shape, i) => ({
      shape: shapeIn(layout, shape),
      x: data(shape, 20 + i), dy: data(shape, 30 + i), z: residual ? data(shape, 40 + i) : arrayOf(dtype, []),
      // In the second nothing counts, and the last is empty.
      mask: i === 1 ? new Uint8Array(sizeOf(shape) / 3) : maskOf(sizeOf(shape) / 3, 50 + i),
    }));
    const all = (pick: (part: (typeof parts)[number]) => Floats) => concatenate(dtype, parts.map(pick));
    const wholeMask = Uint8Array.from(parts.flatMap(({ mask }) => Array.from(mask)));
    const x = all((part) => part.x), dy = all((part) => part.dy), z = all((part) => part.z);
    const given = { ...(masked && { mask: wholeMask }), ...(residual && { residual: z }) };
    const expectedY = big.forward(x, shapeIn(layout, wholeShape), given), expected = big.backward(dy);

    const statistics = mergeMoments(...parts.map(({ x, shape, mask }) =>
      moments(x, shape, { layout, runtime, ...(masked && { mask }) })));
    const start = runtime.bytesInUse;
    const tensor = (values: Floats, shape: readonly number[]) => runtime.tensor(shape, { dtype, data: values });
    const contexts = parts.map(() => null as never);
    const tensors = parts.map(({ x, dy, shape }) => (inMemory ? { x: tensor(x, shape), dy: tensor(dy, shape) } : null));
    const ys = parts.map((part, i) => {
      const last = i === parts.length - 1, held = tensors[i];
      const more = { updateStats: last, ...(masked && { mask: part.mask }) };
      const y = held
        ? bn.forwardWith(statistics, held.x, more)
        : bn.forwardWith(statistics, part.x, part.shape, { ...more, ...(residual && { residual: part.z }) });
      contexts[i] = bn.context as never;
      return y;
    });
    const numbers = (values: Floats | { data: Floats }) => ('data' in values ? values.data : values);
    expect(distance(concatenate(dtype, ys.map(numbers)), expectedY)).toBeLessThanOrEqual(yBound);
    expect(bn.numBatchesTracked).toBe(1);
    for (const name of ['runningMean', 'runningVar'] as const) {
      expect(distance(bn[name]!, big[name]!)).toBeLessThanOrEqual(runningBound);
    }

    const dyOf = (i: number) => (tensors[i]?.dy ?? parts[i]!.dy) as Float32Array;
    const sums = addGradientSums(...parts.map((_, i) => bn.backwardSums(dyOf(i), { context: contexts[i]! })));
    const gradients = parts.map((_, i) => bn.backwardWith(sums, dyOf(i), { context: contexts[i]! }));
    expect(distance(concatenate(dtype, gradients.map(({ dx }) => numbers(dx))), expected.dx))
      .toBeLessThanOrEqual(dxBound);
    if (residual) expect(concatenate(dtype, gradients.map(({ dresidual }) => dresidual!))).toEqual(expected.dresidual);
    const size = Math.sqrt(wholeShape[0]! * wholeShape[2]!);
    for (const { dweight, dbias } of gradients) {
      for (const [actual, wanted] of [[dweight, expected.dweight], [dbias, expected.dbias]] as const) {
        expect(distance(actual!, wanted!)).toBeLessThanOrEqual(tolerance.BETWEEN * tolerance.sums(dtype) * 4 * size);
      }
    }
    for (const values of [...ys, ...gradients.map(({ dx }) => dx)]) {
      if ('dispose' in values) (values as { dispose(): void }).dispose();
    }
    for (const held of tensors) { held?.x.dispose(); held?.dy.dispose(); }
    expect(runtime.bytesInUse).toBe(start);
  });

  it('enter the running statistics once, also by a part without values', () => {
    const x = data(WHOLE, 1), statistics = of(x, WHOLE), wanted = make(), shape = shapeIn(layout, [0, 3, 7]);
    wanted.forwardWith(statistics, x, shapeIn(layout, WHOLE));
    const empty = make(), masked = make();
    empty.forward(data(WHOLE, 9), shapeIn(layout, WHOLE), { updateStats: false });
    empty.forwardWith(statistics, arrayOf(dtype, []), shape);
    expect(empty.stateDict()).toEqual(wanted.stateDict());
    masked.forwardWith(statistics, x, shapeIn(layout, WHOLE), { mask: new Uint8Array(15 * 7) });
    expect(masked.stateDict()).toEqual(wanted.stateDict());
    expect(empty.context).toMatchObject({ mode: 'batch', count: 105, mean: statistics.mean });
    const sums: GradientSums = { total: Float64Array.of(1, 2, 3), dot: Float64Array.of(4, 5, 6) };
    wanted.forwardWith(statistics, x, shapeIn(layout, WHOLE), { updateStats: false });
    const { dweight, dbias } = wanted.backwardWith(sums, x);
    expect(empty.backwardWith(sums, arrayOf(dtype, [])))
      .toEqual({ dx: arrayOf(dtype, []), dweight, dbias, dresidual: null });
  });

  it('leave running statistics alone with updateStats false', () => {
    const bn = make(), before = bn.stateDict(), x = data(WHOLE, 1);
    bn.forwardWith(of(x, WHOLE), x, shapeIn(layout, WHOLE), { updateStats: false });
    expect(bn.stateDict()).toEqual(before);
  });

  it('hold statistics to the policies that hold for those of a batch', () => {
    const x = data(WHOLE, 1), shape = shapeIn(layout, WHOLE);
    const nan = { ...of(x, WHOLE), mean: Float64Array.of(1, Number.NaN, 1) };
    const single = { count: 1, mean: Float64Array.of(1, 2, 3), m2: new Float64Array(3) };
    const strict = make({ onNonFinite: 'error' }), lax = make({ onNonFinite: 'skip' }), before = strict.stateDict();
    expect(() => strict.forwardWith(nan, x, shape)).toThrow(RangeError);
    expect(() => strict.forwardWith(nan, arrayOf(dtype, []), shapeIn(layout, [0, 3, 7]))).toThrow(RangeError);
    expect(() => strict.forwardWith(single, x, shape))
      .toThrow('Expected more than 1 value per channel when training, got statistics of 1');
    lax.forwardWith(nan, x, shape);
    expect([strict.stateDict(), strict.context, lax.stateDict()]).toEqual([before, null, before]);
  });

  it.each(Object.entries<Refusal<[BatchNorm, Float32Array, number[]]>>({
    'no statistics': { throws: TypeError,
      message: '"statistics" expected { count, mean: Float64Array, m2: Float64Array }, got undefined',
      call: (bn, x, shape) => bn.forwardWith(undefined as never, x, shape) },
    'statistics of other channels': { throws: RangeError,
      message: '"statistics" expected mean and m2 of 3 channels, got 2 and 2',
      call: (bn, x, shape) => bn.forwardWith(moments(Float32Array.of(1, 2), [1, 2]), x, shape) },
    'statistics of nothing': { throws: RangeError, message: '"statistics" expected a count of 1 or more, got 0',
      call: (bn, x, shape) => bn.forwardWith(moments(new Float32Array(0), [0, 3]), x, shape) },
    'x of another length': { throws: RangeError, message: 'got length 314',
      call: (bn, x, shape) => bn.forwardWith(moments(Float32Array.of(1, 2, 3), [1, 3]), x.subarray(1), shape) },
    'no sums': { throws: TypeError, message: '"sums" expected { total: Float64Array, dot: Float64Array }, got null',
      call: (bn, x) => bn.backwardWith(null as never, x) },
    'sums of other channels': { throws: RangeError, message: '"sums" expected total and dot of 3 channels, got 2 and 2',
      call: (bn, x) => bn.backwardWith({ total: new Float64Array(2), dot: new Float64Array(2) }, x) },
    'dy of another length to sum': { throws: RangeError, message: '"dy"',
      call: (bn, x) => bn.backwardSums(x.subarray(1)) },
    'a misspelt option of sums': { throws: TypeError, message: 'got "out"',
      call: (bn, x) => bn.backwardSums(x, { out: x } as never) },
  }))('throw for %s and leave everything as it was', (_, { call, ...refusal }) => {
    const bn = make(), x = data(WHOLE, 1), shape = shapeIn(layout, WHOLE), start = runtime.bytesInUse;
    bn.forward(data(WHOLE, 2), shape);
    const before = [bn.stateDict(), bn.context, bn.backward(x)];
    expectRefusal(() => call(bn, x, shape), refusal);
    expect([bn.stateDict(), bn.context, bn.backward(x)]).toEqual(before);
    expect(runtime.bytesInUse).toBe(start);
  });
});
