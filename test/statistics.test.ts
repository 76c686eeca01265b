import { describe, expect, it } from 'vitest';
import { mergeInto, updateRunning } from '../src/statistics.js';
import { normalise } from './oracle.js';
import { normal } from './setup.js';

/** Mean and m2 of one channel. */
function momentsOf(values: readonly number[]): { mean: Float64Array; m2: Float64Array } {
  const { mean, variance } = normalise(values, 1, 0, 1);
  return { mean: Float64Array.of(mean), m2: Float64Array.of(variance * values.length) };
}

describe('merging', () => {
  it.each([1, 13, 99])('of the first %i of 100 values with the rest gives those of all', (cut) => {
    const values = normal(100, 1, 50).map((value, i) => value + (i < 30 ? 1e3 : 0));
    const all = momentsOf(values), first = momentsOf(values.slice(0, cut)), rest = momentsOf(values.slice(cut));
    mergeInto(first.mean, first.m2, cut, rest.mean, rest.m2, 100 - cut);
    expect(first.mean[0]).toBeCloseTo(all.mean[0]!, 10);
    expect(first.m2[0]! / all.m2[0]!).toBeCloseTo(1, 12);
  });

  it('into nothing takes the part as it is', () => {
    const nothing = { mean: Float64Array.of(Number.NaN), m2: Float64Array.of(Number.NaN) }, part = momentsOf([1, 2, 3]);
    mergeInto(nothing.mean, nothing.m2, 0, part.mean, part.m2, 3);
    expect(nothing).toEqual(part);
  });
});

describe('running statistics', () => {
  it.each([['unbiased', 4 / 3], ['biased', 1]] as const)('take the %s variance', (runningVariance, correction) => {
    const mean = Float64Array.of(10), variance = Float64Array.of(20);
    updateRunning(mean, variance, Float64Array.of(2), Float64Array.of(6), 0.25, 4, runningVariance);
    expect([mean[0], variance[0]]).toEqual([8, 15 + 0.25 * 6 * correction]);
  });

  it('take a single value as it is, which has no unbiased variance', () => {
    const mean = Float64Array.of(0), variance = Float64Array.of(1);
    updateRunning(mean, variance, Float64Array.of(3), Float64Array.of(0), 0.5, 1, 'unbiased');
    expect([mean[0], variance[0]]).toEqual([1.5, 0.5]);
  });
});
