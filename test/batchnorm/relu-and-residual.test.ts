import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type ForwardContext, type Tensor } from '../../src/index.js';
import { BROWSER } from '../host.js';
import { differences, differentiate, normalise } from '../oracle.js';
import { expectRefusal, type Refusal } from '../refusal.js';
import {
  arrayOf, COMBINATIONS, distance, everything, KINDS, LAYOUTS, makeRuntime, normal, permute, placesOf, RUNTIMES, random, SHAPES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

const MODES = ['train', 'eval', 'frozen'] as const;

function enter(bn: BatchNorm, mode: (typeof MODES)[number]): BatchNorm {
  if (mode === 'eval') return bn.unfreeze().eval();
  return mode === 'train' ? bn.unfreeze().train() : bn.train().freeze();
}

describe.each(COMBINATIONS)('relu and residual in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const make = (channels: number, options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(channels, { dtype, layout, runtime, activation: 'relu', ...options });
    bn.weight!.set(normal(channels, 1, 1, 0.3));
    bn.bias!.set(normal(channels, 2));
    bn.runningMean!.set(normal(channels, 3, 5));
    bn.runningVar!.set(normal(channels, 4, 4, 0.5));
    return bn;
  };
  const data = (shape: readonly number[], seed: number, mean = 0, std = 1) =>
    arrayOf(dtype, permute(normal(sizeOf(shape), seed, mean, std), shape, layout));
  const small = [4, 3, 5], laid = shapeIn(layout, small);

  const variants = SHAPES.flatMap((shape, i) => [
    { shape, relu: true, residual: false, masked: i % 2 === 1 },
    { shape, relu: true, residual: true, masked: i % 2 === 0 },
    { shape, relu: false, residual: true, masked: i % 3 === 0 },
  ]);

  it.each(variants)('follow the paper and the chain rule on $shape: relu $relu, residual $residual, masked $masked', (variant) => {
    const { shape, relu, residual, masked } = variant;
    const channels = shape[1]!, n = sizeOf(shape) / channels, laidOut = shapeIn(layout, shape), uniform = random(9);
    const mask = Uint8Array.from({ length: n }, (_, i) => (!masked || i >= n - 2 || uniform() < 0.6 ? 1 : 0));
    const bn = make(channels, { activation: relu ? 'relu' : 'none', momentum: 0 });
    const x = data(shape, 5, 5, 2), z = data(shape, 6), dy = data(shape, 7);
    for (const places of placesOf(shape, layout)) {
      places.forEach((place, m) => {
        if (mask[m] === 0) x[place] = z[place] = dy[place] = m % 2 ? Number.NaN : Number.POSITIVE_INFINITY;
      });
    }
    for (const mode of MODES) {
      const options = { ...(residual && { residual: z }), ...(masked && { mask }) };
      const y = enter(bn, mode).forward(x, laidOut, options);
      const { dx, dweight, dbias, dresidual } = bn.backward(dy);
      expect(dresidual === null).toBe(!residual);
      const errors = { y: 0, dx: 0, dresidual: 0, dweight: 0, dbias: 0, masked: 0 };
      const count = mask.filter(Boolean).length;
      placesOf(shape, layout).forEach((all, c) => {
        const places = all.filter((_, m) => mask[m] !== 0), weight = bn.weight![c]!;
        const given = mode === 'train' ? undefined : { mean: bn.runningMean![c]!, variance: bn.runningVar![c]! };
        const xs = places.map((place) => x[place]!), expected = normalise(xs, weight, bn.bias![c]!, bn.eps, given);
        const gs = places.map((place) => (relu && y[place]! <= 0 ? 0 : dy[place]!));
        const std = Math.sqrt(expected.variance + bn.eps);
        const statistics = mode === 'train' ? 'batch' : 'running';
        const gradients = differentiate(gs, xs, weight, expected.mean, expected.variance, bn.eps, statistics);
        const largest = gradients.dx.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        const scale = Math.max(1, Math.abs(weight) / std) * largest;
        places.forEach((place, m) => {
          const affine = expected.y[m]! + (residual ? z[place]! : 0), wanted = relu ? Math.max(affine, 0) : affine;
          errors.y = Math.max(errors.y, Math.abs(y[place]! - wanted) / Math.max(1, Math.abs(expected.y[m]!)));
          errors.dx = Math.max(errors.dx, Math.abs(dx[place]! - gradients.dx[m]!) / scale);
          if (dresidual) errors.dresidual = Math.max(errors.dresidual, Math.abs(dresidual[place]! - gs[m]!));
        });
        all.forEach((place, m) => {
          if (mask[m] !== 0) return;
          const largest = Math.max(...[y, dx, dresidual].map((values) => Math.abs(values?.[place] ?? 0)));
          errors.masked = Math.max(errors.masked, largest);
        });
        const terms = xs.reduce((total, value, m) => total + Math.abs(((value - expected.mean) / std) * gs[m]!), 0);
        const allowed = {
          dweight: tolerance.sums(dtype) * terms + 1e-12, dbias: tolerance.sums(dtype) * Math.sqrt(count) * count,
        };
        errors.dweight = Math.max(errors.dweight, Math.abs(dweight![c]! - gradients.dweight) / allowed.dweight);
        errors.dbias = Math.max(errors.dbias, Math.abs(dbias![c]! - gradients.dbias) / allowed.dbias);
      });
      expect(errors.y).toBeLessThan(tolerance.GOLDEN[dtype].y);
      expect(errors.dx).toBeLessThan(tolerance.GOLDEN[dtype].dx);
      expect(errors).toMatchObject({ dresidual: 0, masked: 0 });
      expect(errors.dweight).toBeLessThan(1);
      expect(errors.dbias).toBeLessThan(1);
    }
  });

  it.each([[7, 5], [4, 3, 9], [3, 5, 7, 7]])('give tensors and arrays the same bits on %j', (...shape) => {
    const start = runtime.bytesInUse, laidOut = shapeIn(layout, shape);
    const tensors = [5, 6, 7].map((seed) => runtime.tensor(laidOut, { dtype, data: data(shape, seed) }));
    const [x, z, dy] = tensors as [Tensor, Tensor, Tensor];
    for (const residual of [false, true]) {
      const ofArrays = make(shape[1]!), ofTensors = make(shape[1]!);
      for (const mode of MODES) {
        const y = enter(ofTensors, mode).forward(x, residual ? { residual: z } : {});
        const given = residual ? { residual: data(shape, 6) } : {};
        const expected = enter(ofArrays, mode).forward(data(shape, 5), laidOut, given);
        expect(y.data).toEqual(expected);
        const { dx, dresidual, ...parameters } = ofTensors.backward(dy), gradients = ofArrays.backward(data(shape, 7));
        expect({ ...parameters, dx: dx.data, dresidual: dresidual?.data ?? null }).toEqual(gradients);
        for (const tensor of [y, dx, dresidual]) tensor?.dispose();
      }
    }
    for (const tensor of tensors) tensor.dispose();
    expect(runtime.bytesInUse).toBe(start);
  });

  it('are the plain path followed by a maximum and an addition', () => {
    const plain = make(3, { activation: 'none' }), x = data(small, 5, 5, 2), expected = plain.forward(x, laid);
    expect(make(3).forward(x, laid)).toEqual(expected.map((value) => Math.max(value, 0)));
    const zero = arrayOf(dtype, new Array(60).fill(0));
    const added = make(3, { activation: 'none' }), y = added.forward(x, laid, { residual: zero });
    expect(distance(y, expected)).toBeLessThan(tolerance.GOLDEN[dtype].y);
    const dy = data(small, 7), gradients = plain.backward(dy), withZero = added.backward(dy);
    expect(withZero.dresidual).toEqual(dy);
    expect(distance(withZero.dx, gradients.dx)).toBeLessThan(tolerance.GOLDEN[dtype].dx);
  });

  it('say which tensor of the forward is gone that backward needs', () => {
    const bn = make(3), tensors = [5, 6, 7].map((seed) => runtime.tensor(laid, { dtype, data: data(small, seed) }));
    const [x, z, dy] = tensors as [Tensor, Tensor, Tensor];
    const start = runtime.bytesInUse, y = bn.forward(x, { residual: z });
    y.dispose();
    expect(() => bn.backward(dy)).toThrow(new TypeError(
      '"y", which backward() needs after a residual and a ReLU, expected to be in use, got one that has been disposed',
    ));
    expect(() => bn.backwardSums(dy)).toThrow('"y", which backward() needs after a residual and a ReLU,');
    expect(runtime.bytesInUse).toBe(start);
    bn.forward(x).dispose();
    x.dispose();
    expect(() => bn.backward(dy)).toThrow('"x", which backward() needs, expected to be in use, got one that has been disposed');
    expect(() => bn.forward(x)).toThrow('"x" expected to be in use, got one that has been disposed');
    for (const tensor of [z, dy]) tensor.dispose();
  });

  it('write over the residual, over x, and into out', () => {
    for (const mode of MODES) {
      const x = data(small, 5, 5, 2), z = data(small, 6), dy = data(small, 7), fresh = enter(make(3), mode);
      const y = fresh.forward(x, laid, { residual: z }), gradients = fresh.backward(dy);
      const over = enter(make(3), mode), sum = z.slice();
      expect(over.forward(x, laid, { residual: sum, out: sum })).toBe(sum);
      expect(sum).toEqual(y);
      expect(over.backward(dy)).toEqual(gradients);
      const out = dy.slice();
      expect(over.backward(out, { out }).dx).toBe(out);
      expect(out).toEqual(gradients.dx);
      const inPlace = x.slice(), bn = enter(make(3), mode);
      expect(bn.forward(inPlace, laid, { residual: z, out: inPlace })).toBe(inPlace);
      expect(inPlace).toEqual(y);
      expect(() => bn.backward(dy)).toThrow(TypeError);
      const tensors = [x, z, dy].map((values) => runtime.tensor(laid, { dtype, data: values }));
      const [xt, zt, dyt] = tensors as [Tensor, Tensor, Tensor];
      const ofTensors = enter(make(3), mode);
      expect(ofTensors.forward(xt, { residual: zt, out: zt })).toBe(zt);
      expect(zt.data).toEqual(y);
      const { dx, dresidual } = ofTensors.backward(dyt);
      expect([dx.data, dresidual!.data]).toEqual([gradients.dx, gradients.dresidual]);
      expect(() => ofTensors.backward(dyt, { out: zt })).toThrow(RangeError);
      for (const tensor of [...tensors, dx, dresidual!]) tensor.dispose();
    }
  });

  it('take x itself as the residual', () => {
    const x = data(small, 5, 5, 2), bn = make(3), other = make(3);
    expect(bn.forward(x, laid, { residual: x })).toEqual(other.forward(x, laid, { residual: x.slice() }));
    expect(bn.backward(data(small, 7))).toEqual(other.backward(data(small, 7)));
  });

  it('know x when it is written over by way of another view', () => {
    const x = data(small, 5), bn = make(3);
    bn.forward(x, laid, { out: x.subarray() });
    expect(() => bn.backward(data(small, 7))).toThrow(TypeError);
    const kept = data(small, 5), z = data(small, 6), y = bn.forward(kept, laid, { residual: z });
    expect(() => bn.backward(data(small, 7), { out: kept.subarray() })).toThrow(RangeError);
    expect(() => bn.backward(data(small, 7), { out: y.subarray() })).toThrow(RangeError);
    expect(kept).toEqual(data(small, 5));
  });

  it('let NaN pass', () => {
    for (const residual of [false, true]) {
      const x = data(small, 5, 5, 2), z = data(small, 6), bn = make(3).eval();
      (residual ? z : x)[7] = Number.NaN;
      const y = bn.forward(x, laid, residual ? { residual: z } : {}), dy = data(small, 7);
      expect(Array.from(y.keys()).filter((i) => Number.isNaN(y[i]))).toEqual([7]);
      const { dresidual } = bn.backward(dy);
      if (residual) expect(dresidual![7]).toBe(dy[7]);
    }
  });

  it('have no gradient where y is exactly 0', () => {
    const x = arrayOf(dtype, [0, 0, 1, -1, 0, 2, 0, -2]), dy = arrayOf(dtype, [1, 2, 3, 4, 5, 6, 7, 8]), shape = [4, 2];
    const bn = new BatchNorm(2, { dtype, layout, runtime, activation: 'relu', eps: 0 }).eval();
    expect(bn.forward(x, shape)).toEqual(arrayOf(dtype, [0, 0, 1, 0, 0, 2, 0, 0]));
    expect(bn.backward(dy).dx).toEqual(arrayOf(dtype, [0, 0, 3, 0, 0, 6, 0, 0]));
    const z = arrayOf(dtype, [0, 1, -1, 1, 0, -1, 1, 3]);
    expect(bn.forward(x, shape, { residual: z })).toEqual(arrayOf(dtype, [0, 1, 0, 0, 0, 1, 1, 1]));
    const { dx, dresidual, dbias } = bn.backward(dy);
    expect(dx).toEqual(arrayOf(dtype, [0, 2, 0, 0, 0, 6, 7, 8]));
    expect(dresidual).toEqual(dx);
    expect(dbias).toEqual(arrayOf(dtype, [7, 16]));
  });

  it('find the sign of a forward again whatever has become of y, bias, weight and statistics', () => {
    for (const mode of MODES) {
      const bn = enter(make(3), mode), x = data(small, 5, 5, 2), dy = data(small, 7), y = bn.forward(x, laid);
      const context = bn.context!;
      const expected = bn.backward(dy);
      y.fill(-1);
      bn.bias!.fill(100);
      bn.weight!.fill(-3);
      bn.resetRunningStats();
      expect(bn.backward(dy, { context })).toEqual(expected);
      bn.forward(data(small, 8), laid);
      expect(bn.backward(dy, { context })).toEqual(expected);
    }
  });

  it.each(Object.entries<Refusal<[BatchNorm]>>({
    'a residual of another length': { throws: RangeError, message: '"residual" expected',
      call: (bn) => bn.forward(data(small, 5), laid, { residual: arrayOf(dtype, [1]) }) },
    'a residual of another dtype': { throws: TypeError, message: '"residual" expected',
      call: (bn) => {
        const otherDtype = dtype === 'float32' ? 'float64' : 'float32';
        bn.forward(data(small, 5), laid, { residual: arrayOf(otherDtype, normal(60, 6)) });
      } },
    'a residual that is no array': { throws: TypeError, message: '"residual" expected',
      call: (bn) => bn.forward(data(small, 5), laid, { residual: 1 as never }) },
    'a residual that is null': { throws: TypeError, message: '"residual" expected',
      call: (bn) => bn.forward(data(small, 5), laid, { residual: null as never }) },
    'a tensor as the residual of an array': { throws: TypeError, message: '"residual" expected a typed array',
      call: (bn) => {
        const residual = runtime.tensor(laid, { dtype });
        try {
          bn.forward(data(small, 5), laid, { residual: residual as never });
        } finally {
          residual.dispose();
        }
      } },
    'an array as the residual of a tensor': { throws: TypeError, message: '"residual" expected a Tensor',
      call: (bn) => {
        const x = runtime.tensor(laid, { dtype });
        try {
          bn.forward(x, { residual: data(small, 5) as never });
        } finally {
          x.dispose();
        }
      } },
    'a tensor of another shape as the residual': { throws: RangeError, message: '"residual" expected shape',
      call: (bn) => {
        const x = runtime.tensor(laid, { dtype }), residual = runtime.tensor([60], { dtype });
        try {
          bn.forward(x, { residual });
        } finally {
          x.dispose();
          residual.dispose();
        }
      } },
    'out that overlaps x in part': { throws: RangeError, message: '"out" expected to be "x" itself',
      call: (bn) => {
        const buffer = arrayOf(dtype, normal(61, 1));
        bn.forward(buffer.subarray(1), laid, { out: buffer.subarray(0, 60), residual: data(small, 6) });
      } },
    'out that overlaps the residual in part': { throws: RangeError, message: '"out" expected to be "residual" itself',
      call: (bn) => {
        const buffer = arrayOf(dtype, normal(61, 1));
        bn.forward(data(small, 5), laid, { out: buffer.subarray(0, 60), residual: buffer.subarray(1) });
      } },
    'out that is x where the residual overlaps it in part': { throws: RangeError,
      message: '"out" expected to be "residual" itself',
      call: (bn) => {
        const buffer = arrayOf(dtype, normal(61, 1)), x = buffer.subarray(1);
        bn.forward(x, laid, { out: x, residual: buffer.subarray(0, 60) });
      } },
  }))('refuse %s, and nothing has changed', (_, { call, ...refusal }) => {
    const bn = make(3), start = runtime.bytesInUse;
    bn.forward(data(small, 5), laid);
    const before = everything(bn);
    expectRefusal(() => call(bn), refusal);
    expect(everything(bn)).toEqual(before);
    expect(runtime.bytesInUse).toBe(start);
  });
});

