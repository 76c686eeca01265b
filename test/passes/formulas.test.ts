import { describe, expect, it } from 'vitest';
import {
  affineCoefficients, centerDot, normalise as fill, gradientCoefficients, inverseStd, linearCoefficients, meanShift, normaliseInto,
  parameterGradients, renormalise,
} from '../../src/passes/formulas.js';
import { differentiate, normalise, sum } from '../oracle.js';
import { normal } from '../setup.js';

describe('formulas', () => {
  const x = normal(50, 1, 1e3, 2), dy = normal(50, 2), eps = 1e-3, weight = 1.5, bias = -0.25;
  const { mean, variance, y } = normalise(x, weight, bias, eps);
  const one = (value = 0) => Float64Array.of(value);

  /** Two channels, the second of which is the one looked at. */
  const range = { channelStart: 1, channels: 1 };
  const tableOf = () => [0, 0, 0, 0, 0, mean, variance, Number.NaN, Number.NaN, Number.NaN];
  const second = (value: number) => Float64Array.of(Number.NaN, value);
  const filled = tableOf();
  fill(filled, second(weight), second(bias), eps, range);

  it('take 0 for the inverse of a standard deviation of 0', () => {
    expect([inverseStd(0, 0), inverseStd(4, 0), inverseStd(3, 1)]).toEqual([0, 0.5, 0.5]);
  });

  it('leave rstd, slope and intercept for the backward, and other channels alone', () => {
    const rstd = 1 / Math.sqrt(variance + eps);
    expect(filled).toEqual([0, 0, 0, 0, 0, mean, variance, rstd, weight * rstd, bias]);
    const table = tableOf();
    fill(table, null, null, eps, range);
    expect(table.slice(8)).toEqual([rstd, 0]);
  });

  it('make up in the offset for what a rounded shift lacks of the mean', () => {
    const shift = new Float32Array(1), scale = one(), offset = one();
    affineCoefficients(shift, scale, offset, filled, range);
    expect(shift[0]).toBe(Math.fround(mean));
    expect(shift[0]).not.toBe(mean);
    x.forEach((value, i) => { expect((value - shift[0]!) * scale[0]! + offset[0]!).toBeCloseTo(y[i]!, 12); });
  });

  it.each([
    ['ordinary', variance, eps], ['constant', 0, eps], ['constant without eps', 0, 0], ['beyond the kernels', 2 ** 130, eps],
    ['beyond float32', 1e-80, 0], ['not a number', Number.NaN, eps],
  ])('give the same bits in one loop as one after the other: %s', (_, someVariance, someEps) => {
    for (const FloatArray of [Float32Array, Float64Array]) {
      for (const [w, b] of [[second(weight), second(bias)], [null, null]] as const) {
        const results = () => [new FloatArray(1), new FloatArray(1), new FloatArray(1)] as const;
        const table = tableOf(), expected = tableOf(), [shift, scale, offset] = results(), others = results();
        table[6] = expected[6] = someVariance;
        const extreme = normaliseInto(shift, scale, offset, table, w, b, someEps, range);
        fill(expected, w, b, someEps, range);
        expect(extreme).toBe(affineCoefficients(...others, expected, range));
        expect(table).toEqual(expected);
        expect([shift, scale, offset]).toEqual(others);
      }
    }
  });

  it('give the gradients of section 3 from two sums', () => {
    const shift = Float64Array.of(mean + 0.125), total = one(sum(dy));
    const dot = one(sum(dy.map((value, i) => value * (x[i]! - shift[0]!))));
    const dweight = second(0), dbias = second(0), p = one(), q = one(), r = one();
    centerDot(dot, total, shift, filled, range);
    parameterGradients(dweight, dbias, total, dot, filled, null, range);
    gradientCoefficients(p, q, r, total, dot, shift, filled, 50, range);
    const expected = differentiate(dy, x, weight, mean, variance, eps, 'batch');
    expect(dweight[1]).toBeCloseTo(expected.dweight, 10);
    expect(dbias[1]).toBeCloseTo(expected.dbias, 12);
    expected.dx.forEach((value, i) => {
      expect(dy[i]! * p[0]! + ((x[i]! - shift[0]!) * q[0]! + r[0]!)).toBeCloseTo(value, 12);
    });
  });

  it('do not let a single value through', () => {
    const p = one(9), q = one(9), r = one(9);
    gradientCoefficients(p, q, r, one(3), one(0), one(mean), filled, 1, range);
    expect([p[0]! + 0, q[0]! + 0, r[0]! + 0]).toEqual([0, 0, 0]);
  });

  it.each([Float32Array, Float64Array])('name the channels whose coefficients leave the range of %o', (FloatArray) => {
    const large = FloatArray === Float32Array ? 1e45 : 1e308, some = () => FloatArray.of(0);
    const coefficients = (dot: number) =>
      gradientCoefficients(some(), some(), some(), one(0), one(dot), FloatArray.of(0), filled, 50, range);
    expect(coefficients(1)).toHaveLength(0);
    expect(coefficients(large)).toEqual([0]);
    // What is not finite in float64 either is that of the data.
    expect(coefficients(Infinity)).toHaveLength(0);
  });

  it('are linear where the statistics are constants', () => {
    const p = one(9), q = one(9), r = one(9);
    linearCoefficients(p, q, r, filled, range);
    expect([p[0], q[0], r[0]]).toEqual([filled[8], 0, 0]);
  });

  it('renormalise towards the running statistics as far as the limits go', () => {
    const runningMean = second(mean - 1), runningVar = second(variance / 4);
    const renormalised = (rMax: number, dMax: number) => {
      const table = [...filled], renorm = { r: second(0), d: second(0), rMax, dMax, runningMean, runningVar };
      renormalise(renorm, table, second(weight), eps, range);
      return { r: renorm.r[1]!, d: renorm.d[1]!, slope: table[8]!, intercept: table[9]! };
    };
    const runningStd = Math.sqrt(variance / 4 + eps);
    const free = renormalised(100, 100);
    expect(free.r).toBeCloseTo(Math.sqrt(variance + eps) / runningStd, 12);
    expect(free.d).toBeCloseTo(1 / runningStd, 12);
    expect(free.slope).toBeCloseTo(weight / runningStd, 12);
    expect(free.intercept).toBeCloseTo(bias + (weight * 1) / runningStd, 12);
    expect(renormalised(1.5, 0.25)).toMatchObject({ r: 1.5, d: 0.25 });
    expect(renormalised(1, 0)).toEqual({ r: 1, d: 0, slope: filled[8], intercept: bias });
  });

  it('round the mean to the type of the shift', () => {
    const shift = new Float32Array(1);
    meanShift(shift, filled, range);
    expect(shift[0]).toBe(Math.fround(mean));
  });
});
