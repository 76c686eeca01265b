/** Checks of arguments and their errors: the name, what was expected, what came. */
import { lengthOf, typeOf } from './arrays.js';

/** Characters of a caller's text that an error message quotes. */
const QUOTED = 100;

/** Text in an error message: the start of it, where it is long. */
export function quoted(text: string): string {
  return text.length <= QUOTED ? text : `${text.slice(0, QUOTED)}... (${text.length} characters)`;
}

/** For a value of the wrong kind. */
export function wrongKind(name: string, expected: string, value: unknown, where = ''): TypeError {
  return new TypeError(`"${quoted(name)}" expected ${expected}, got ${describe(value)}${where}`);
}

/** For a number or a size that does not fit. */
export function wrongValue(name: string, expected: string, got: unknown): RangeError {
  return new RangeError(`"${quoted(name)}" expected ${expected}, got ${quoted(String(got))}`);
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
  const type = typeOf(value);
  if (type !== undefined) return `${type} of length ${lengthOf(value)}`;
  try {
    const { length } = value as { length?: unknown }, name = quoted(Object.prototype.toString.call(value).slice(8, -1));
    return typeof length === 'number' ? `${name} of length ${length}` : name;
  } catch {
    return 'an object that cannot be read';
  }
}

/**
 * @param meant - what is meant by names that other libraries use, in lower case and without underscores
 * @throws {TypeError} options is not an object, or has an unknown key (a misspelt option would otherwise be ignored).
 */
export function checkOptions(
  name: string, options: unknown, keys: readonly string[], meant: Readonly<Record<string, string>> = {},
): void {
  const isObject = typeof options === 'object' && options !== null && !isArray(options);
  const key = isObject ? strangerIn(options, keys) : null;
  if (key === null) throw new TypeError(`${name}() expected an object of options, got ${describe(options)}`);
  if (key === undefined) return;
  const likely = likelyKey(key, keys, meant);
  throw new TypeError(`${name}() expected options ${keys.join(', ')}, got "${quoted(key)}"${likely ? `: did you mean ${likely}?` : ''}`);
}

/** The first key of an object that is not among `keys`; undefined where there is none, null where the object cannot be read. */
function strangerIn(options: object, keys: readonly string[]): string | null | undefined {
  try {
    for (const key in options) if (!keys.includes(key) && Object.hasOwn(options, key)) return key;
    return undefined;
  } catch {
    return null;
  }
}

/** Whether a value is an array, or a proxy of one that can be read. */
export function isArray(value: unknown): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** The key that is probably meant by another: a synonym, one that leaves letters out or has more, or a slip of a few letters. */
function likelyKey(key: string, keys: readonly string[], meant: Readonly<Record<string, string>>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z]/g, '');
  const given = plain(key);
  if (given.length > QUOTED) return undefined;
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
  if (value === undefined || choices.includes(value as string)) return;
  const wanted = choices.map((choice) => `'${choice}'`).join(' or ');
  if (typeof value !== 'string') throw wrongKind(name, wanted, value);
  throw wrongValue(name, wanted, `'${value}'`);
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
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** What is read from a value of a caller. @throws {TypeError} that names it where reading it throws: a getter, a revoked proxy. */
export function reading<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const got = error instanceof Error ? error.message : describe(error);
    throw new TypeError(`"${quoted(name)}" expected what can be read, got ${quoted(got)}`, { cause: error });
  }
}

/**
 * What is allocated for an argument that says how much.
 *
 * @throws {RangeError} that names it: there is no memory for that many.
 */
export function allocated<T>(name: string, value: number, allocate: () => T): T {
  try {
    return allocate();
  } catch {
    throw wrongValue(name, 'a number that there is memory for', value);
  }
}

/** Says in an error of `action` what it was about. */
export function within<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error) error.message = `"${quoted(name)}": ${error.message}`;
    throw error;
  }
}
