import { describe, expect, it } from 'vitest';
import { countOpen, merge } from '../../../src/runtime/threads/merge.js';
import { random } from '../../random.js';
import { distance, normal } from '../../setup.js';

describe('partial sums', () => {
  const channels = 3, row = 5, counts = [4, 1, 7], at = 2 * row;
  const values = Array.from(counts, (n, i) => Array.from({ length: channels }, (_, c) => normal(n, 10 * i + c, 100 * c, 2)));
  const momentsOf = (list: number[]) => {
    const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
    return [mean, list.reduce((sum, value) => sum + (value - mean) ** 2, 0)];
  };

  it('of moments merge into those of all values', () => {
    const numbers = new Float64Array(at + 6 * row).fill(Number.NaN);
    values.forEach((slice, i) => {
      slice.forEach((list, c) => { [numbers[at + 2 * row * i + c], numbers[at + 2 * row * i + row + c]] = momentsOf(list) as [number, number]; });
    });
    merge(numbers, 0, row, at, row, channels, 3, counts);
    for (let c = 0; c < channels; c++) {
      const expected = momentsOf(values.flatMap((slice) => slice[c]!));
      expect(distance([numbers[c]!, numbers[row + c]!], expected)).toBeLessThan(1e-12);
    }
    expect(numbers[channels]).toBeNaN();
  });

  it('of gradients add up in order', () => {
    const numbers = new Float64Array(at + 6 * row).fill(Number.NaN), big = 2 ** 53;
    [big, 1, -big].forEach((value, i) => {
      for (let c = 0; c < channels; c++) [numbers[at + 2 * row * i + c], numbers[at + 2 * row * i + row + c]] = [value, i + c];
    });
    merge(numbers, 0, row, at, row, channels, 3, null);
    expect([...numbers.slice(0, channels)]).toEqual([0, 0, 0]);
    expect([...numbers.slice(row, row + channels)]).toEqual([3, 6, 9]);
  });
});

describe('positions that count', () => {
  it.each([[1, 1, 0], [3, 1, 0], [37, 1, 2], [2, 9, 0], [5, 64, 3], [1, 1001, 0]])('are counted in %i x %i, bytes between rows %i', (outer, inner, gap) => {
    const next = random(outer + inner);
    for (const lanes of [2, 4]) {
      for (const start of [0, 1, 2, 3]) {
        const pitch = Math.ceil(inner / lanes) + gap, bytes = new Uint8Array(start + outer * pitch).fill(0xf0);
        let open = 0;
        for (let o = 0; o < outer; o++) {
          bytes.fill(0, start + o * pitch, start + o * pitch + Math.ceil(inner / lanes));
          for (let i = 0; i < inner; i++) {
            const passes = next() < 0.5;
            open += Number(passes);
            if (!passes) bytes[start + o * pitch + Math.floor(i / lanes)]! |= 16 << (i % lanes);
          }
        }
        expect(countOpen(new DataView(bytes.buffer), start, outer, inner, pitch, lanes)).toBe(open);
      }
    }
  });
});
