import { describe, expect, it } from 'vitest';
import {
  affineCoefficients, gradientCoefficients, inverseStd, linearCoefficients, meanShift, parameterGradients,
} from '../src/formulas.js';
import { differentiate, normalise, sum } from './oracle.js';
import { normal } from './setup.js';

describe('formulas', () => {
  const x = normal(50, 1, 1e3, 2), dy = normal(50, 2), eps = 1e-3, weight = 1.5, bias = -0.25;
  const { mean, variance, y } = normalise(x, weight, bias, eps);
  const one = (value = 0) => Float64Array.of(value);

  /** Two channels, the second of which is the one looked at. */
  const range = { channelStart: 1, channels: 1 };
  const numbersOf = () => [0, 0, 0, 0, mean, variance, Number.NaN, Number.NaN];
  const second = (value: number) => Float64Array.of(Number.NaN, value);
  const filled = numbersOf();
  affineCoefficients(one(), one(), one(), filled, second(weight), second(bias), eps, range);

  it('take 0 for the inverse of a standard deviation of 0', () => {
    expect([inverseStd(0, 0), inverseStd(4, 0), inverseStd(3, 1)]).toEqual([0, 0.5, 0.5]);
  });

  it('leave rstd and slope for the backward, and other channels alone', () => {
    const rstd = 1 / Math.sqrt(variance + eps);
    expect(filled).toEqual([0, 0, 0, 0, mean, variance, rstd, weight * rstd]);
    const numbers = numbersOf(), offset = one();
    affineCoefficients(one(), one(), offset, numbers, null, null, eps, range);
    expect([numbers[7], offset[0]]).toEqual([rstd, 0]);
  });

  it('make up in the offset for what a rounded shift lacks of the mean', () => {
    const shift = new Float32Array(1), scale = one(), offset = one();
    affineCoefficients(shift, scale, offset, numbersOf(), second(weight), second(bias), eps, range);
    expect(shift[0]).toBe(Math.fround(mean));
    expect(shift[0]).not.toBe(mean);
    x.forEach((value, i) => { expect((value - shift[0]!) * scale[0]! + offset[0]!).toBeCloseTo(y[i]!, 12); });
  });

  it('give the gradients of section 3 from two sums', () => {
    const shift = Float64Array.of(mean + 0.125), total = one(sum(dy));
    const dot = one(sum(dy.map((value, i) => value * (x[i]! - shift[0]!))));
    const dweight = second(0), dbias = second(0), p = one(), q = one(), r = one();
    parameterGradients(dweight, dbias, dot, total, shift, filled, range);
    gradientCoefficients(p, q, r, total, dot, shift, filled, 50, range);
    const expected = differentiate(dy, x, weight, mean, variance, eps, 'batch');
    expect(dweight[1]).toBeCloseTo(expected.dweight, 10);
    expect(dbias[1]).toBeCloseTo(expected.dbias, 12);
    expected.dx.forEach((value, i) => {
      expect(dy[i]! * p[0]! + ((x[i]! - shift[0]!) * q[0]! + r[0]!)).toBeCloseTo(value, 12);
    });
  });

  it('are linear where the statistics are constants', () => {
    const shift = one(9), scale = one(9), offset = one(9);
    linearCoefficients(shift, scale, offset, filled, range);
    expect([shift[0], scale[0], offset[0]]).toEqual([0, filled[7], 0]);
  });

  it('round the mean to the type of the shift', () => {
    const shift = new Float32Array(1);
    meanShift(shift, filled, range);
    expect(shift[0]).toBe(Math.fround(mean));
  });
});
