import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type Floats } from '../../src/index.js';
import { differences, normalise, sum } from '../oracle.js';
import {
  arrayOf, COMBINATIONS, distance, KINDS, LAYOUTS, maskOf, normal, placesOf, RUNTIMES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

interface Corrected { y: number[]; dx: number[]; dweight: number; dbias: number; r: number; d: number }

/** Ioffe 2017, arXiv 1702.03275, Alg. 1 and its gradients term by term, for which r and d are constants. */
function renormalise(
  x: readonly number[], dy: readonly number[], weight: number, bias: number, eps: number,
  running: { mean: number; variance: number }, rMax: number, dMax: number,
): Corrected {
  const m = x.length, { mean, variance } = normalise(x, 1, 0, eps), std = Math.sqrt(variance + eps);
  const sigma = Math.sqrt(running.variance + eps);
  const clip = (value: number, least: number, most: number) => Math.min(Math.max(value, least), most);
  const r = clip(std / sigma, 1 / rMax, rMax), d = clip((mean - running.mean) / sigma, -dMax, dMax);
  const xhat = x.map((value) => ((value - mean) / std) * r + d);
  const dxhat = dy.map((value) => value * weight);
  const dstd = sum(dxhat.map((value, i) => value * (x[i]! - mean) * (-r / std ** 2)));
  const dmean = sum(dxhat.map((value) => value * (-r / std)));
  const dx = dxhat.map((value, i) => (value * r) / std + (dstd * (x[i]! - mean)) / (m * std) + dmean / m);
  const dweight = sum(dy.map((value, i) => value * xhat[i]!)), dbias = sum([...dy]);
  return { y: xhat.map((value) => weight * value + bias), dx, dweight, dbias, r, d };
}

const SHAPE = [6, 4, 7], RUNNING = { mean: [2.1, -3, 2, 9], variance: [8, 0.5, 70, 9] };
const LIMITS = [{ rMax: 1.5, dMax: 0.4 }, { rMax: 3, dMax: 5 }, { rMax: 1, dMax: 2 }, { rMax: 2, dMax: 0 }];

function make(kind: (typeof KINDS)[number], options: BatchNormOptions) {
  const bn = new BatchNorm(4, { runtime: RUNTIMES[kind], ...options });
  bn.weight?.set([1.5, -0.5, 2, 1]);
  bn.bias?.set([0.3, -0.2, 0, 1]);
  bn.runningMean!.set(RUNNING.mean);
  bn.runningVar!.set(RUNNING.variance);
  return bn;
}

describe.each(COMBINATIONS)('batch renormalization in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const shape = shapeIn(layout, SHAPE), size = sizeOf(SHAPE), places = placesOf(SHAPE, layout);
  const of = (options: BatchNormOptions) => make(kind, { dtype, layout, ...options });
  const data = (seed: number, mean = 2, std = 3) => arrayOf(dtype, normal(size, seed, mean, std));

  const cases = LIMITS.flatMap((renorm) => [{ renorm, masked: false }, { renorm, masked: true }]);
  it.each(cases)('is Alg. 1 of Ioffe 2017, forward and backward: $renorm, masked $masked', ({ renorm, masked }) => {
    const bn = of({ renorm: { ...renorm } }), plain = of({}), x = data(1), dy = data(2, 0, 1), mask = maskOf(42, 3);
    const options = masked ? { mask } : {};
    const y = bn.forward(x, shape, options), { dx, dweight, dbias } = bn.backward(dy), clipped = new Set<boolean>();
    places.forEach((all, c) => {
      const counted = masked ? all.filter((_, m) => mask[m]) : all;
      const pick = (values: Floats) => counted.map((place) => values[place]!);
      const running = { mean: arrayOf(dtype, RUNNING.mean)[c]!, variance: arrayOf(dtype, RUNNING.variance)[c]! };
      const { rMax, dMax } = renorm, weight = bn.weight![c]!, bias = bn.bias![c]!;
      const expected = renormalise(pick(x), pick(dy), weight, bias, bn.eps, running, rMax, dMax);
      clipped.add(Math.abs(expected.d) === renorm.dMax);
      // Weights of up to 2 and r of up to 3 multiply the bounds of y and dx.
      const scale = 2 * renorm.rMax;
      expect(distance(pick(y), expected.y)).toBeLessThanOrEqual(scale * tolerance.y(dtype, 1));
      expect(distance(pick(dx), expected.dx)).toBeLessThanOrEqual(scale * tolerance.GOLDEN[dtype].dx);
      expect(distance([dweight![c]!], [expected.dweight]))
        .toBeLessThanOrEqual(scale * tolerance.GOLDEN[dtype].parameters);
      expect(distance([dbias![c]!], [expected.dbias])).toBeLessThanOrEqual(scale * tolerance.GOLDEN[dtype].parameters);
    });
    if (renorm.dMax > 0 && renorm.dMax < 5) expect(clipped).toEqual(new Set([true, false]));
    plain.forward(x, shape, options);
    expect(bn.stateDict()).toEqual(plain.stateDict());
    expect(bn.context).toMatchObject({ mode: 'batch', mean: plain.context!.mean, variance: plain.context!.variance });
  });

  it.each(LIMITS)('is Alg. 1 with a weight of 1 where there is none: $rMax, $dMax', (renorm) => {
    const bn = of({ renorm, weight: false }), x = data(1), dy = data(2, 0, 1), y = bn.forward(x, shape), { dx, dweight, dbias } = bn.backward(dy);
    places.forEach((all, c) => {
      const pick = (values: Floats) => all.map((place) => values[place]!);
      const running = { mean: arrayOf(dtype, RUNNING.mean)[c]!, variance: arrayOf(dtype, RUNNING.variance)[c]! };
      const expected = renormalise(pick(x), pick(dy), 1, bn.bias![c]!, bn.eps, running, renorm.rMax, renorm.dMax);
      expect(distance(pick(y), expected.y)).toBeLessThanOrEqual(renorm.rMax * tolerance.y(dtype, 1));
      expect(distance(pick(dx), expected.dx)).toBeLessThanOrEqual(renorm.rMax * tolerance.GOLDEN[dtype].dx);
      expect(distance([dbias![c]!], [expected.dbias])).toBeLessThanOrEqual(renorm.rMax * tolerance.GOLDEN[dtype].parameters);
    });
    expect(dweight).toBeNull();
  });

  it('with rMax 1 and dMax 0 equals plain batch normalization', () => {
    const bn = of({ renorm: { rMax: 1, dMax: 0 } }), plain = of({}), x = data(1), dy = data(2);
    expect(distance(bn.forward(x, shape), plain.forward(x, shape))).toBe(0);
    const gradients = bn.backward(dy), expected = plain.backward(dy);
    for (const name of ['dx', 'dweight', 'dbias'] as const) expect(distance(gradients[name]!, expected[name]!)).toBe(0);
  });

  it('without limits that bind gives what eval gives', () => {
    const bn = of({ renorm: { rMax: 1e6, dMax: 1e6 }, momentum: 0 }), x = data(1), y = bn.forward(x, shape);
    expect(distance(y, bn.eval().forward(x, shape))).toBeLessThanOrEqual(tolerance.BETWEEN * 4 * tolerance.y(dtype, 1));
  });

  it.each(['eval', 'frozen'] as const)('leaves %s as it is', (mode) => {
    const bn = of({ renorm: { rMax: 3, dMax: 5 } }), plain = of({}), x = data(1), dy = data(2);
    for (const each of [bn, plain]) {
      if (mode === 'eval') each.eval();
      else each.freeze();
    }
    expect(bn.forward(x, shape)).toEqual(plain.forward(x, shape));
    expect(bn.backward(dy)).toEqual(plain.backward(dy));
  });

  it('reads its limits at every forward, and keeps those of a forward for its backward', () => {
    const bn = of({ renorm: { rMax: 1, dMax: 0 }, momentum: 0 }), x = data(1), dy = data(2);
    const first = bn.forward(x, shape), context = bn.context!, gradients = bn.backward(dy);
    Object.assign(bn.renorm!, { rMax: 3, dMax: 5 });
    expect(bn.renorm).toEqual({ rMax: 3, dMax: 5 });
    expect(bn.backward(dy)).toEqual(gradients);
    const second = bn.forward(x, shape);
    expect(distance(first, second)).toBeGreaterThan(0.1);
    expect(second).toEqual(of({ renorm: { rMax: 3, dMax: 5 } }).forward(x, shape));
    bn.runningVar!.fill(1e4);
    expect(bn.backward(dy, { context })).toEqual(gradients);
    expect(of({}).renorm).toBeNull();
  });

  it('goes with ReLU, a residual, and neither weight nor bias', () => {
    const x = data(1), z = data(2), dy = data(3), renorm = { rMax: 1.5, dMax: 0.4 };
    const linear = of({ renorm, weight: false, bias: false });
    const relu = of({ renorm, weight: false, bias: false, activation: 'relu' });
    for (const residual of [null, z]) {
      const options = { updateStats: false, ...(residual && { residual }) };
      const y = linear.forward(x, shape, options);
      const passed = dy.map((value, i) => (y[i]! > 0 ? value : 0)) as Float32Array;
      expect(relu.forward(x, shape, options)).toEqual(y.map((value) => Math.max(value, 0)));
      expect(distance(relu.backward(dy).dx, linear.backward(passed).dx))
        .toBeLessThanOrEqual(tolerance.BETWEEN * tolerance.GOLDEN[dtype].dx);
      if (residual) expect(distance(relu.backward(dy).dresidual!, passed)).toBe(0);
    }
  });

  it('holds for arrays of several groups in the stage', () => {
    const large = [2, 4, 60_001], x = arrayOf(dtype, normal(sizeOf(large), 4, 2, 3));
    const bn = of({ renorm: { rMax: 3, dMax: 5 }, momentum: 0 });
    const y = bn.forward(x, shapeIn(layout, large));
    placesOf(large, layout).forEach((all, c) => {
      const running = { mean: bn.runningMean![c]!, variance: bn.runningVar![c]! }, xs = all.map((place) => x[place]!);
      const expected = renormalise(xs, xs, bn.weight![c]!, bn.bias![c]!, bn.eps, running, 3, 5);
      expect(distance(all.map((place) => y[place]!), expected.y)).toBeLessThanOrEqual(6 * tolerance.y(dtype, 1));
    });
  });

  it.each([
    [{ rMax: 0.9, dMax: 0 }, RangeError, '"rMax" expected a number from 1'],
    [{ rMax: Number.NaN, dMax: 0 }, RangeError, 'got NaN'],
    [{ rMax: 1, dMax: -1 }, RangeError, '"dMax" expected a number from 0'],
    [{ rMax: 1, dMax: Number.POSITIVE_INFINITY }, RangeError, 'got Infinity'],
    [{ rMax: '2', dMax: 1 }, TypeError, '"rMax" expected a number, got string'],
    [{ rMax: 2 }, TypeError, '"dMax" expected a number, got undefined'],
    [{ rMax: 2, dMax: 1, rMin: 0.5 }, TypeError, 'got "rMin"'],
    [true, TypeError, 'renorm() expected an object of options, got true'],
    [null, TypeError, 'got null'],
  ])('refuses %j, also where it has become that', (renorm, error, message) => {
    expect(() => of({ renorm: renorm as never })).toThrow(error as typeof TypeError);
    expect(() => of({ renorm: renorm as never })).toThrow(message);
    if (typeof renorm !== 'object' || renorm === null) return;
    const bn = of({ renorm: { rMax: 1, dMax: 0 } }), before = bn.stateDict(), out = data(9);
    if (!('dMax' in renorm)) (bn.renorm as { dMax: unknown }).dMax = undefined;
    Object.assign(bn.renorm!, renorm);
    expect(() => bn.forward(data(1), shape, { out })).toThrow(message);
    expect([bn.stateDict(), bn.context, out]).toEqual([before, null, data(9)]);
  });

  it('refuses a module without running statistics', () => {
    expect(() => new BatchNorm(1, { renorm: { rMax: 1, dMax: 0 }, trackRunningStats: false }))
      .toThrow('"renorm" expected running statistics');
  });
});

