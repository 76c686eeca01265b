/** Masks: which positions of a batch count. One byte per position, [N, ...positions] in any layout; 0: masked. */

import { isTypedArray, lengthOf, plainView } from '../arrays.js';
import { allocated, checkInteger, isCount, wrongValue } from '../checks.js';
import { numbersIn, wrongArray } from '../lists.js';
import type { Engine } from '../runtime/engine.js';
import { type DType, type Geometry, LANES, type Pointer } from '../runtime/kernels.js';
import type { Block } from './blocks.js';

/**
 * A caller's mask as a plain array.
 *
 * @throws {TypeError} not a Uint8Array. @throws {RangeError} another length than one byte per position.
 */
export function maskFrom(mask: unknown, { outer, inner }: Geometry): Uint8Array {
  const expected = outer * inner;
  if (!isTypedArray(mask, 'Uint8Array') || lengthOf(mask) !== expected) {
    throw wrongArray('mask', mask, 'Uint8Array', expected, ', one for each position');
  }
  return plainView(mask, Uint8Array);
}

/** Positions that are not masked, from `start` up to `end`. */
export function countValid(mask: Uint8Array, start = 0, end = mask.length): number {
  let count = 0, i = start;
  const words = (end - start) >> 2;
  if (words > 0 && (mask.byteOffset + start) % 4 === 0) {
    const four = new Int32Array(mask.buffer, mask.byteOffset + start, words);
    // Four bytes at a time, without a branch that a processor cannot predict: the top bit of each byte becomes 1 if the
    // byte is not 0, and a product adds the four up.
    for (let w = 0; w < words; w++) {
      const bytes = four[w]!;
      const open = ((((bytes & 0x7f7f7f7f) + 0x7f7f7f7f) | bytes) >>> 7) & 0x01010101;
      count += Math.imul(open, 0x01010101) >>> 24;
    }
    i += 4 * words;
  }
  for (; i < end; i++) count += (mask[i]! + 255) >> 8;
  return count;
}

/**
 * The mask of padded sequences: the first lengths[n] of `positions` count in sample n.
 *
 * @returns [N, positions]
 * @throws {TypeError} lengths or positions are not numbers. @throws {RangeError} a length is not an integer from 0 to positions.
 */
export function maskFromLengths(lengths: ArrayLike<number>, positions: number): Uint8Array {
  const each = numbersIn('lengths', lengths);
  checkInteger('positions', positions, 0);
  const mask = allocated('positions', positions, () => new Uint8Array(each.length * positions));
  for (let n = 0; n < each.length; n++) {
    const length = each[n]!;
    if (!isCount(length) || length > positions) {
      throw wrongValue('lengths', `integers from 0 to ${positions}`, `${length} at index ${n}`);
    }
    mask.fill(1, n * positions, n * positions + length);
  }
  return mask;
}

/** Which positions of a block count. */
export interface Mask {
  /** Bytes between outer slices. */
  readonly pitch: number;
  /** Address of a block's first position. 0: all count. */
  at(block: Block): Pointer;
  /** Values per channel of a block that count. */
  count(block: Block): number;
}

/** All positions. */
export const UNMASKED: Mask = { pitch: 0, at: () => 0, count: (block) => block.outer * block.inner };

/** A mask and the number of positions that count. */
export interface CountedMask {
  readonly bytes: Uint8Array;
  readonly total: number;
}

/** Bytes for a copy of a mask, to be filled: those of another mask of the same length, otherwise new ones. */
export function bytesLike(mask: Uint8Array, other: CountedMask | null | undefined): Uint8Array {
  return other?.bytes.length === mask.length ? other.bytes : new Uint8Array(mask.length);
}

/** A mask in memory, packed for the kernels. */
export class MemoryMask implements Mask {
  readonly pitch: number;
  readonly #lanes: number;
  readonly #inner: number;
  readonly #engine: Engine;
  readonly #mask: CountedMask;
  readonly #pointer: Pointer;

  constructor(engine: Engine, dtype: DType, mask: CountedMask, { outer, inner }: Geometry) {
    this.#lanes = LANES[dtype];
    this.#inner = inner;
    this.pitch = Math.ceil(inner / this.#lanes);
    this.#engine = engine;
    this.#mask = mask;
    const { bytes } = mask;
    this.#pointer = engine.allocate(bytes.length);
    new Uint8Array(engine.memory.buffer, this.#pointer, bytes.length).set(bytes);
    engine.kernels[dtype].packMask(this.#pointer, this.#pointer, outer, inner);
  }

  at(block: Block): Pointer {
    return this.#pointer + block.outerStart * this.pitch + block.innerStart / this.#lanes;
  }

  count(block: Block): number {
    const { bytes, total } = this.#mask;
    if (block.outer * block.inner === bytes.length) return total;
    let count = 0;
    for (let o = block.outerStart; o < block.outerStart + block.outer; o++) {
      const start = o * this.#inner + block.innerStart;
      count += countValid(bytes, start, start + block.inner);
    }
    return count;
  }

  free(): void {
    this.#engine.free(this.#pointer);
  }
}
