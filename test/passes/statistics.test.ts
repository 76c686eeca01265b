import { describe, expect, it } from 'vitest';
import { copyRunning } from '../../src/passes/channel-table.js';
import { mergeInto, updateRunning } from '../../src/passes/formulas.js';
import { normalise } from '../oracle.js';
import { normal } from '../setup.js';

const RANGE = { channelStart: 1, channels: 1 };

/** Mean and m2 of one channel. */
function momentsOf(values: readonly number[]): { mean: Float64Array; m2: Float64Array; variance: number } {
  const { mean, variance } = normalise(values, 1, 0, 1);
  return { mean: Float64Array.of(mean), m2: Float64Array.of(variance * values.length), variance };
}

/** A table of two channels, the second of which counts. */
const tableOf = (mean: number, variance: number) => [7, 7, 7, 7, 7, mean, variance, 7, 7, 7];

describe('merging', () => {
  it.each([1, 13, 99])('of the first %i of 100 values with the rest gives those of all', (cut) => {
    const values = normal(100, 1, 50).map((value, i) => value + (i < 30 ? 1e3 : 0));
    const all = momentsOf(values), first = momentsOf(values.slice(0, cut)), rest = momentsOf(values.slice(cut));
    const table = tableOf(first.mean[0]!, first.variance);
    mergeInto(table, cut, rest.mean, rest.m2, 100 - cut, RANGE);
    expect(table[5]).toBeCloseTo(all.mean[0]!, 10);
    expect(table[6]! / all.variance).toBeCloseTo(1, 12);
  });

  it('into nothing takes the part as it is, and leaves other channels alone', () => {
    const table = tableOf(Number.NaN, Number.NaN);
    mergeInto(table, 0, Float64Array.of(2), Float64Array.of(2), 4, RANGE);
    expect(table).toEqual(tableOf(2, 0.5));
  });
});

describe('running statistics', () => {
  it('become those that normalise', () => {
    const table = new Array(10).fill(0);
    copyRunning(table, Float64Array.of(1, 2), Float64Array.of(3, 4));
    expect(table).toEqual([1, 3, 0, 0, 0, 2, 4, 0, 0, 0]);
  });

  it.each([['unbiased', 4 / 3], ['biased', 1]] as const)('take the %s variance', (runningVariance, correction) => {
    const mean = Float64Array.of(0, 10), variance = Float64Array.of(0, 20);
    updateRunning(mean, variance, tableOf(2, 6), 0.25, 4, runningVariance);
    expect([mean[1], variance[1]]).toEqual([8, 15 + 0.25 * 6 * correction]);
  });

  it('take a single value as it is, which has no unbiased variance', () => {
    const mean = Float64Array.of(0), variance = Float64Array.of(1);
    updateRunning(mean, variance, [3, 0, 0, 0, 0], 0.5, 1, 'unbiased');
    expect([mean[0], variance[0]]).toEqual([1.5, 0.5]);
  });

  // [running, batch], [expected]: what has weight 0 has no part in the result.
  it.each([
    ['stay as they are at momentum 0', 0, [[1, Infinity], [-2, Number.NaN], [Number.NaN, 3], [-Infinity, Infinity]], [1, -2, Number.NaN, -Infinity]],
    ['become those of the batch at momentum 1', 1, [[Infinity, 1], [Number.NaN, -2], [3, Infinity], [4, Number.NaN]], [1, -2, Infinity, Number.NaN]],
  ])('%s, whatever either of them is', (_, factor, pairs, expected) => {
    const running = () => Float64Array.from(pairs, ([before]) => before!), mean = running(), variance = running();
    updateRunning(mean, variance, pairs.flatMap(([, batch]) => [batch!, batch!, 0, 0, 0]), factor, 1, 'biased');
    expect(Array.from(mean)).toEqual(expected);
    expect(Array.from(variance)).toEqual(expected);
  });
});
