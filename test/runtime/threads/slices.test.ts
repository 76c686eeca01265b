import { describe, expect, it } from 'vitest';
import { MOST_PARTS } from '../../../src/runtime/threads/control.js';
import { type Cut, elementwiseCut, GRID, MOST_SLICES, type Part, sliceCount, sumsCut, type Triple } from '../../../src/runtime/threads/slices.js';

/** [outer, channels, inner], slices of moments, slices of reduce. A change here changes bits of results, and is a breaking one. */
const TABLE: [[number, number, number], number, number][] = [
  [[60, 100, 1], 1, 1], [[256, 1024, 1], 1, 1], [[1024, 256, 1], 2, 2], [[25_088, 64, 1], 8, 8], [[1568, 2048, 1], 2, 4],
  [[6272, 1024, 1], 8, 8], [[401_408, 64, 1], 8, 8], [[32, 2048, 49], 1, 1], [[8, 64, 3136], 1, 1], [[32, 128, 784], 1, 1],
  [[32, 32, 12_544], 1, 1], [[32, 31, 12_544], 1, 1], [[32, 16, 12_544], 2, 2], [[32, 10, 3136], 2, 2], [[32, 2, 12_544], 4, 4],
  [[32, 8, 784], 1, 1], [[64, 8, 784], 2, 2], [[1, 32, 12_544], 1, 1], [[3, 64, 50_176], 1, 1], [[1, 1, 2 ** 20], 8, 8], [[1, 1, 200_000], 1, 1],
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
        const [first, ...others] = THREADS.map((threads) => slicesOf(sumsCut(kernel, ...shape, threads, GRID)));
        for (const other of others) expect(other).toEqual(first);
      }
    }
  });

  it('come one after another, so that they are merged in order', () => {
    for (const [shape] of TABLE) {
      for (const threads of THREADS) {
        const { parts, slices } = sumsCut('reduce', ...shape, threads, GRID), numbers = parts.map(({ slice }) => slice);
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
        expect(new Set(numbers).size).toBe(slices);
      }
    }
  });
});

const THREADS = [1, 2, 3, 8, 64];

/** Which samples and positions each slice adds up. */
function slicesOf({ parts }: Cut): string[] {
  return [...new Set(parts.map(({ start, size, slice }) => `${slice}: ${start[0]} ${start[2]}, ${size[0]} ${size[2]}`))];
}

function volumeOf({ size: [samples, channels, positions] }: Part): number {
  return samples * channels * positions;
}

function overlap(one: Part, other: Part): boolean {
  return one.start.every((start, axis) => start < other.start[axis]! + other.size[axis]! && other.start[axis]! < start + one.size[axis]!);
}

const SHAPES = [
  ...TABLE.map(([shape]) => shape), [2, 1, 9], [5, 3, 2], [1, 128, 1], [7, 300, 1], [3, 500, 3], [1, 1, 1], [100_000, 3, 1], [7, 31, 4001], [63, 40, 300],
] satisfies [number, number, number][];

describe.each(SHAPES)('cuts of %i x %i x %i', (outer, channels, inner) => {
  const size: Triple = [outer, channels, inner];
  const cuts: Cut[] = THREADS.flatMap((threads) => [
    elementwiseCut(outer, channels, inner, threads), sumsCut('moments', outer, channels, inner, threads, GRID),
    sumsCut('reduce', outer, channels, inner, threads, GRID),
  ]);

  it('cover everything once', () => {
    for (const { parts } of cuts) {
      expect(parts.reduce((sum, part) => sum + volumeOf(part), 0)).toBe(outer * channels * inner);
      parts.forEach((part, i) => {
        expect(Math.min(...part.size)).toBeGreaterThan(0);
        expect(part.start.every((start, axis) => start >= 0 && start + part.size[axis]! <= size[axis]!)).toBe(true);
        expect(parts.slice(i + 1).some((other) => overlap(part, other))).toBe(false);
      });
      expect(parts.length).toBeLessThanOrEqual(MOST_PARTS);
    }
  });

  it('fall between vectors: positions of one channel alone, and columns that are walked as in the whole', () => {
    for (const { parts, slices } of cuts) {
      for (const part of parts) {
        if (part.size[2] < inner) {
          expect(channels).toBe(1);
          expect(part.start[2] % 64).toBe(0);
        }
        if (inner <= 3 && part.size[1] < channels) {
          expect(part.start[1] % 16).toBe(0);
          expect(part.size[1]).toBeGreaterThanOrEqual(112);
        }
      }
      expect(slices).toBeLessThanOrEqual(MOST_SLICES);
    }
  });

  it('are contiguous in memory where channels are planes and nothing is added up', () => {
    if (inner <= 3) return;
    for (const { start, size: [samples, width] } of elementwiseCut(outer, channels, inner, 2).parts) {
      if (samples > 1) expect([start[1], width]).toEqual([0, channels]);
    }
  });

  it('leave one thread an elementwise call as it is', () => {
    expect(elementwiseCut(outer, channels, inner, 1).parts).toEqual([{ start: [0, 0, 0], size, slice: 0 } satisfies Part]);
  });

  it('are small at the end for two threads', () => {
    const { parts } = elementwiseCut(outer, channels, inner, 2), whole = outer * channels * inner;
    if (whole < 2 ** 18 || channels * outer < 64 || inner <= 3) return;
    expect(volumeOf(parts[parts.length >> 1]!)).toBeLessThanOrEqual(whole / 16);
  });
});
