import { expect } from 'vitest';

/** A call that throws: the kind of the error, and what its message contains. */
export interface Refusal<Given extends unknown[] = []> {
  readonly throws: typeof TypeError | typeof RangeError;
  readonly message: string;
  readonly call: (...given: Given) => unknown;
}

/** Holds a call to its error, the first time and again. */
export function expectRefusal(call: () => unknown, { throws, message }: Pick<Refusal, 'throws' | 'message'>): void {
  expect(call).toThrow(throws);
  expect(call).toThrow(message);
}
