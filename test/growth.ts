/** Makes memory grow inside of calls, by the public interface alone, so that this is what users meet. */
import { expect } from 'vitest';
import type { Runtime } from '../src/index.js';
import { distance } from './setup.js';

/** What a runtime keeps for itself at the start of its memory. */
const RESERVED = 64 + 24 * 1024;

/**
 * Fills the memory of a runtime, of which no tensor has been disposed yet, but for `left` bytes. What is allocated next grows
 * it: at once, or once as much has been allocated.
 */
export function fill(runtime: Runtime, left = 0): void {
  const size = () => runtime.tensor([1]).data.buffer.byteLength - RESERVED - runtime.bytesInUse;
  // As many pages as are to be left, at least.
  while (size() < left + 8192) runtime.tensor([left / 4 + 1024]);
  const bytes = Math.floor((size() - 64 - left) / 64) * 64;
  // A block of whole pages would be given some bytes more.
  runtime.tensor([(bytes % 4096 === 0 ? bytes - 64 : bytes) / 4]);
}

/** Whether a view lives on when its memory grows, as those of a memory do that threads share. */
export function outlivesGrowth({ buffer }: ArrayBufferView): boolean {
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
}

/** Bytes to be left free, so that each allocation of a call on some 10 KB is the one that grows memory in one of the cases. */
export const LEFT: readonly number[] = [0, 1, 4, 8, 12, 16, 24, 32, 40, 48, 64, 96, 128].map((kibibytes) => 1024 * kibibytes);

/** Expects two results, or what they consist of, to be the same to the last bit. `toEqual` takes 10 us per number. */
export function expectSame(actual: unknown, expected: unknown): void {
  if (ArrayBuffer.isView(expected)) {
    expect(ArrayBuffer.isView(actual)).toBe(true);
    expect(distance(actual as Float64Array, expected as Float64Array)).toBe(0);
  } else if (Object(expected) === expected) {
    expect(Object.keys(actual as object)).toEqual(Object.keys(expected as object));
    for (const key of Object.keys(expected as object)) expectSame(actual![key as never], expected![key as never]);
  } else {
    expect(actual).toBe(expected);
  }
}
