import { afterEach, describe, expect, it, vi } from 'vitest';
import { BatchNorm, type Floats } from '../../src/index.js';
import { check } from './property.js';
import { search } from './search.js';

describe('the fuzzer', () => {
  afterEach(() => { vi.restoreAllMocks(); });

  it('finds nothing among 200 scenarios', () => {
    const { found, calls } = search(20261126);
    expect(found).toBe(null);
    expect(calls).toBeGreaterThan(4 * 200);
  });

  it.each<[string, string, (bn: BatchNorm, result: unknown) => unknown, RegExp]>([
    ['one value is off by a thousandth', 'forward', (_, result) => {
      const y = (result as { data?: Floats }).data ?? result as Floats;
      if (y.length > 3) y[3] = y[3]! * 1.001 + 1e-3;
      return result;
    }, /y of channel|y is 0 where masked/],
    ['a running statistic moves in eval', 'forward', (bn, result) => {
      if (!bn.training && bn.runningMean) bn.runningMean[0]! += 1;
      return result;
    }, /running statistics stay|x is left|refuses it/],
    ['dweight has another sign', 'backward', (_, result) => {
      const { dweight } = result as { dweight: Floats | null };
      if (dweight) dweight[0] = -dweight[0]!;
      return result;
    }, /dweight of channel/],
  ])('finds that %s, and makes the scenario small', (_, method, spoil, law) => {
    const prototype = BatchNorm.prototype as unknown as Record<string, (...given: unknown[]) => unknown>, original = prototype[method]!;
    vi.spyOn(prototype, method).mockImplementation(function spoilt(this: BatchNorm, ...given) { return spoil(this, original.apply(this, given)); });
    const { found } = search(5);
    expect(found?.law).toMatch(law);
    expect(found!.scenario.steps.length).toBeLessThanOrEqual(3);
    expect(() => check(JSON.parse(JSON.stringify(found!.scenario)))).toThrow(law);
  });
});
