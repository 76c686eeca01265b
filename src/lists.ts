/** Arrays of callers, of any kind: read once, and checked. */
import { isArrayBuffer, isDetached, isTypedArray, lengthOf, plainNumbers, plainView, typeOf } from './arrays.js';
import { isCount, reading, wrongKind, wrongValue } from './checks.js';

/**
 * The length of an array or array-like, read once.
 *
 * @param as - what the length comes from, for the message
 * @throws {TypeError} not an array or array-like. @throws {RangeError} another length, if one is given.
 */
function sizeOf(name: string, value: unknown, length: number | undefined, as = ''): number {
  const isObject = typeof value === 'object' && value !== null;
  const size = isObject ? reading(name, () => (value as { length?: unknown }).length) : undefined;
  if (!isCount(size)) throw wrongKind(name, `an array of ${length === undefined ? '' : `${length} `}numbers`, value);
  if (length !== undefined && size !== length) throw wrongValue(name, `length ${length}${as}`, `length ${size}`);
  return size;
}

/**
 * An array or array-like as an array of its own, each element read once.
 *
 * @throws {TypeError} not an array or array-like.
 */
export function listIn(name: string, value: unknown): unknown[] {
  const size = sizeOf(name, value, undefined);
  return reading(name, () => Array.from({ length: size }, (_, i) => (value as ArrayLike<unknown>)[i]));
}

/**
 * The numbers of an array or array-like as an array of their own, each read once; those of a typed array as a view of them.
 *
 * @param as - what the length comes from, for the message
 * @throws {TypeError} not an array of numbers. @throws {RangeError} another length, if one is given.
 */
export function numbersIn(name: string, value: unknown, length?: number, as?: string): ArrayLike<number> {
  const numbers = plainNumbers(value);
  if (numbers !== undefined) {
    if (length !== undefined) checkLength(name, numbers, length, as, value);
    return numbers;
  }
  const list: unknown[] = [], size = sizeOf(name, value, length, as);
  reading(name, () => {
    for (let i = 0; i < size; i++) {
      const item = (value as ArrayLike<unknown>)[i];
      list.push(item);
      if (typeof item !== 'number') break;
    }
  });
  checkNumbers(name, list);
  return list;
}

/** @throws {TypeError} an element is not a number. */
export function checkNumbers(name: string, list: readonly unknown[]): asserts list is readonly number[] {
  const index = list.findIndex((item) => typeof item !== 'number');
  if (index < 0) return;
  throw wrongKind(name, 'numbers', list[index], ` at index ${index}${list[index] === null ? ', as JSON writes NaN and infinity' : ''}`);
}

/** A caller's bytes as a plain array. @throws {TypeError} neither Uint8Array nor ArrayBuffer, or one that has been detached. */
export function bytesIn(name: string, value: unknown, expected = 'Uint8Array or ArrayBuffer'): Uint8Array {
  const isBuffer = isArrayBuffer(value);
  if (!isBuffer && !isTypedArray(value, 'Uint8Array')) throw wrongKind(name, expected, value);
  if (isDetached(value)) throw new TypeError(`"${name}" expected bytes, got a buffer that has been detached`);
  return isBuffer ? new Uint8Array(value) : plainView(value, Uint8Array);
}

/** The elements of `{ "0": 1, "1": 2 }`, which is what JSON makes of a typed array, as an array; any other value as it is. */
export function fromJson(value: unknown): unknown {
  try {
    if (typeof value !== 'object' || value === null || 'length' in value) return value;
    const keys = Object.keys(value);
    return keys.length > 0 && keys.every((key, i) => key === String(i)) ? Object.values(value) : value;
  } catch {
    return value;
  }
}

/**
 * @param as - what the length comes from, for the message
 * @param given - the same list as it was given, for the message
 * @throws {RangeError} another length.
 */
export function checkLength(name: string, list: ArrayLike<unknown>, expected: number, as = '', given: unknown = list): void {
  if (list.length !== expected) throw wrongValue(name, `length ${expected}${as}`, typeOf(given) ? lengthNow(given) : `length ${list.length}`);
}

/** The length of a typed array in an error message; of one that has lost its buffer also what empties most of them. */
function lengthNow(array: unknown): string {
  return `length ${lengthOf(array)}${lengthOf(array) === 0 && isDetached(array) ? " (detached: read a tensor's data again once memory may have grown)" : ''}`;
}

/** For a value that is not a typed array of this type and length. `of`: what has that length. */
export function wrongArray(name: string, value: unknown, type: string, length: number, of: string): Error {
  const expected = `${type} of length ${length}${of}`;
  return isTypedArray(value, type) ? wrongValue(name, expected, lengthNow(value)) : wrongKind(name, expected, value);
}
