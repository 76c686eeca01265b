import { describe, expect, it } from 'vitest';
import { groupsOf, runsOf } from '../../src/passes/blocks.js';

const GEOMETRIES = [[40, 64, 3136], [40_000, 300, 1], [3, 5, 200_000], [100, 3, 7]] as const;
const sizesOf = ([outer, channels, inner]: readonly [number, number, number], limit: number) =>
  runsOf({ outer, channels, inner, pitch: channels * inner }, limit)
    .flatMap(({ blocks }) => blocks.map((block) => block.outer * block.channels * block.inner));

describe.each(GEOMETRIES)('a result of %i x %i x %i that needs no statistics', (...geometry) => {
  const size = geometry[0] * geometry[1] * geometry[2];

  it.each([2 ** 12, 2 ** 16, 2 ** 22])('is cut into what stays in an L2 cache, in a stage of %i elements too', (limit) => {
    const sizes = sizesOf(geometry, limit), most = Math.min(limit, 2 ** 16);
    expect(sizes.reduce((total, each) => total + each, 0)).toBe(size);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(most);
    expect(Math.max(...sizes)).toBeGreaterThan(Math.min(size, most) / 2);
  });

  it('is one block where it lies in memory and is not copied', () => {
    expect(sizesOf(geometry, Number.POSITIVE_INFINITY)).toEqual([size]);
  });
});

describe('statistics of a tensor that lies in memory', () => {
  it.each([[1024, 128, 64], [64, 128, 1024]] as const)('are found a few planes at a time where it comes from DRAM: %i x %i x %i', (outer, channels, inner) => {
    const groups = groupsOf({ outer, channels, inner, pitch: channels * inner }, Number.POSITIVE_INFINITY);
    expect(groups.map((group) => group.channels)).toEqual(new Array(8).fill(16));
  });

  it.each([[2 ** 17, 64, 1], [64, 64, 1024]] as const)('are found in one go where that reads it in order, or it stays in a cache: %i x %i x %i', (outer, channels, inner) => {
    expect(groupsOf({ outer, channels, inner, pitch: channels * inner }, Number.POSITIVE_INFINITY)).toHaveLength(1);
  });
});