const doubles = KINDS.flatMap((kind) => LAYOUTS.flatMap((layout) => MODES.flatMap((mode) => [
  { kind, layout, mode, residual: false, masked: false }, { kind, layout, mode, residual: true, masked: false },
  { kind, layout, mode, residual: false, masked: true }, { kind, layout, mode, residual: true, masked: true },
])));

const NAME = 'finite differences through a ReLU in $kind $layout $mode, residual $residual, masked $masked';
describe.each(doubles)(NAME, ({ kind, layout, mode, residual, masked }) => {
  it('agree with dx, dresidual, dweight and dbias', () => {
    const shape = [3, 4, 5], size = sizeOf(shape), laidOut = shapeIn(layout, shape);
    const bn = new BatchNorm(4, { dtype: 'float64', layout, runtime: RUNTIMES[kind], activation: 'relu' });
    bn.weight!.set(normal(4, 5, 1, 0.3));
    bn.bias!.set(normal(4, 6));
    bn.runningMean!.set(normal(4, 7, 1));
    const x = arrayOf('float64', normal(size, 8, 1, 2)), z = arrayOf('float64', normal(size, 9));
    const dy = arrayOf('float64', normal(size, 10));
    const mask = Uint8Array.from({ length: 15 }, (_, i) => (i % 4 === 1 ? 0 : 1));
    const options = { updateStats: false, ...(residual && { residual: z }), ...(masked && { mask }) };
    const evaluate = () => {
      const y = enter(bn, mode).forward(x, laidOut, options);
      return y.reduce((total, value, i) => total + value * dy[i]!, 0);
    };
    // No y is so near 0 that a step of 1e-5 could change its sign.
    const near = enter(new BatchNorm(4, { dtype: 'float64', layout, runtime: RUNTIMES[kind] }), mode);
    near.loadStateDict(bn.stateDict());
    expect(near.forward(x, laidOut, options).every((value) => value === 0 || Math.abs(value) > 1e-4)).toBe(true);
    evaluate();
    const { dx, dresidual, dweight, dbias } = bn.backward(dy);
    const pairs = [[x, dx], [bn.weight!, dweight!], [bn.bias!, dbias!], ...(residual ? [[z, dresidual!]] : [])];
    for (const [values, gradient] of pairs as [Float64Array, Float64Array][]) {
      differences(values, evaluate).forEach((difference, i) => {
        expect(Math.abs(difference - gradient[i]!)).toBeLessThan(tolerance.FINITE_DIFFERENCES);
      });
    }
  });
});

