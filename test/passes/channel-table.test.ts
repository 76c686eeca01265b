import { describe, expect, it } from 'vitest';
import { areFinite, FIELDS, lastingTable, MEAN, VARIANCE } from '../../src/passes/channel-table.js';

describe('a lasting table', () => {
  it.each([0, 1, 2, 3, 100, 1000])('has a row of NaN for each of %i channels', (channels) => {
    expect(lastingTable(channels)).toEqual(Array.from({ length: FIELDS * channels }, () => Number.NaN));
  });
});

describe('areFinite', () => {
  it.each([Number.NaN, Infinity, -Infinity])('sees %d as a mean or a variance, and nowhere else', (value) => {
    for (let i = 0; i < 3 * FIELDS; i++) {
      const table = lastingTable(3).fill(1);
      table[i] = value;
      expect(areFinite(table)).toBe(i % FIELDS !== MEAN && i % FIELDS !== VARIANCE);
    }
  });
});
