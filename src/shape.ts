/** Shapes and the checks of everything that carries one. All throw before anything has changed. */
import {
  checkList, checkNumbers, checkOneOf, checkOptions, isCount, isTypedArray, wrongArray, wrongKind, wrongValue,
} from './checks.js';
import type { DType, Floats, Geometry } from './kernels.js';

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
 * A shape as the kernels walk it. One channel is one run whatever the layout.
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
  if (channels === 1) return { outer: 1, channels, inner: outer * inner, pitch: outer * inner };
  return { outer, channels, inner, pitch: channels * inner };
}

/** @throws {TypeError} another type than the dtype's array. @throws {RangeError} another length than the shape's. */
export function checkFloats(
  name: string, value: unknown, dtype: DType, shape: readonly number[],
): asserts value is Floats {
  const type = dtype === 'float32' ? 'Float32Array' : 'Float64Array', length = elements(shape);
  if (!isTypedArray(value, type) || value.length !== length) throw wrongArray(name, value, type, length, ` (${shape.join('x')})`);
}

/** @throws {RangeError} where two arrays share some bytes but do not start at the same one. */
export function checkOverlap(nameA: string, a: Floats, nameB: string, b: Floats): void {
  if (a.buffer !== b.buffer || a.byteOffset === b.byteOffset) return;
  if (a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength) {
    const bytes = ({ byteOffset, byteLength }: Floats) => `${byteOffset} to ${byteOffset + byteLength}`;
    throw wrongValue(nameA, `to be "${nameB}" itself or apart from it`, `bytes ${bytes(a)} against ${bytes(b)} of one buffer`);
  }
}

/** Checks the arguments of `Runtime.tensor`. */
export function checkTensor(shape: unknown, init: { dtype?: unknown; data?: unknown }): void {
  checkShape(shape);
  checkOptions('tensor', init, ['dtype', 'data']);
  checkOneOf('dtype', init.dtype, ['float32', 'float64']);
  if (init.data === undefined) return;
  const { data } = init;
  checkList('data', data, elements(shape), ` (${shape.join('x')})`);
  if (ArrayBuffer.isView(data) && !(data[Symbol.toStringTag as never] as string).startsWith('Big')) return;
  checkNumbers('data', data);
}
