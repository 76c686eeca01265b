/** What holds a result to a law, and what it is compared by. */
import type { Floats } from '../../src/index.js';

/** A law that does not hold. */
export class Broken extends Error {}

/** @throws {Broken} the law does not hold. */
export function hold(condition: boolean, law: () => string): asserts condition {
  if (!condition) throw new Broken(law());
}

/** What a step gave: the numbers, or the class of what it threw. */
export interface Outcome {
  readonly refused: string | null;
  readonly numbers: readonly (ArrayLike<number> | null)[];
}

export const NOTHING: Outcome = { refused: null, numbers: [] };

/** Whether two lists of numbers are the same, but for the sign of 0 and the payload of NaN. */
export function sameNumbers(a: ArrayLike<number> | null, b: ArrayLike<number> | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && !(Number.isNaN(a[i]) && Number.isNaN(b[i]))) return false;
  return true;
}

export function sameOutcome(a: Outcome, b: Outcome): boolean {
  return a.refused === b.refused && a.numbers.length === b.numbers.length && a.numbers.every((numbers, i) => sameNumbers(numbers, b.numbers[i]!));
}

/** A number that is expected within a limit; NaN is not. */
export function holdClose(what: () => string, got: number, expected: number, limit: number): void {
  hold(Math.abs(got - expected) <= limit || got === expected, () => `${what()} is ${expected} within ${limit}, got ${got}`);
}

/** A copy of what may be written over. */
export const copy = (values: Floats | null) => (values === null ? null : values.slice());
