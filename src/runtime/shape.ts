/** Shapes, their checks, and how kernels walk them. */
import { isCount, wrongKind, wrongValue } from '../checks.js';
import type { Geometry } from './kernels.js';

/** 'channels-first': [N, C, ...positions]. 'channels-last': [N, ...positions, C]. Rank 2 ([N, C]) is both. */
export type Layout = 'channels-first' | 'channels-last';

/** Number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  let product = 1;
  for (let i = 0; i < shape.length; i++) product *= shape[i]!;
  return product;
}

/** A shape in an error message. */
export function listed(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** @throws {TypeError | RangeError} where a shape is not a list of non-negative integers with a safe product. */
export function checkShape(shape: unknown): asserts shape is readonly number[] {
  if (!Array.isArray(shape)) throw wrongKind('shape', 'an array of dimensions', shape);
  let product = 1;
  for (let i = 0; i < shape.length; i++) {
    const dimension: unknown = shape[i];
    if (typeof dimension !== 'number') throw wrongKind('shape', 'numbers', dimension, ` at index ${i}`);
    product *= dimension;
    if (!isCount(dimension) || !isCount(product)) {
      throw wrongValue('shape', 'non-negative integers with a product below 2^53', listed(shape));
    }
  }
}

/**
 * A shape as the kernels walk it.
 *
 * @throws {RangeError} where the rank is below 2 or the channel axis has another size than `channels`.
 */
export function geometryOf(shape: readonly number[], layout: Layout, channels: number): Geometry {
  const rank = shape.length;
  if (rank < 2) throw wrongValue('shape', 'a rank of 2 or more', listed(shape));
  const axis = layout === 'channels-first' ? 1 : rank - 1;
  if (shape[axis] !== channels) {
    throw wrongValue('shape', `${channels} channels on axis ${axis} (${layout})`, listed(shape));
  }
  let outer = 1, inner = 1;
  for (let i = 0; i < rank; i++) {
    if (i < axis) outer *= shape[i]!;
    else if (i > axis) inner *= shape[i]!;
  }
  return contiguous(outer, channels, inner);
}

/** [outer, channels, inner] without gaps. One channel is one run, whatever the layout. */
export function contiguous(outer: number, channels: number, inner: number): Geometry {
  if (channels === 1) return { outer: 1, channels, inner: outer * inner, pitch: outer * inner };
  return { outer, channels, inner, pitch: channels * inner };
}
