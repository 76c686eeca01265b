/** Checks of arguments and their errors: the name, what was expected, what came. */

/** For a value of the wrong kind. */
export function wrongKind(name: string, expected: string, value: unknown, where = ''): TypeError {
  return new TypeError(`"${name}" expected ${expected}, got ${describe(value)}${where}`);
}

/** For a number or a size that does not fit. */
export function wrongValue(name: string, expected: string, got: unknown): RangeError {
  return new RangeError(`"${name}" expected ${expected}, got ${got}`);
}

/** For an object that has been disposed. */
export function disposed(name: string): TypeError {
  return new TypeError(`${name} expected to be in use, got one that has been disposed`);
}

/** A value in an error message: its kind, and the value itself if that is short. */
export function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value);
  if (typeof value === 'number' || typeof value === 'bigint') return `${typeof value} ${value}`;
  if (typeof value !== 'object') return typeof value;
  const length = (value as { length?: unknown }).length;
  const name = Object.prototype.toString.call(value).slice(8, -1);
  return typeof length === 'number' ? `${name} of length ${length}` : name;
}

/**
 * @param meant - what is meant by names that other libraries use, in lower case and without underscores
 * @throws {TypeError} options is not an object, or has an unknown key (a misspelt option would otherwise be ignored).
 */
export function checkOptions(
  name: string, options: unknown, keys: readonly string[], meant: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${name}() expected an object of options, got ${describe(options)}`);
  }
  for (const key in options) {
    if (keys.includes(key) || !Object.keys(options).includes(key)) continue;
    const likely = likelyKey(key, keys, meant);
    throw new TypeError(`${name}() expected options ${keys.join(', ')}, got "${key}"${likely ? `: did you mean ${likely}?` : ''}`);
  }
}

/** The key that is probably meant by another: a synonym, one that leaves letters out or has more, or a slip of a few letters. */
function likelyKey(key: string, keys: readonly string[], meant: Readonly<Record<string, string>>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z]/g, '');
  const given = plain(key);
  if (Object.keys(meant).includes(given)) return meant[given];
  let likely: string | undefined, least = given.length / 3;
  for (const known of keys) {
    const distance = isWithin(given, plain(known)) || isWithin(plain(known), given) ? 0 : editDistance(given, plain(known));
    if (distance > least || (likely && distance === least)) continue;
    [likely, least] = [`"${known}"`, distance];
  }
  return likely;
}

/** Whether a word of three letters or more is another one with letters left out. */
function isWithin(word: string, other: string): boolean {
  let i = 0;
  for (const letter of other) if (letter === word[i]) i++;
  return i === word.length && i > 2;
}

/** Letters to insert, delete or replace: Wagner & Fischer 1974, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (a[i] === b[j] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** @throws {TypeError} not true or false. */
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw wrongKind(name, 'true or false', value);
}

/** @throws {TypeError} not a string. @throws {RangeError} not one of the choices. undefined passes. */
export function checkOneOf(name: string, value: unknown, choices: readonly string[]): void {
  if (value === undefined) return;
  const wanted = choices.map((choice) => `'${choice}'`).join(' or ');
  if (typeof value !== 'string') throw wrongKind(name, wanted, value);
  if (!choices.includes(value)) throw wrongValue(name, wanted, `'${value}'`);
}

/** @throws {TypeError} not a number. @throws {RangeError} not in [least, most]. */
export function checkNumber(name: string, value: unknown, least = 0, most = Number.MAX_VALUE): asserts value is number {
  if (typeof value !== 'number') throw wrongKind(name, 'a number', value);
  if (!(value >= least && value <= most)) throw wrongValue(name, `a number from ${least} to ${most}`, value);
}

/** @throws {TypeError} not a number. @throws {RangeError} not an integer, or below `least`. */
export function checkInteger(name: string, value: unknown, least: 0 | 1): asserts value is number {
  if (typeof value !== 'number') throw wrongKind(name, 'a number', value);
  if (!isCount(value) || value < least) throw wrongValue(name, `a ${least === 0 ? 'non-negative' : 'positive'} integer`, value);
}

/** Whether a value is a non-negative integer. */
export function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * @param as - what the length comes from, for the message
 * @throws {TypeError} not an array or array-like. @throws {RangeError} another length, if one is given.
 */
export function checkList(name: string, value: unknown, length?: number, as?: string): asserts value is ArrayLike<unknown> {
  const list = value as ArrayLike<unknown> | null | undefined;
  if (typeof list !== 'object' || typeof list?.length !== 'number') {
    throw wrongKind(name, `an array of ${length === undefined ? '' : `${length} `}numbers`, value);
  }
  if (length !== undefined) checkLength(name, list, length, as);
}

/** @throws {TypeError} an element is not a number. */
export function checkNumbers(name: string, values: ArrayLike<unknown>): asserts values is ArrayLike<number> {
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] === 'number') continue;
    const json = values[i] === null ? ', as JSON writes NaN and infinity' : '';
    throw wrongKind(name, 'numbers', values[i], ` at index ${i}${json}`);
  }
}

/** The elements of `{ "0": 1, "1": 2 }`, which is what JSON makes of a typed array, as an array; any other value as it is. */
export function fromJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || 'length' in value) return value;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key, i) => key === String(i)) ? Object.values(value) : value;
}

/** Says in an error of `action` what it was about. */
export function within<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error) error.message = `"${name}": ${error.message}`;
    throw error;
  }
}

/**
 * @param as - what the length comes from, for the message
 * @throws {RangeError} another length.
 */
export function checkLength(name: string, list: ArrayLike<unknown>, expected: number, as = ''): void {
  if (list.length !== expected) throw wrongValue(name, `length ${expected}${as}`, lengthOf(list));
}

/** The length of a list in an error message; of an array that has lost its buffer also what empties most of them. */
function lengthOf(list: ArrayLike<unknown>): string {
  return `length ${list.length}${isDetached(list) ? " (detached: read a tensor's data again once memory may have grown)" : ''}`;
}

function isDetached(list: ArrayLike<unknown>): boolean {
  if (list.length > 0 || !ArrayBuffer.isView(list)) return false;
  try {
    new Uint8Array(list.buffer);
    return false;
  } catch {
    return true;
  }
}

/** Whether a value is a typed array of this type. By its tag, so that arrays of another realm (an iframe, a sandbox) pass. */
export function isTypedArray(value: unknown, type: string): value is ArrayLike<number> {
  return ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === type;
}

/** For a value that is not a typed array of this type and length. `of`: what has that length. */
export function wrongArray(name: string, value: unknown, type: string, length: number, of: string): Error {
  const expected = `${type} of length ${length}${of}`;
  return isTypedArray(value, type) ? wrongValue(name, expected, lengthOf(value)) : wrongKind(name, expected, value);
}