/** Larger than what a stage holds of two or more arrays: as a whole, per channel, and in rows. */
const LARGE: readonly (readonly number[])[] = [[2, 2, 110_000], [3, 1, 150_000], [6_000, 40], [40, 60, 100]];

const staged = COMBINATIONS.filter(({ dtype }) => dtype === 'float32');
describe.each(staged)('relu and residual through a stage in $kind $layout', ({ kind, layout }) => {
  it.each(LARGE)('are those of tensors, on %j', (...shape) => {
    const channels = shape[1]!, size = sizeOf(shape), laidOut = shapeIn(layout, shape);
    const runtime = makeRuntime(kind);
    const fill = (seed: number, mean = 0) => {
      const next = random(seed);
      return Float32Array.from({ length: size }, () => mean + 3 * (next() - 0.5));
    };
    const x = fill(1, 2), z = fill(2), dy = fill(3, 0.1);
    const tensors = [x, z, dy].map((values) => runtime.tensor(laidOut, { data: values }));
    const [xt, zt, dyt] = tensors as [Tensor, Tensor, Tensor];
    for (const mode of MODES) {
      for (const residual of [false, true]) {
        const make = () => {
          const bn = enter(new BatchNorm(channels, { layout, runtime, activation: 'relu' }), mode);
          bn.runningMean!.fill(2.1);
          return bn;
        };
        const staged = make(), resident = make();
        const y = staged.forward(x, laidOut, residual ? { residual: z } : {});
        const yt = resident.forward(xt, residual ? { residual: zt } : {});
        expect(distance(y, yt.data)).toBeLessThan(2 * tolerance.GOLDEN.float32.y);
        // Gradients only where the signs agree: a y near 0 may be 0 in one of them and not in the other.
        const gradient = dy.map((value, i) => (y[i]! > 0 === yt.data[i]! > 0 ? value : 0));
        dyt.data.set(gradient);
        const gradients = staged.backward(gradient), ofTensors = resident.backward(dyt);
        expect(distance(gradients.dx, ofTensors.dx.data)).toBeLessThan(2 * tolerance.GOLDEN.float32.dx);
        if (residual) {
          expect(distance(gradients.dresidual!, gradient.map((value, i) => (y[i]! > 0 ? value : 0)))).toBe(0);
          expect(distance(gradients.dresidual!, ofTensors.dresidual!.data)).toBe(0);
        }
        // Sums of 1e5 products of size 1 are of size 300.
        expect(distance(gradients.dweight!, ofTensors.dweight!)).toBeLessThan(tolerance.GOLDEN.float32.parameters * 10);
        expect(distance(gradients.dbias!, ofTensors.dbias!)).toBeLessThan(tolerance.GOLDEN.float32.parameters * 10);
        for (const tensor of [yt, ofTensors.dx, ofTensors.dresidual]) tensor?.dispose();
      }
    }
    for (const tensor of tensors) tensor.dispose();
    expect(runtime.bytesInUse).toBe(0);
  });
});

