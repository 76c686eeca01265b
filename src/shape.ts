/** Shapes and the checks of everything that carries one. All throw before anything has changed. */
import type { DType, Floats, Geometry } from './kernels.js';

/** 'channels-first': [N, C, ...positions]. 'channels-last': [N, ...positions, C]. Rank 2 ([N, C]) is both. */
export type Layout = 'channels-first' | 'channels-last';

/** Number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  let product = 1;
  for (let i = 0; i < shape.length; i++) product *= shape[i]!;
  return product;
}

/** @throws {TypeError | RangeError} where a shape is not a list of non-negative integers with a safe product. */
export function checkShape(shape: unknown): asserts shape is readonly number[] {
  if (!Array.isArray(shape)) throw new TypeError(`"shape" expected an array of dimensions, got ${describe(shape)}`);
  let product = 1;
  for (let i = 0; i < shape.length; i++) {
    const dimension: unknown = shape[i];
    if (typeof dimension !== 'number') {
      throw new TypeError(`"shape" expected numbers, got ${describe(dimension)} at index ${i}`);
    }
    product *= dimension;
    if (!Number.isSafeInteger(dimension) || dimension < 0 || !Number.isSafeInteger(product)) {
      throw new RangeError(
        `"shape" expected non-negative integers with a product below 2^53, got [${shape.join(', ')}]`,
      );
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
  if (rank < 2) throw new RangeError(`"shape" expected a rank of 2 or more, got [${shape.join(', ')}]`);
  const axis = layout === 'channels-first' ? 1 : rank - 1;
  if (shape[axis] !== channels) {
    throw new RangeError(
      `"shape" expected ${channels} channels on axis ${axis} (${layout}), got [${shape.join(', ')}]`,
    );
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
  const expected = dtype === 'float32' ? 'Float32Array' : 'Float64Array';
  const length = elements(shape);
  // The tag instead of instanceof: arrays of another realm (an iframe, a test runner's sandbox) are welcome.
  if (!ArrayBuffer.isView(value) || (value as Floats)[Symbol.toStringTag] !== expected) {
    throw new TypeError(`"${name}" expected ${expected} of length ${length} (${shape.join('x')}), got ${describe(value)}`);
  }
  if ((value as Floats).length !== length) {
    throw new RangeError(
      `"${name}" expected ${expected} of length ${length} (${shape.join('x')}), got length ${(value as Floats).length}`,
    );
  }
}

/** @throws {RangeError} where two arrays share some bytes but do not start at the same one. */
export function checkOverlap(nameA: string, a: Floats, nameB: string, b: Floats): void {
  if (a.buffer !== b.buffer || a.byteOffset === b.byteOffset) return;
  if (a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength) {
    throw new RangeError(
      `"${nameA}" expected to be "${nameB}" itself or apart from it, got bytes ${a.byteOffset} to ` +
        `${a.byteOffset + a.byteLength} against ${b.byteOffset} to ${b.byteOffset + b.byteLength} of one buffer`,
    );
  }
}

/** Checks the arguments of `Runtime.tensor`. */
export function checkTensor(shape: unknown, init: { dtype?: unknown; data?: unknown }): void {
  checkShape(shape);
  checkOptions('tensor', init, ['dtype', 'data']);
  checkOneOf('dtype', init.dtype, ['float32', 'float64']);
  if (init.data === undefined) return;
  const data = init.data as ArrayLike<unknown> | null;
  if (typeof data !== 'object' || typeof data?.length !== 'number') {
    throw new TypeError(`"data" expected an array of numbers, got ${describe(data)}`);
  }
  if (data.length !== elements(shape)) {
    throw new RangeError(`"data" expected length ${elements(shape)} (${shape.join('x')}), got length ${data.length}`);
  }
  if (ArrayBuffer.isView(data) && !(data[Symbol.toStringTag as never] as string).startsWith('Big')) return;
  checkNumbers('data', data);
}

/** @throws {TypeError} where an element is not a number. */
export function checkNumbers(name: string, values: ArrayLike<unknown>): void {
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] !== 'number') {
      throw new TypeError(`"${name}" expected numbers, got ${describe(values[i])} at index ${i}`);
    }
  }
}

/** @throws {TypeError} where options are no object or hold a key that nothing reads: a misspelt option is no option. */
export function checkOptions(name: string, options: unknown, keys: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${name}() expected an object of options, got ${describe(options)}`);
  }
  for (const key in options) {
    if (!keys.includes(key) && Object.hasOwn(options, key)) throw new TypeError(`${name}() expected options ${keys.join(', ')}, got "${key}"`);
  }
}

/** @throws {TypeError} anything but true or false. */
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw new TypeError(`"${name}" expected true or false, got ${describe(value)}`);
}

/** @throws {TypeError} no string. @throws {RangeError} none of the choices. undefined passes. */
export function checkOneOf(name: string, value: unknown, choices: readonly string[]): void {
  if (value === undefined) return;
  const wanted = choices.map((choice) => `'${choice}'`).join(' or ');
  if (typeof value !== 'string') throw new TypeError(`"${name}" expected ${wanted}, got ${describe(value)}`);
  if (!choices.includes(value)) throw new RangeError(`"${name}" expected ${wanted}, got '${value}'`);
}

/** A value in an error message: what kind it is, and which where that is short. */
export function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value);
  if (typeof value === 'number' || typeof value === 'bigint') return `${typeof value} ${value}`;
  if (typeof value !== 'object') return typeof value;
  const length = (value as { length?: unknown }).length;
  const name = Object.prototype.toString.call(value).slice(8, -1);
  return typeof length === 'number' ? `${name} of length ${length}` : name;
}
