import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, diagnose } from '../../src/index.js';
import { normalise } from '../oracle.js';
import { expectRefusal, type Refusal } from '../refusal.js';
import { arrayOf, COMBINATIONS, distance, makeRuntime, normal, placesOf, RUNTIMES, shapeIn, sizeOf } from '../setup.js';
import * as tolerance from '../tolerances.js';

const SHAPE = [6, 4, 5];

describe.each(COMBINATIONS)('diagnosis in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], shape = shapeIn(layout, SHAPE), places = placesOf(SHAPE, layout);
  const make = (options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(4, { dtype, layout, runtime, ...options });
    bn.runningMean?.set([1, -2, 3, 0]);
    bn.runningVar?.set([4, 1, 0.25, 9]);
    return bn;
  };
  const data = () => arrayOf(dtype, normal(sizeOf(SHAPE), 1, 2, 3));

  it('measures how far the running statistics are from a batch', () => {
    const bn = make(), x = data(), { meanShift, varianceRatio, dead, nonFinite } = diagnose(bn, x, shape);
    places.forEach((of, c) => {
      const { mean, variance } = normalise(of.map((place) => x[place]!), 1, 0, 1), running = bn.runningVar![c]!;
      const std = Math.sqrt(running + bn.eps);
      // The bound of the mean is in deviations of the batch, up to 3.5 here.
      expect(Math.abs(meanShift[c]! - (mean - bn.runningMean![c]!) / std))
        .toBeLessThanOrEqual((4 * tolerance.mean(dtype, 1)) / std);
      expect(Math.abs(varianceRatio[c]! - variance / running))
        .toBeLessThanOrEqual((tolerance.variance(dtype, 1) * variance) / running);
    });
    expect([dead, nonFinite]).toEqual([new Uint8Array(4), new Uint32Array(4)]);
  });

  it('is near 0 and 1 right after a batch of momentum 1', () => {
    const bn = make({ momentum: 1, runningVariance: 'biased', eps: 0 });
    bn.forward(data(), shape);
    const { meanShift, varianceRatio } = diagnose(bn, data(), shape);
    expect(distance(meanShift, [0, 0, 0, 0])).toBeLessThanOrEqual(tolerance.GOLDEN[dtype].running);
    expect(distance(varianceRatio, [1, 1, 1, 1])).toBeLessThanOrEqual(tolerance.GOLDEN[dtype].running);
  });

  it('looks at the positions that a mask lets pass', () => {
    const bn = make(), x = data(), y = x.slice(), positions = SHAPE[0]! * SHAPE[2]!;
    const mask = Uint8Array.from({ length: positions }, (_, i) => (i % 3 === 0 ? 0 : 1));
    for (const of of places) of.forEach((place, i) => { if (mask[i] === 0) x[place] = i % 2 ? Number.NaN : 1e9; });
    y[places[2]![1]!] = x[places[2]![1]!] = Number.POSITIVE_INFINITY;
    const { nonFinite, meanShift, dead } = diagnose(bn, x, shape, { mask });
    expect(nonFinite).toEqual(Uint32Array.of(0, 0, 1, 0));
    expect(meanShift).toEqual(diagnose(bn, y, shape, { mask }).meanShift);
    expect(dead).toEqual(new Uint8Array(4));
    expect(diagnose(bn, x, shape, { mask: new Uint8Array(positions) })).toEqual({
      meanShift: new Float64Array(4), varianceRatio: new Float64Array(4).fill(1), dead: new Uint8Array(4),
      nonFinite: new Uint32Array(4),
    });
  });

  it('finds channels whose output does not depend on x', () => {
    const bn = make(), x = data();
    for (const place of places[1]!) x[place] = 0.1;
    bn.weight![3] = 0;
    expect(diagnose(bn, x, shape).dead).toEqual(Uint8Array.of(0, 1, 0, 1));
    expect(diagnose(make({ weight: false }), x, shape).dead).toEqual(Uint8Array.of(0, 1, 0, 0));
  });

  it('counts values that are not finite, in their channel', () => {
    const x = data();
    const { NaN: nan, POSITIVE_INFINITY, NEGATIVE_INFINITY } = Number;
    for (const [c, m, value] of [
      [0, 0, nan], [2, 0, POSITIVE_INFINITY], [2, 29, NEGATIVE_INFINITY], [2, 7, nan],
    ] as const) x[places[c]![m]!] = value;
    const { nonFinite, meanShift, dead } = diagnose(make(), x, shape), clean = diagnose(make(), data(), shape);
    expect(nonFinite).toEqual(Uint32Array.of(1, 0, 3, 0));
    expect([meanShift[1], meanShift[3]]).toEqual([clean.meanShift[1], clean.meanShift[3]]);
    expect(dead).toEqual(new Uint8Array(4));
    const one = new BatchNorm(1, { dtype, layout, runtime });
    expect(diagnose(one, arrayOf(dtype, [1, Number.NaN, 3, 4]), shapeIn(layout, [2, 1, 2])).nonFinite)
      .toEqual(Uint32Array.of(1));
  });

  it('says 0 and 1 without running statistics, and of a batch without values', () => {
    const nothing = {
      meanShift: new Float64Array(4), varianceRatio: new Float64Array(4).fill(1), dead: new Uint8Array(4),
      nonFinite: new Uint32Array(4),
    };
    expect(diagnose(make({ trackRunningStats: false }), data(), shape)).toEqual(nothing);
    expect(diagnose(make(), arrayOf(dtype, []), shapeIn(layout, [0, 4, 5]))).toEqual(nothing);
  });

  it('takes tensors as arrays', () => {
    const x = data(), start = runtime.bytesInUse;
    x[3] = Number.NaN;
    const tensor = runtime.tensor(shape, { dtype, data: x });
    expect(diagnose(make(), tensor, shape).nonFinite).toEqual(diagnose(make(), x, shape).nonFinite);
    tensor.dispose();
    expect(runtime.bytesInUse).toBe(start);
  });

  it('changes nothing', () => {
    const bn = make({ onNonFinite: 'error' }), x = data();
    bn.forward(x, shape);
    const gradients = bn.backward(x), { context } = bn, before = bn.stateDict();
    diagnose(bn, x, shape);
    expect(x).toEqual(data());
    expect([bn.stateDict(), bn.training]).toEqual([before, true]);
    expect(bn.context).toBe(context);
    expect(bn.backward(x)).toEqual(gradients);
  });

  it('computes where the module does', () => {
    const own = makeRuntime(kind), bn = make({ runtime: own });
    own.dispose();
    expect(() => diagnose(bn, data(), shape)).toThrow('runtime expected to be in use');
    expect(diagnose(bn, data(), shape, { runtime })).toEqual(diagnose(make(), data(), shape));
  });

  it.each(Object.entries<Refusal<[BatchNorm]>>({
    'no module': { throws: TypeError, message: 'diagnose() expected a BatchNorm, got undefined',
      call: () => diagnose(undefined as never, data(), shape) },
    'no array': { throws: TypeError, message: '"x" expected', call: (bn) => diagnose(bn, null as never, shape) },
    'another length': { throws: RangeError, message: 'got length 119',
      call: (bn) => diagnose(bn, data().subarray(1), shape) },
    'other channels': { throws: RangeError, message: '"shape" expected 4 channels on axis 1',
      call: (bn) => diagnose(bn, arrayOf(dtype, [1, 2]), [1, 2]) },
    'no shape': { throws: TypeError, message: '"shape" expected',
      call: (bn) => diagnose(bn, data(), undefined as never) },
    'a misspelt option': { throws: TypeError, message: 'got "run"',
      call: (bn) => diagnose(bn, data(), shape, { run: 1 } as never) },
    'a runtime that is none': { throws: TypeError, message: '"runtime" expected',
      call: (bn) => diagnose(bn, data(), shape, { runtime: {} as never }) },
  }))('throws for %s and changes nothing', (_, { call, ...refusal }) => {
    const bn = make(), before = bn.stateDict();
    expectRefusal(() => call(bn), refusal);
    expect(bn.stateDict()).toEqual(before);
  });
});