describe.each(KINDS)('what fits into a stage at once in %s', (kind) => {
  // 1.6 MB: 401,408 floats of one array, or 200,704 of each of two.
  it.each([
    { shape: [40, 250, 40], residual: false }, { shape: [20, 250, 40], residual: true },
  ])('has the bits of tensors: $shape, residual $residual', ({ shape, residual }) => {
    const runtime = makeRuntime(kind), next = random(1);
    const values = () => Float32Array.from({ length: sizeOf(shape) }, () => next() + 3);
    const x = values(), z = values(), bn = new BatchNorm(40, { runtime, layout: 'channels-last' });
    const xt = runtime.tensor(shape, { data: x }), zt = runtime.tensor(shape, { data: z });
    const y = bn.forward(x, shape, residual ? { residual: z } : {});
    const yt = bn.forward(xt, residual ? { residual: zt } : {});
    // As it ships, a runtime with threads processes arrays outside of the memory that threads share, and cuts sums of large tensors.
    if (kind === 'wasm-threads' && BROWSER && sizeOf(shape) >= 262_144) {
      expect(distance(y, yt.data)).toBeLessThanOrEqual(2 * tolerance.BETWEEN * tolerance.y('float32', 1));
    } else {
      const bitsOfTensor = new Int32Array(yt.data.slice().buffer);
      expect(new Int32Array(y.buffer).every((bits, i) => bits === bitsOfTensor[i])).toBe(true);
    }
    for (const tensor of [xt, zt, yt]) tensor.dispose();
    expect(runtime.bytesInUse).toBe(0);
  });
});

