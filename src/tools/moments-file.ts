/** Moments as bytes, so that other processes and files can hold them. */
import { isTypedArray } from '../arrays.js';
import { describe, isCount, wrongKind, wrongValue } from '../checks.js';
import { bytesIn } from '../lists.js';
import { checkMoments, type Moments } from '../passes/statistics.js';

/** "BNMO" in the order of the bytes. */
const MAGIC = 0x4f4d4e42;
const VERSION = 1;
/** The two above, as u32. All that follows is f64: rows; for each its layers; for each of these channels, count, mean, m2. */
const HEADER = 8;
const DOUBLE = 8;

/**
 * Moments as bytes, little-endian and with a version: 16 bytes per channel and batch.
 *
 * @param rows - a row for each batch, and in it the moments of each layer
 * @throws {TypeError} not rows of moments. @throws {RangeError} a bad count, or a negative m2.
 */
export function encodeMoments(rows: readonly (readonly Moments[])[]): Uint8Array {
  if (!Array.isArray(rows) || !rows.every(Array.isArray)) throw wrongKind('rows', 'an array of arrays of moments', rows);
  const doubles = [rows.length];
  for (const row of rows) {
    doubles.push(row.length);
    for (const layer of row) {
      const { count, mean, m2 } = checkMoments('rows', layer);
      doubles.push(mean.length, count);
      for (const value of mean) doubles.push(value);
      for (const value of m2) doubles.push(value);
    }
  }
  const bytes = new Uint8Array(HEADER + DOUBLE * doubles.length), view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  doubles.forEach((value, i) => { view.setFloat64(HEADER + DOUBLE * i, value, true); });
  return bytes;
}

/**
 * The rows that `encodeMoments` was given, the same bits.
 *
 * @throws {TypeError} not a Uint8Array. @throws {RangeError} bytes that are not encoded moments, of another version, cut off
 *   or with more behind them.
 */
export function decodeMoments(bytes: Uint8Array): Moments[][] {
  if (!isTypedArray(bytes, 'Uint8Array')) throw wrongKind('bytes', 'a Uint8Array', bytes);
  const plain = bytesIn('bytes', bytes), end = plain.length, view = new DataView(plain.buffer, plain.byteOffset, end);
  if (end < HEADER || view.getUint32(0, true) !== MAGIC) {
    throw wrongValue('bytes', 'those of encodeMoments()', `other bytes, ${end} of them`);
  }
  if (view.getUint32(4, true) !== VERSION) throw wrongValue('bytes', `moments of version ${VERSION}`, `version ${view.getUint32(4, true)}`);
  let offset = HEADER;
  const take = () => {
    if (offset + DOUBLE > end) throw wrongValue('bytes', 'moments to the last', `an end at ${end} bytes`);
    offset += DOUBLE;
    return view.getFloat64(offset - DOUBLE, true);
  };
  // Each item takes 8 bytes or more: a count that the rest cannot hold is refused before anything is allocated for it.
  const size = (doubles = 1) => {
    const value = take();
    if (!isCount(value)) throw wrongValue('bytes', 'counts that are non-negative integers', describe(value));
    if (value * doubles * DOUBLE > end - offset) throw wrongValue('bytes', 'moments to the last', `an end at ${end} bytes`);
    return value;
  };
  const list = <T>(length: number, item: () => T): T[] => Array.from({ length }, item);
  const column = (length: number) => Float64Array.from({ length }, take);
  const rows = list(size(), () => list(size(), () => {
    const channels = size(2), count = take(), mean = column(channels), m2 = column(channels);
    return checkMoments('bytes', { count, mean, m2 });
  }));
  if (offset !== end) throw wrongValue('bytes', `moments and nothing behind them, ${offset} bytes`, `${end} bytes`);
  return rows;
}
