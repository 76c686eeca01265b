/** Shapes, their checks, and how kernels walk them. */
import { isCount, reading, wrongKind, wrongValue } from '../checks.js';
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

/**
 * A caller's shape as an array of its own, each dimension read once.
 *
 * @throws {TypeError | RangeError} where it is not a list of non-negative integers with a safe product.
 */
export function readShape(given: unknown): number[] {
  const shape = reading('shape', () => dimensionsIn(given));
  if (shape === undefined) throw wrongKind('shape', 'an array of dimensions', given);
  let product = 1;
  for (let i = 0; i < shape.length; i++) {
    const dimension = shape[i];
    if (typeof dimension !== 'number') throw wrongKind('shape', 'numbers', dimension, ` at index ${i}`);
    product *= dimension;
    if (!isCount(dimension) || !isCount(product)) {
      throw wrongValue('shape', 'non-negative integers with a product below 2^53', listed(shape as number[]));
    }
  }
  return shape as number[];
}

/** The elements of an array, up to the first that is not a number; undefined where it is not an array. */
function dimensionsIn(given: unknown): unknown[] | undefined {
  if (!Array.isArray(given)) return undefined;
  const dimensions: unknown[] = [], rank = given.length;
  for (let i = 0; i < rank; i++) {
    const dimension: unknown = given[i];
    dimensions.push(dimension);
    if (typeof dimension !== 'number') break;
  }
  return dimensions;
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
