import { describe, expect, it } from 'vitest';
import { BatchNorm, createThreadedRuntime, type DType, type Layout, type Runtime } from '../../src/index.js';
import { normalise, sum } from '../oracle.js';
import {
  arrayOf, COMBINATIONS, distance, normal, permute, placesOf, RUNTIMES, random, SHAPES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

interface Setting {
  dtype: DType;
  layout: Layout;
  runtime: Runtime;
}

/** One training forward of channels-first values; y and statistics against the oracle, in units of their bounds. */
function compare(shape: readonly number[], values: ArrayLike<number>, { dtype, layout, runtime }: Setting, eps = 1e-5) {
  const bn = new BatchNorm(shape[1]!, { dtype, layout, runtime, eps });
  bn.weight!.forEach((_, c) => { bn.weight![c] = 1 + (c % 5) / 4; });
  bn.bias!.forEach((_, c) => { bn.bias![c] = (c % 3) / 2 - 0.5; });
  const x = arrayOf(dtype, permute(values, shape, layout));
  const y = bn.forward(x, shapeIn(layout, shape));
  const { mean, variance } = bn.context!;
  let worstY = 0, worstVariance = 0, worstMean = 0, meanOverStd = 0;
  placesOf(shape, layout).forEach((places, c) => {
    const weight = bn.weight![c]!;
    const expected = normalise(places.map((place) => x[place]!), weight, bn.bias![c]!, eps);
    worstY = Math.max(worstY, distance(places.map((place) => y[place]!), expected.y, () => weight));
    worstVariance = Math.max(worstVariance, Math.abs(variance[c]! / expected.variance - 1));
    worstMean = Math.max(worstMean, Math.abs(mean[c]! - expected.mean) / Math.sqrt(expected.variance));
    meanOverStd = Math.max(meanOverStd, Math.abs(expected.mean) / Math.sqrt(expected.variance));
  });
  return { y: worstY, variance: worstVariance, mean: worstMean, meanOverStd };
}

/** Whether position m of 64 k positions is one of 8, 16 or 32 evenly spread ones, or next to one: from those a shift may be taken. */
const isSampled = (m: number) => (m + 1) % 64 < 3;

describe.each(COMBINATIONS)('accuracy of $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const setting = { dtype, layout, runtime: RUNTIMES[kind] };

  it.each(SHAPES)('holds the bounds on %j at several means', (...shape) => {
    for (const mean of [0, -1e2, 1e4]) {
      const worst = compare(shape, normal(sizeOf(shape), 1, mean), setting);
      // Threads merge parts of few values. Their means are rounded by u, and a square changes by twice as much; then the merged mean is rounded.
      const merged = kind === 'wasm-threads' ? 2 * worst.meanOverStd : 0;
      expect(worst.variance).toBeLessThan(tolerance.variance(dtype, merged));
      expect(worst.mean).toBeLessThan(tolerance.mean(dtype, Math.max(Math.abs(mean), merged)));
      expect(worst.y).toBeLessThan(tolerance.y(dtype, Math.max(Math.abs(mean), merged)));
    }
  });

  it.each([
    [[100, 2, 1000]], [[100000, 3]], [[4, 2, 25000]],
  ])('holds them on 1e5 values a channel at mean / std of 0 to 1e6: %j', (shape) => {
    for (const mean of [0, 1e2, 1e4, 1e6]) {
      const worst = compare(shape, normal(sizeOf(shape), 2, mean), setting);
      // An array of 2.4 MB goes through the stage in parts, whose means are rounded.
      expect(worst.variance).toBeLessThan(tolerance.variance(dtype, mean));
      expect(worst.y).toBeLessThan(tolerance.y(dtype, mean));
    }
  });

  it('holds them on an array of 10 MB, as a tensor and staged', () => {
    const shape = [40, 129, 500], channels = [0, 63, 128], mean = 1e4;
    const values = normal(sizeOf(shape), 7, mean), laidOut = shapeIn(layout, shape);
    const x = arrayOf(dtype, permute(values, shape, layout)), places = placesOf(shape, layout);
    const bn = new BatchNorm(129, setting);
    const tensor = setting.runtime.tensor(laidOut, { dtype, data: x });
    const y = bn.forward(tensor);
    const ofTensor = { y: y.data.slice(), context: bn.context! };
    tensor.dispose();
    y.dispose();
    const ofArray = { y: bn.forward(x, laidOut), context: bn.context! };
    for (const { y, context } of [ofTensor, ofArray]) {
      for (const c of channels) {
        const expected = normalise(places[c]!.map((place) => x[place]!), 1, 0, bn.eps);
        expect(Math.abs(context.variance[c]! / expected.variance - 1)).toBeLessThan(tolerance.variance(dtype, mean));
        expect(distance(places[c]!.map((place) => y[place]!), expected.y, () => 1))
          .toBeLessThan(tolerance.y(dtype, mean));
      }
    }
  }, 20_000);

  it.each([[[64, 2, 100]], [[6400, 2]]])('holds them where the data is unkind to a shift: %j', (shape) => {
    const n = sizeOf(shape), noise = normal(n, 3), half = n / 2;
    const unkind: Record<string, (i: number) => number> = {
      'a step of the level': (i) => noise[i]! + (i < half ? 0 : 1e4),
      'a ramp': (i) => noise[i]! + (1e4 * i) / n,
      'one outlier in front': (i) => (i < 2 ? 1e6 : noise[i]! + 100),
      'rare outliers': (i) => (i % 997 === 5 ? 1e6 : noise[i]!),
      'two values': (i) => (i % 3 === 0 ? 1e4 : 1e4 + 1),
    };
    for (const [name, value] of Object.entries(unkind)) {
      const worst = compare(shape, noise.map((_, i) => value(i)), setting);
      expect(worst.variance, name).toBeLessThan(tolerance.variance(dtype));
      expect(worst.y, name).toBeLessThan(tolerance.y(dtype, 1e4) * (name.includes('outlier') ? 10 : 1));
    }
  });

  it('finds a better shift where every sampled value is far from the mean', () => {
    const count = 4096;
    for (const shape of [[count, 2], [count, 16], [4, 2, count / 4]]) {
      const values = normal(sizeOf(shape), 4, 1e5);
      placesOf(shape, 'channels-first').forEach((places) => {
        places.forEach((place, m) => { if (isSampled(m)) values[place] = 0; });
      });
      const worst = compare(shape, values, setting);
      expect(worst.variance).toBeLessThan(tolerance.variance(dtype));
    }
  });

  it('gives exactly the bias for a constant channel', () => {
    for (const shape of [[7, 3], [2, 3, 49], [300, 3], [1, 3, 1000], [3, 5, 2, 2]]) {
      const channels = shape[1]!;
      for (const constant of [0, 100, -0.1, 1e7, 3e38, 1e-40]) {
        const bn = new BatchNorm(channels, setting);
        bn.bias!.forEach((_, c) => { bn.bias![c] = c - 0.3; });
        const x = arrayOf(dtype, new Array<number>(sizeOf(shape)).fill(constant));
        const y = bn.forward(x, shapeIn(layout, shape));
        placesOf(shape, layout).forEach((places, c) => {
          for (const place of places) expect(y[place]).toBe(bn.bias![c]);
        });
        expect(Array.from(bn.context!.variance)).toEqual(new Array(channels).fill(0));
      }
    }
  });

  it('gives the bias where variance and eps are both 0', () => {
    const bn = new BatchNorm(2, { ...setting, eps: 0 });
    bn.bias!.fill(0.25);
    const shape = shapeIn(layout, [3, 2, 2]);
    expect(Array.from(bn.forward(arrayOf(dtype, new Array(12).fill(5)), shape))).toEqual(new Array(12).fill(0.25));
    expect(Array.from(bn.backward(arrayOf(dtype, normal(12, 5))).dx)).toEqual(new Array(12).fill(0));
  });
});

