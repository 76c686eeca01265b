/** Masks: which positions of a batch count. One byte a position, [N, ...positions] whatever the layout; 0: masked. */
import type { Geometry, Pointer } from './kernels.js';
import type { Engine } from './runtime.js';
import { checkNumbers, describe } from './shape.js';
import type { Block } from './staging.js';

/** @throws {TypeError} no Uint8Array. @throws {RangeError} another length than one byte a position. */
export function checkMask(mask: unknown, { outer, inner }: Geometry): asserts mask is Uint8Array {
  const expected = outer * inner;
  if (!ArrayBuffer.isView(mask) || (mask as Uint8Array)[Symbol.toStringTag] !== 'Uint8Array') {
    throw new TypeError(`"mask" expected Uint8Array of length ${expected}, one for each position, got ${describe(mask)}`);
  }
  const { length } = mask as Uint8Array;
  if (length !== expected) {
    throw new RangeError(`"mask" expected Uint8Array of length ${expected}, one for each position, got length ${length}`);
  }
}

/** Positions that are not masked, from `start` up to `end`. */
export function countValid(mask: Uint8Array, start = 0, end = mask.length): number {
  let count = 0;
  // Without a branch, which a processor cannot predict: the carry of 255 + any byte but 0.
  for (let i = start; i < end; i++) count += (mask[i]! + 255) >> 8;
  return count;
}

/**
 * The mask of padded sequences: the first lengths[n] of `positions` count in sample n.
 *
 * @returns [N, positions]
 * @throws {TypeError} lengths or positions that are no numbers. @throws {RangeError} a length that is no integer from 0 to positions.
 */
export function maskFromLengths(lengths: ArrayLike<number>, positions: number): Uint8Array {
  if (typeof lengths !== 'object' || typeof lengths?.length !== 'number') {
    throw new TypeError(`"lengths" expected an array of numbers, got ${describe(lengths)}`);
  }
  checkNumbers('lengths', lengths);
  if (typeof positions !== 'number') throw new TypeError(`"positions" expected a number, got ${describe(positions)}`);
  if (!Number.isSafeInteger(positions) || positions < 0) {
    throw new RangeError(`"positions" expected a non-negative integer, got ${describe(positions)}`);
  }
  const mask = new Uint8Array(lengths.length * positions);
  for (let n = 0; n < lengths.length; n++) {
    const length = lengths[n]!;
    if (!Number.isSafeInteger(length) || length < 0 || length > positions) {
      throw new RangeError(`"lengths" expected integers from 0 to ${positions}, got ${length} at index ${n}`);
    }
    mask.fill(1, n * positions, n * positions + length);
  }
  return mask;
}

/** Which positions of a block count. */
export interface Mask {
  /** Bytes between outer slices. */
  readonly pitch: number;
  /** Address of the byte of a block's first position. 0: all count. */
  at(block: Block): Pointer;
  /** Values a channel of a block that count. */
  count(block: Block): number;
}

/** All positions. */
export const UNMASKED: Mask = { pitch: 0, at: () => 0, count: (block) => block.outer * block.inner };

/** What kernels may read beyond the last byte. */
const MARGIN = 3;

/** A copy of a mask in memory. */
export class MemoryMask implements Mask {
  readonly pitch: number;
  readonly #engine: Engine;
  readonly #mask: Uint8Array;
  readonly #pointer: Pointer;
  readonly #total: number;

  constructor(engine: Engine, mask: Uint8Array, { inner }: Geometry) {
    this.pitch = inner;
    this.#engine = engine;
    this.#mask = mask;
    this.#pointer = engine.allocate(mask.length + MARGIN);
    new Uint8Array(engine.memory.buffer, this.#pointer, mask.length).set(mask);
    this.#total = countValid(mask);
  }

  at(block: Block): Pointer {
    return this.#pointer + block.outerStart * this.pitch + block.innerStart;
  }

  count(block: Block): number {
    if (block.outer * block.inner === this.#mask.length) return this.#total;
    let count = 0;
    for (let o = block.outerStart; o < block.outerStart + block.outer; o++) {
      const start = o * this.pitch + block.innerStart;
      count += countValid(this.#mask, start, start + block.inner);
    }
    return count;
  }

  free(): void {
    this.#engine.free(this.#pointer);
  }
}
