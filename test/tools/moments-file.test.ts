import { describe, expect, it } from 'vitest';
import { decodeMoments, encodeMoments, type Moments } from '../../src/index.js';
import { normal, random } from '../setup.js';

const row = (channels: number, seed: number): Moments => ({
  count: seed * 7, mean: Float64Array.from(normal(channels, seed)), m2: Float64Array.from(normal(channels, seed + 1), Math.abs),
});
const ROWS = [[row(3, 1), row(1, 2)], [], [row(0, 3), row(64, 0)]];

describe('moments as bytes', () => {
  it('come back with the same bits, from a view that is not aligned too', () => {
    const special = { count: 2 ** 40, mean: Float64Array.of(Number.NaN, -0, Infinity, 5e-324), m2: Float64Array.of(Number.NaN, 0, Infinity, 1) };
    for (const rows of [ROWS, [], [[special]]]) {
      const bytes = encodeMoments(rows), shifted = new Uint8Array(bytes.length + 4).subarray(3, 3 + bytes.length);
      shifted.set(bytes);
      expect(decodeMoments(bytes)).toEqual(rows);
      expect(decodeMoments(shifted)).toEqual(rows);
    }
  });

  it('have one form, little-endian, 16 bytes a channel', () => {
    const bytes = encodeMoments([[{ count: 2, mean: Float64Array.of(1), m2: Float64Array.of(0.5) }]]);
    const one = [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], two = [0, 0, 0, 0, 0, 0, 0, 0x40], half = [0, 0, 0, 0, 0, 0, 0xe0, 0x3f];
    expect(Array.from(bytes)).toEqual([0x42, 0x4e, 0x4d, 0x4f, 1, 0, 0, 0, ...one, ...one, ...one, ...two, ...one, ...half]);
    expect(encodeMoments([[row(1000, 1)]]).length - encodeMoments([[row(0, 1)]]).length).toBe(16_000);
  });

  it('are refused wherever they are cut off, and with anything behind them', () => {
    const bytes = encodeMoments(ROWS);
    for (let length = 0; length < bytes.length; length++) expect(() => decodeMoments(bytes.subarray(0, length))).toThrow(RangeError);
    expect(() => decodeMoments(Uint8Array.of(...bytes, 0))).toThrow(`"bytes" expected moments and nothing behind them, ${bytes.length} bytes, got ${bytes.length + 1} bytes`);
  });

  it('are refused or read, never anything else, where any byte is changed', () => {
    const uniform = random(1);
    for (let i = 0; i < 3000; i++) {
      const bytes = encodeMoments(ROWS);
      bytes[Math.floor(uniform() * bytes.length)]! ^= 1 << Math.floor(uniform() * 8);
      try {
        decodeMoments(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }
  });

  it.each([
    ['bytes that are none', TypeError, () => decodeMoments([] as never), '"bytes" expected a Uint8Array, got Array of length 0'],
    ['other bytes', RangeError, () => decodeMoments(new Uint8Array(16)), '"bytes" expected those of encodeMoments(), got other bytes, 16 of them'],
    ['another version', RangeError, () => {
      const bytes = encodeMoments(ROWS);
      bytes[4] = 2;
      return decodeMoments(bytes);
    }, '"bytes" expected moments of version 1, got version 2'],
    ['rows that are none', TypeError, () => encodeMoments(row(1, 1) as never), '"rows" expected an array of arrays of moments, got Object'],
    ['a row that is none', TypeError, () => encodeMoments([row(1, 1)] as never), '"rows" expected an array of arrays of moments, got Array of length 1'],
    ['moments that are none', TypeError, () => encodeMoments([[{ count: 1 } as never]]), '"rows" expected { count, mean: Float64Array, m2: Float64Array }, got Object'],
    ['means and m2 of other lengths', RangeError, () => encodeMoments([[{ ...row(2, 1), m2: new Float64Array(3) }]]), '"rows" expected mean and m2 of 2 channels, got 2 and 3'],
  ] as const)('throw for %s', (_, error, action, message) => {
    expect(action).toThrow(error);
    expect(action).toThrow(message);
  });
});