/**
 * Data on which every sum is exact in any order: pairs mean + d, mean - d with d of few bits, so that sums of
 * deviations and of their squares need no more bits than float32 has. Mean and variance are then known to the bit.
 */
function exactChannel(count: number, mean: number, bits: number, uniform: () => number) {
  const values: number[] = [];
  let squares = 0;
  while (values.length + 1 < count) {
    const d = Math.floor(uniform() * 2 ** bits);
    values.push(mean + d, mean - d);
    squares += 2 * d * d;
  }
  if (values.length < count) values.push(mean);
  return { values, variance: squares / count };
}

/** What ships, with one slice for small tensors: merging several rounds their means. */
const uncut = createThreadedRuntime({ threads: 2 });

describe.each(COMBINATIONS)('exact data in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  it.each([...SHAPES, [64, 3, 196], [1000, 5], [2, 3, 4096]])('gives mean and variance bit for bit on %j', (...shape) => {
    const channels = shape[1]!, count = sizeOf(shape) / channels;
    const bits = Math.max(Math.floor((24 - Math.ceil(Math.log2(count))) / 2) - 1, 1);
    for (const exponent of [-1, 0, 4]) {
      const mean = exponent < 0 ? 0 : 2 ** (bits + exponent), uniform = random(6 + exponent);
      const expected = Array.from({ length: channels }, () => exactChannel(count, mean, bits, uniform));
      const x = arrayOf(dtype, new Array<number>(channels * count).fill(0));
      placesOf(shape, layout).forEach((places, c) => {
        places.forEach((place, m) => { x[place] = expected[c]!.values[m]!; });
      });
      const runtime = kind === 'wasm-threads' ? uncut : RUNTIMES[kind], bn = new BatchNorm(channels, { dtype, layout, runtime }), tensor = runtime.tensor(shapeIn(layout, shape), { dtype, data: x });
      bn.forward(tensor).dispose();
      tensor.dispose();
      expect(Array.from(bn.context!.mean)).toEqual(new Array(channels).fill(mean));
      expect(Array.from(bn.context!.variance)).toEqual(expected.map(({ variance }) => variance));
    }
  });

  it.each([[[4096, 2]], [[4, 2, 1024]], [[1024, 2, 2, 2]]])('gives them where every sampled value is far from the mean: %j', (shape) => {
    // The mean has 12 digits after the point, so that squares of deviations from it have too many for float32.
    const count = 4096, values = Array.from({ length: count }, (_, m) => (isSampled(m) ? 0 : m % 3 === 0 ? 3 : 5));
    const mean = sum(values) / count, variance = sum(values.map((value) => value * value)) / count - mean * mean;
    for (const level of [0, 1e6]) {
      const x = arrayOf(dtype, new Array<number>(2 * count).fill(0));
      for (const places of placesOf(shape, layout)) places.forEach((place, m) => { x[place] = level + values[m]!; });
      const bn = new BatchNorm(2, { dtype, layout, runtime: kind === 'wasm-threads' ? uncut : RUNTIMES[kind] });
      bn.forward(x, shapeIn(layout, shape));
      expect([...bn.context!.mean]).toEqual([level + mean, level + mean]);
      expect([...bn.context!.variance]).toEqual([variance, variance]);
    }
  });
});

