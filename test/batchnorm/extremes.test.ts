import { describe, expect, it } from 'vitest';
import { BatchNorm, type DType, moments } from '../../src/index.js';
import { differentiate, normalise } from '../oracle.js';
import { arrayOf, COMBINATIONS, distance, maskOf, normal, placesOf, RUNTIMES, shapeIn, sizeOf } from '../setup.js';
import * as tolerance from '../tolerances.js';

/** Powers of two: about 1e19, 1e25 and 1e37, 1e-19, 1e-25 and 1e-38; in float64 1e154 and 1e-154 as well. */
const EXPONENTS: Record<DType, number[]> = { float32: [63, 84, 123, -63, -84, -126], float64: [63, -84, 500, -500, 900, -900] };

/** Shapes [N, 3, ...] of every walk. */
const SHAPES = [[40, 3], [5, 3, 7], [9, 3, 2], [2, 3, 400]];

describe.each(COMBINATIONS)('values near the limits of a type, of $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], allowed = 64 * tolerance.U[dtype] + 1e-13;
  const make = (relu: boolean) => {
    const bn = new BatchNorm(3, { dtype, layout, runtime, eps: 0, activation: relu ? 'relu' : 'none' });
    bn.weight!.set([1.5, -0.5, 2]);
    bn.bias!.set([0.25, 1, -1]);
    return bn;
  };

  it.each(EXPONENTS[dtype].flatMap((exponent) => SHAPES.map((shape) => ({ exponent, shape }))))(
    'a channel times 2 ** $exponent gives the same y and dweight, and the gradient over that: $shape', ({ exponent, shape }) => {
      const scale = 2 ** exponent, laidOut = shapeIn(layout, shape), places = placesOf(shape, layout);
      const x = arrayOf(dtype, normal(sizeOf(shape), 1, 0.5)), scaled = x.slice();
      for (const place of places[1]!) scaled[place]! *= scale;
      const dy = arrayOf(dtype, normal(sizeOf(shape), 2)), residual = arrayOf(dtype, normal(sizeOf(shape), 3));
      const mask = maskOf(sizeOf(shape) / 3, 4);
      for (const [relu, withResidual, masked] of [[false, false, false], [true, false, true], [true, true, false], [true, true, true]]) {
        const options = { ...(withResidual && { residual }), ...(masked && { mask }) };
        const run = (values: typeof x) => {
          const bn = make(relu!), y = bn.forward(values, laidOut, options), { mean, variance } = bn.context!;
          return { y, mean, variance, ...bn.backward(dy) };
        };
        const unit = run(x), far = run(scaled);
        // What a variance of 1e541 or 1e-541 is in float64.
        const variance = Math.abs(exponent) === 900 ? scale * scale : unit.variance[1]! * scale * scale;
        expect(variance === far.variance[1] || Math.abs(far.variance[1]! / variance - 1) < allowed).toBe(true);
        expect(far.mean[1]! / scale).toBeCloseTo(unit.mean[1]!, dtype === 'float32' ? 5 : 12);
        expect(distance(far.y, unit.y)).toBeLessThan(allowed);
        // The last digits of a gradient of 1e-38 are below the least number of float32.
        const least = dtype === 'float32' ? 2 ** -149 * scale : 0;
        for (const place of places[1]!) far.dx[place]! *= scale;
        if (scale < 2 ** 120) expect(distance(far.dx, unit.dx)).toBeLessThan(allowed + least);
        expect(distance(far.dweight!, unit.dweight!)).toBeLessThan(8 * allowed);
        expect(distance(far.dbias!, unit.dbias!)).toBeLessThan(8 * allowed);
      }
    },
  );

  it('agrees with the formulas on the largest and least finite values', () => {
    const largest = dtype === 'float32' ? 3.4028234663852886e38 : 2 ** 1010, least = dtype === 'float32' ? 2 ** -149 : 2 ** -1000;
    for (const unit of [largest, least]) {
      const bn = new BatchNorm(1, { dtype, layout, runtime, eps: 0 });
      const x = arrayOf(dtype, [unit, -unit, 0, unit, unit, -unit, 0]), dy = arrayOf(dtype, normal(7, 5));
      const ones = Array.from(x, (value) => value / unit), expected = normalise(ones, 1, 0, 0);
      expect(distance(bn.forward(x, [7, 1]), expected.y)).toBeLessThan(allowed);
      const gradient = differentiate(Array.from(dy), ones, 1, expected.mean, expected.variance, 0, 'batch');
      expect(bn.backward(dy).dweight![0]).toBeCloseTo(gradient.dweight, 5);
      const { mean, m2 } = moments(x, [7, 1], { layout, runtime });
      expect(mean[0]! / unit).toBeCloseTo(expected.mean, 6);
      if (dtype === 'float32') expect(m2[0]! / 7 / unit / unit).toBeCloseTo(expected.variance, 6);
    }
  });

  it('lets an infinite gradient stay out where a ReLU is closed, by statistics of one value', () => {
    const bn = new BatchNorm(1, { dtype, layout, runtime, activation: 'relu', onSingleValue: 'zero' });
    bn.bias!.fill(1);
    const statistics = { count: 1, mean: Float64Array.of(0), m2: Float64Array.of(0) };
    bn.forwardWith(statistics, arrayOf(dtype, [-1, 2]), [2, 1]);
    const dy = arrayOf(dtype, [Number.POSITIVE_INFINITY, 1]);
    expect(Array.from(bn.backwardWith(bn.backwardSums(dy), dy).dx, Math.abs)).toEqual([0, 0]);
  });
});
