import { describe, expect, it } from 'vitest';
import { BatchNorm } from '../../src/index.js';
import { differences, differentiate } from '../oracle.js';
import {
  arrayOf, COMBINATIONS, distance, KINDS, LAYOUTS, normal, permute, placesOf, RUNTIMES, SHAPES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

describe.each(COMBINATIONS)('backward of $kind $dtype $layout', ({ kind, dtype, layout }) => {
  it.each(SHAPES)('follows the chain of section 3 on %j, in both modes', (...shape) => {
    const channels = shape[1]!, size = sizeOf(shape), count = size / channels;
    const bn = new BatchNorm(channels, { dtype, layout, runtime: RUNTIMES[kind] });
    bn.weight!.set(normal(channels, 1, 1, 0.3));
    const x = arrayOf(dtype, permute(normal(size, 2, 5, 2), shape, layout));
    const dy = arrayOf(dtype, permute(normal(size, 3), shape, layout));
    for (const mode of ['batch', 'running'] as const) {
      bn.train(mode === 'batch').forward(x, shapeIn(layout, shape));
      const { dx, dweight, dbias } = bn.backward(dy);
      placesOf(shape, layout).forEach((places, c) => {
        const { mean, variance } = bn.context!;
        const weight = bn.weight![c]!, xs = places.map((place) => x[place]!), dys = places.map((place) => dy[place]!);
        const expected = differentiate(dys, xs, weight, mean[c]!, variance[c]!, bn.eps, mode);
        // With two values per channel dx is almost 0: a difference of terms of size weight / std.
        const scale = Math.max(1, Math.abs(weight) / Math.sqrt(variance[c]! + bn.eps));
        const bound = tolerance.GOLDEN[dtype].dx * scale;
        const largest = Math.max(1, ...expected.dx.map(Math.abs));
        expect(distance(places.map((place) => dx[place]!), expected.dx, () => largest)).toBeLessThan(bound);
        const xhat = xs.map((value) => Math.abs(value - mean[c]!) / Math.sqrt(variance[c]! + bn.eps));
        const terms = xhat.reduce((total, value, i) => total + value * Math.abs(dys[i]!), 0);
        expect(Math.abs(dweight![c]! - expected.dweight)).toBeLessThan(tolerance.sums(dtype) * terms + 1e-12);
        expect(Math.abs(dbias![c]! - expected.dbias)).toBeLessThan(tolerance.sums(dtype) * Math.sqrt(count) * count);
        if (mode === 'batch') {
          const total = places.reduce((sum, place) => sum + dx[place]!, 0);
          expect(Math.abs(total), 'sum of dx').toBeLessThan(bound * count);
        }
      });
    }
  });
});

const doubles = KINDS.flatMap((kind) => LAYOUTS.map((layout) => ({ kind, layout })));

describe.each(doubles)('finite differences in $kind $layout', ({ kind, layout }) => {
  const shape = [3, 4, 5], size = sizeOf(shape), laidOut = shapeIn(layout, shape);
  const make = (eps = 1e-5) => new BatchNorm(4, { dtype: 'float64', layout, runtime: RUNTIMES[kind], eps });
  const dy = arrayOf('float64', normal(size, 4));
  const loss = (y: ArrayLike<number>) => Array.from(y).reduce((total, value, i) => total + value * dy[i]!, 0);

  it.each(['train', 'eval'] as const)('agree with dx, dweight and dbias in %s', (mode) => {
    const bn = make();
    bn.weight!.set(normal(4, 5, 1, 0.3));
    bn.bias!.set(normal(4, 6));
    const x = arrayOf('float64', normal(size, 7, 1, 2));
    bn.forward(x, laidOut);
    bn[mode]();
    bn.forward(x, laidOut, { updateStats: false });
    const { dx, dweight, dbias } = bn.backward(dy);
    const evaluate = () => loss(bn.forward(x, laidOut, { updateStats: false }));
    for (const [values, gradient] of [[x, dx], [bn.weight!, dweight!], [bn.bias!, dbias!]] as const) {
      differences(values as Float64Array, evaluate).forEach((difference, i) => {
        expect(Math.abs(difference - gradient[i]!)).toBeLessThan(tolerance.FINITE_DIFFERENCES);
      });
    }
  });

  it('are not met by a gradient that takes the statistics as constants (paper, section 2)', () => {
    const bn = make();
    const x = arrayOf('float64', normal(size, 8));
    bn.forward(x, laidOut);
    const dx = bn.backward(dy).dx;
    bn.runningMean!.set(bn.context!.mean);
    bn.runningVar!.set(bn.context!.variance);
    bn.eval().forward(x, laidOut);
    const constant = bn.backward(dy).dx;
    expect(Math.max(...dx.map((value, i) => Math.abs(value - constant[i]!)))).toBeGreaterThan(0.1);
  });

  it('see no scale of the input at eps = 0 (paper, 3.3)', () => {
    const scale = 7, x = arrayOf('float64', normal(size, 9)), bn = make(0);
    const y = bn.forward(x, laidOut), dx = bn.backward(dy).dx;
    const scaled = x.map((value) => scale * value);
    const scaledY = bn.forward(scaled, laidOut), scaledDx = bn.backward(dy).dx;
    y.forEach((value, i) => { expect(Math.abs(scaledY[i]! - value)).toBeLessThan(1e-13); });
    dx.forEach((value, i) => { expect(Math.abs(scale * scaledDx[i]! - value)).toBeLessThan(1e-13); });
    // Nothing of the gradient points along the input: the loss does not change with its scale.
    const along = x.reduce((total, value, i) => total + value * dx[i]!, 0);
    expect(Math.abs(along)).toBeLessThan(1e-12);
  });
});