describe.each(COMBINATIONS)('numbers that leave the range of a type, of $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], values = [1, -1, 2, 0, 0.5, -3, 2.5, 1.5], incoming = [1, -1, 2, 0, 0.5, -1, 1, 0.25];

  it.each([Number.MIN_VALUE, 1e-300, 1e-80])('a constant channel gives the bias, and dx is 0 for a constant dy: eps %d', (eps) => {
    for (const training of [true, false]) {
      const bn = new BatchNorm(1, { dtype, layout, runtime, eps }).train(training);
      bn.weight!.fill(-1.5);
      bn.bias!.fill(0.5);
      bn.runningMean!.fill(3);
      bn.runningVar!.fill(0);
      const y = bn.forward(arrayOf(dtype, new Array(8).fill(3)), [8, 1]);
      expect(Array.from(y)).toEqual(new Array(8).fill(0.5));
      const { dx } = bn.backward(arrayOf(dtype, incoming));
      expect(dx.some(Number.isNaN)).toBe(false);
      const { dx: none } = bn.backward(arrayOf(dtype, new Array(8).fill(2)));
      // Relative to the slope, in place of which float32 has 2 ** 100.
      const slope = dtype === 'float32' ? 2 ** 100 : 1.5 / Math.sqrt(eps);
      if (training) for (const value of none) expect(Math.abs(value) / slope).toBeLessThanOrEqual(16 * tolerance.U[dtype]);
    }
  });

  // Powers of two, so that x has the digits of the values: about 1e-17, and in float64 1e-105 and 1e-150.
  it.each(dtype === 'float32' ? [-56] : [-56, -349, -498])('dx is that of unit variance over the scale: 2 ** %d with eps 0', (exponent) => {
    const scale = 2 ** exponent;
    const dxOf = (x: readonly number[]) => {
      const bn = new BatchNorm(1, { dtype, layout, runtime, eps: 0 });
      bn.forward(arrayOf(dtype, x), [8, 1]);
      return Array.from(bn.backward(arrayOf(dtype, incoming)).dx);
    };
    const unit = dxOf(values), small = dxOf(values.map((value) => value * scale)).map((value) => value * scale);
    expect(distance(small, unit)).toBeLessThanOrEqual(16 * tolerance.U[dtype]);
  });
});