const doubles = KINDS.flatMap((kind) => LAYOUTS.map((layout) => ({ kind, layout })));
describe.each(doubles)('finite differences of batch renormalization in $kind $layout', ({ kind, layout }) => {
  it('with r and d held constant agree with dx, dweight and dbias', () => {
    const shape = shapeIn(layout, SHAPE), places = placesOf(SHAPE, layout), limits = { rMax: 1.5, dMax: 0.4 };
    const x = Float64Array.from(normal(sizeOf(SHAPE), 1, 2, 3)), dy = Float64Array.from(normal(sizeOf(SHAPE), 2));
    const bn = make(kind, { dtype: 'float64', layout, renorm: limits });
    bn.forward(x, shape);
    const gradients = bn.backward(dy);
    // Alg. 1 with r and d as they are at x is plain batch normalization with weight * r and bias + weight * d.
    const plain = new BatchNorm(4, { dtype: 'float64', layout, runtime: RUNTIMES[kind] });
    const constants = places.map((all, c) => renormalise(
      all.map((place) => x[place]!), all.map(() => 0), 1, 0, bn.eps,
      { mean: RUNNING.mean[c]!, variance: RUNNING.variance[c]! }, limits.rMax, limits.dMax,
    ));
    const loss = () => {
      constants.forEach(({ r, d }, c) => {
        plain.weight![c] = bn.weight![c]! * r;
        plain.bias![c] = bn.bias![c]! + bn.weight![c]! * d;
      });
      return plain.forward(x, shape).reduce((total, value, i) => total + value * dy[i]!, 0);
    };
    for (const [values, gradient] of [
      [x, gradients.dx], [bn.weight!, gradients.dweight!], [bn.bias!, gradients.dbias!],
    ] as const) {
      differences(values, loss).forEach((difference, i) => {
        expect(Math.abs(difference - gradient[i]!)).toBeLessThan(tolerance.FINITE_DIFFERENCES);
      });
    }
  });
});