describe.each(KINDS)('memory of relu and residual in %s', (kind) => {
  const shape = [2, 2, 8_000], size = 32_000;

  it('comes back to nothing, out of memory at whatever point', () => {
    // x, z, y, dx and dresidual take 128,000 bytes each, a mask 64,000: from no room for y to room for all.
    const reached = new Set<string>();
    for (let pages = 6; pages < 14; pages++) {
      const runtime = makeRuntime(kind, { maximumBytes: pages * 65536 });
      const bn = new BatchNorm(2, { runtime, activation: 'relu' });
      const tensors: Tensor[] = [], mask = new Uint8Array(16_000).fill(1);
      let step = 'nothing', inUse = 0, before = everything(bn), context: ForwardContext | null = null;
      const next = (name: string) => {
        step = name;
        inUse = runtime.bytesInUse;
        before = everything(bn);
        context = bn.context;
      };
      try {
        const make = (seed: number) => {
          tensors.push(runtime.tensor(shape, { data: normal(size, seed) }));
          return tensors.at(-1)!;
        };
        next('tensors');
        const x = make(1);
        next('tensors');
        const z = make(2);
        next('forward');
        tensors.push(bn.forward(x, { residual: z, mask }));
        next('backward');
        const { dx, dresidual } = bn.backward(z);
        tensors.push(dx, dresidual!);
        step = 'done';
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        expect(runtime.bytesInUse).toBe(inUse);
        expect(everything(bn)).toEqual(before);
        expect(bn.context).toBe(context);
      }
      reached.add(step);
      for (const tensor of tensors) tensor.dispose();
      expect(runtime.bytesInUse).toBe(0);
    }
    expect([...reached]).toEqual(['forward', 'backward', 'done']);
  });

  it('comes back to nothing through a stage that does not fit', () => {
    const runtime = makeRuntime(kind, { maximumBytes: 4 * 65536 });
    const bn = new BatchNorm(2, { runtime, activation: 'relu' });
    const x = new Float32Array(size), before = everything(bn);
    expect(() => bn.forward(x, shape, { residual: x.slice() })).toThrow(RangeError);
    expect(runtime.bytesInUse).toBe(0);
    expect(everything(bn)).toEqual(before);
  });
});
