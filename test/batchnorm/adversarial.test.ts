import { describe, expect, it } from 'vitest';
import { BatchNorm } from '../../src/index.js';
import { normalise, sum } from '../oracle.js';
import { random, standardNormal } from '../random.js';
import { arrayOf, COMBINATIONS, maskOf, normal, placesOf, RUNTIMES, shapeIn, sizeOf } from '../setup.js';
import * as tolerance from '../tolerances.js';

/** Shapes [N, C, ...] that take every walk: planes short, long and of whole blocks, rows wide and narrow, and rests of each. */
const SHAPES = [[960, 1], [20, 1, 48], [37, 3], [960, 20], [403, 66], [64, 3, 3], [16, 2, 49], [5, 2, 1200], [1, 2, 3136]];

/**
 * Data that is unkind to sums of squares in a short type, n values of a channel: equal addends round alike, large ones that come
 * first are rounded with every one after them, and what is rare at the sampled positions, or only there, makes a poor shift.
 */
function families(n: number, seed: number): Record<string, number[]> {
  const uniform = random(seed), normal = standardNormal(uniform);
  const [a, b] = [Math.fround(uniform() * 2 - 1), Math.fround(uniform() * 4 - 2)];
  const from = (value: (i: number) => number) => Array.from({ length: n }, (_, i) => Math.fround(value(i)));
  const sampled = from(() => 0), few = Math.max(2, Math.round(n * 0.0615)), high = Math.fround(0.8455514907836914);
  for (let s = 0; s < 8; s++) sampled[Math.floor(((2 * s + 1) * n) / 16)] = high;
  for (let j = 0, set = 8; set < few && j < n; j++) {
    if (sampled[(37 * j) % n] === 0) set++;
    sampled[(37 * j) % n] = high;
  }
  const period = [2, 3, 4, 5, 8, 16, 20, 64][seed % 8]!, cycle = Array.from({ length: period }, () => uniform() * 2 - 1);
  return {
    'two values, the rare one where samples were once taken': sampled,
    'two values, one of them rare': from(() => (uniform() < 0.06 ? b : a)),
    'two values alike': from(() => (uniform() < 0.5 ? b : a)),
    'a run of one value, then of another': from((i) => (i < n * 0.3 ? b : a)),
    'a short run of one value, then another': from((i) => (i < n * 0.12 ? b : a)),
    'a few values in a cycle': from((i) => cycle[i % period]!),
    'a large value, then small ones': from((i) => (i % 64 === 0 ? 1 : 2 ** -12.01)),
    'a ramp': from((i) => i / n),
    'rectified numbers': from(() => Math.max(normal(), 0)),
    'normal numbers far from 0': from(() => normal() + 1e3),
  };
}

// Of the bound of the variance a quarter is left, so that a channel whose shift stays poor is noticed.
describe.each(COMBINATIONS)('the bounds of $kind $dtype $layout', ({ kind, dtype, layout }) => {
  it.each(SHAPES.flatMap((shape) => [{ shape, masked: false }, { shape, masked: true }]))(
    'hold whatever the data: $shape, masked $masked', ({ shape, masked }) => {
      const channels = shape[1]!, n = sizeOf(shape) / channels, places = placesOf(shape, layout);
      const mask = masked ? maskOf(n, 40) : Uint8Array.from({ length: n }, () => 1);
      const bn = new BatchNorm(channels, { dtype, layout, runtime: RUNTIMES[kind], eps: 0 });
      const data = places.map((_, c) => families(n, 50 + c));
      for (const name of Object.keys(data[0]!)) {
        const x = arrayOf(dtype, new Array<number>(sizeOf(shape)).fill(0));
        places.forEach((of, c) => {
          const values = data[c]![name]!;
          of.forEach((place, i) => { x[place] = values[i]!; });
        });
        const y = bn.forward(x, shapeIn(layout, shape), masked ? { mask } : {});
        const { variance } = bn.context!;
        places.forEach((all, c) => {
          const of = all.filter((_, i) => mask[i] !== 0), expected = normalise(of.map((place) => x[place]!), 1, 0, 0);
          if (expected.variance === 0) {
            expect(variance[c], name).toBe(0);
            return;
          }
          const far = Math.abs(expected.mean) / Math.sqrt(expected.variance);
          expect(Math.abs(variance[c]! / expected.variance - 1), name).toBeLessThan(tolerance.variance(dtype) / 4);
          of.forEach((place, i) => {
            const xhat = expected.y[i]!, error = Math.abs(y[place]! - xhat);
            if (!(error < tolerance.yOfAny(dtype, xhat, far))) expect(error, name).toBeLessThan(tolerance.yOfAny(dtype, xhat, far));
          });
        });
      }
    },
  );
});

describe.each(COMBINATIONS)('gradients far from 0, of $kind $dtype $layout', ({ kind, dtype, layout }) => {
  it.each([[[8, 4, 400]], [[3200, 4]], [[600, 70]]])('hold the bound of their sums: %j', (shape) => {
    const channels = shape[1]!, size = sizeOf(shape), places = placesOf(shape, layout);
    const bn = new BatchNorm(channels, { dtype, layout, runtime: RUNTIMES[kind], eps: 0 });
    const x = arrayOf(dtype, normal(size, 60, 3)), dy = arrayOf(dtype, normal(size, 61, 1e4));
    bn.forward(x, shapeIn(layout, shape));
    const { dweight, dbias } = bn.backward(dy);
    places.forEach((of, c) => {
      const xhat = normalise(of.map((place) => x[place]!), 1, 0, 0).y, g = of.map((place) => dy[place]!);
      const products = g.map((value, i) => value * xhat[i]!), total = sum(g);
      const rounded = (value: number) => tolerance.U[dtype] * Math.abs(value);
      const ofTotal = tolerance.sums(dtype) * sum(g.map(Math.abs)) + rounded(total);
      const ofDot = tolerance.sums(dtype) * sum(products.map(Math.abs)) + 18 * rounded(total) + 34 * rounded(dweight![c]!);
      expect(Math.abs(dbias![c]! - total)).toBeLessThan(ofTotal);
      expect(Math.abs(dweight![c]! - sum(products))).toBeLessThan(ofDot);
      // In the plain loops, f64 sums all of it.
      if (kind === 'javascript' && dtype === 'float32') expect(Math.abs(dweight![c]! - sum(products))).toBeLessThan(ofDot / 1e4);
    });
  });
});
