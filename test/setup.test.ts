import { describe, expect, it } from 'vitest';
import { distance } from './setup.js';

describe('distance', () => {
  it('is the largest difference, relative to max(1, |expected|) or to what is asked for', () => {
    expect(distance([1, -6, 0.5], [1, -4, 0.25])).toBe(0.5);
    expect(distance([1, -6, 0.5], [1, -4, 0.25], () => 1)).toBe(2);
    expect(distance([], [])).toBe(0);
    expect(distance(Float32Array.of(0.5), [0.5])).toBe(0);
  });

  it('is refused for arrays of different lengths', () => {
    expect(() => distance([], [1])).toThrow(new RangeError('Expected 1 values, got 0'));
    expect(() => distance([1, 2], [1])).toThrow(RangeError);
  });

  it('is NaN where only one of two values is, and 0 between two NaN', () => {
    for (const [actual, expected] of [[Number.NaN, 1], [1, Number.NaN]] as const) {
      expect(distance([0, actual, 0], [0, expected, 1])).toBeNaN();
    }
    expect(distance([Number.NaN, 2], [Number.NaN, 3], () => 1)).toBe(1);
  });

  it('is not finite where only one of two values is infinite, or their signs differ', () => {
    const { POSITIVE_INFINITY: infinity } = Number;
    for (const [actual, expected] of [[infinity, 1], [1, infinity], [infinity, -infinity]] as const) {
      expect(Number.isFinite(distance([actual], [expected]))).toBe(false);
    }
    expect(distance([infinity, -infinity], [infinity, -infinity])).toBe(0);
  });
});
