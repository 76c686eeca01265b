import { describe, expect, it } from 'vitest';
import { MOST_PARTS } from '../../../src/runtime/threads/control.js';
import { CHANNELS, type Cut, elementwiseCut, GRID, INNER, MOST_SLICES, sliceCount, sumsCut } from '../../../src/runtime/threads/slices.js';

/** [outer, channels, inner], slices of moments, slices of reduce. A change here changes bits of results, and is a breaking one. */
const TABLE: [[number, number, number], number, number][] = [
  [[60, 100, 1], 1, 1], [[256, 1024, 1], 1, 2], [[1024, 256, 1], 2, 2], [[25_088, 64, 1], 8, 8], [[1568, 2048, 1], 2, 8],
  [[6272, 1024, 1], 8, 8], [[401_408, 64, 1], 8, 8], [[32, 2048, 49], 1, 8], [[8, 64, 3136], 8, 8], [[32, 128, 784], 8, 8],
  [[32, 1024, 196], 2, 8], [[1, 32, 12_544], 1, 1], [[3, 64, 50_176], 2, 2], [[1, 1, 2 ** 20], 8, 8], [[1, 1, 200_000], 1, 1],
  [[1, 2, 450_003], 1, 1],
];

describe('slices of a sum', () => {
  it.each(TABLE)('%j: %i of moments and %i of reduce', ([outer, channels, inner], moments, reduce) => {
    expect(sliceCount('moments', outer, channels, inner, GRID)).toBe(moments);
    expect(sliceCount('reduce', outer, channels, inner, GRID)).toBe(reduce);
  });

  it('follow from the shape, whatever the number of threads', () => {
    for (const [shape] of TABLE) {
      for (const kernel of ['moments', 'reduce'] as const) {
        if (sliceCount(kernel, ...shape, GRID) === 1) continue;
        const [first, ...others] = [1, 2, 3, 8, 64].map((threads) => sumsCut(kernel, ...shape, threads, GRID));
        expect(first!.partial).toBe(true);
        for (const other of others) expect(other).toEqual(first);
      }
    }
  });
});

const SHAPES = [...TABLE.map(([shape]) => shape), [2, 1, 9], [5, 3, 2], [1, 128, 1], [7, 300, 1], [3, 500, 3], [1, 1, 1], [100_000, 3, 1]] satisfies [number, number, number][];
const THREADS = [1, 2, 3, 8, 64];

describe.each(SHAPES)('cuts of %i x %i x %i', (outer, channels, inner) => {
  const lengths = [outer, channels, inner], [one, two] = [1, 2].map((threads) => elementwiseCut(outer, channels, inner, threads));
  const cuts: Cut[] = THREADS.flatMap((threads) => [
    elementwiseCut(outer, channels, inner, threads), sumsCut('moments', outer, channels, inner, threads, GRID),
    sumsCut('reduce', outer, channels, inner, threads, GRID),
  ]);

  it('are ascending and cover the whole axis', () => {
    for (const { axis, starts } of cuts) {
      expect(starts[0]).toBe(0);
      expect(starts[starts.length - 1]).toBe(lengths[axis]);
      for (let i = 1; i < starts.length; i++) expect(starts[i]! > starts[i - 1]! && Number.isInteger(starts[i])).toBe(true);
      expect(starts.length - 1).toBeLessThanOrEqual(MOST_PARTS);
    }
  });

  it('fall between vectors: positions of one channel alone, and columns that are walked as in the whole', () => {
    for (const { axis, starts, partial } of cuts) {
      if (axis === INNER) {
        expect(channels).toBe(1);
        for (const start of starts.slice(0, -1)) expect(start % 64).toBe(0);
      }
      if (axis === CHANNELS && inner <= 3 && starts.length > 2) {
        for (let i = 1; i < starts.length; i++) {
          expect(starts[i - 1]! % 16).toBe(0);
          expect(starts[i]! - starts[i - 1]!).toBeGreaterThanOrEqual(112);
        }
      }
      if (partial) expect(starts.length - 1).toBeLessThanOrEqual(MOST_SLICES);
    }
  });

  it('leave one thread an elementwise call as it is, or in a few parts', () => {
    expect(one!.starts.length).toBeLessThanOrEqual(5);
    expect(two!.starts.length).toBeLessThanOrEqual(9);
  });
});
