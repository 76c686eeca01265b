import { describe, expect, it } from 'vitest';
import {
  affineCoefficients, gradientCoefficients, inverseStd, linearCoefficients, parameterGradients, slopes, varianceFromM2,
} from '../src/formulas.js';
import { differentiate, normalise, sum } from './oracle.js';
import { normal } from './setup.js';

describe('formulas', () => {
  const x = normal(50, 1, 1e3, 2), dy = normal(50, 2), eps = 1e-3, weight = 1.5, bias = -0.25;
  const { mean, variance, y } = normalise(x, weight, bias, eps);
  const one = (value = 0) => Float64Array.of(value);

  const rstd = one(), slope = one();
  inverseStd(rstd, one(variance), eps);
  slopes(slope, one(weight), rstd);

  it('turn m2 into the biased variance', () => {
    const m2 = one(50 * variance);
    varianceFromM2(m2, 50);
    expect(m2[0]).toBeCloseTo(variance, 12);
  });

  it('take 0 for the inverse of a standard deviation of 0, and a slope without weight for rstd', () => {
    const result = Float64Array.of(7, 7);
    inverseStd(result, Float64Array.of(0, 4), 0);
    expect(Array.from(result)).toEqual([0, 0.5]);
    slopes(result, null, Float64Array.of(3, 4));
    expect(Array.from(result)).toEqual([3, 4]);
  });

  it('make up in the offset for what a rounded shift lacks of the mean', () => {
    const shift = new Float32Array(1), scale = one(), offset = one();
    affineCoefficients(shift, scale, offset, one(mean), slope, one(bias));
    expect(shift[0]).toBe(Math.fround(mean));
    expect(shift[0]).not.toBe(mean);
    x.forEach((value, i) => { expect((value - shift[0]!) * scale[0]! + offset[0]!).toBeCloseTo(y[i]!, 12); });
  });

  it('give the gradients of section 3 from two sums', () => {
    const shift = Float64Array.of(mean + 0.125), total = one(sum(dy));
    const dot = one(sum(dy.map((value, i) => value * (x[i]! - shift[0]!))));
    const dweight = one(), dbias = one(), p = one(), q = one(), r = one();
    parameterGradients(dweight, dbias, dot, total, shift, one(mean), rstd);
    gradientCoefficients(p, q, r, total, dot, shift, one(mean), rstd, slope, 50);
    const expected = differentiate(dy, x, weight, mean, variance, eps, 'batch');
    expect(dweight[0]).toBeCloseTo(expected.dweight, 10);
    expect(dbias[0]).toBeCloseTo(expected.dbias, 12);
    expected.dx.forEach((value, i) => {
      expect(dy[i]! * p[0]! + ((x[i]! - shift[0]!) * q[0]! + r[0]!)).toBeCloseTo(value, 12);
    });
  });

  it('are linear where the statistics are constants', () => {
    const shift = one(9), scale = one(9), offset = one(9);
    linearCoefficients(shift, scale, offset, slope);
    expect([shift[0], scale[0], offset[0]]).toEqual([0, slope[0], 0]);
  });
});
