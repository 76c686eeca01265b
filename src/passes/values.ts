/** What goes into `forward` and `backward` and comes out: typed arrays and tensors, and their checks. */
import { isTypedArray, wrongArray, wrongKind, wrongValue } from '../checks.js';
import { type Engine, MemoryTensor } from '../runtime/engine.js';
import type { DType, Floats, FloatsOf } from '../runtime/kernels.js';
import { elements, listed } from '../runtime/shape.js';

export type Values = Floats | MemoryTensor;

/** @throws {TypeError} another kind, dtype or runtime. @throws {RangeError} another shape. */
export function checkValues(
  name: string, value: unknown, dtype: DType, shape: readonly number[], engine: Engine,
): asserts value is Values {
  if (!(value instanceof MemoryTensor)) {
    checkFloats(name, value, dtype, shape);
    return;
  }
  if (value.engine !== engine) throw new TypeError(`"${name}" expected a Tensor of this module's runtime, got another's`);
  if (value.dtype !== dtype) throw new TypeError(`"${name}" expected dtype ${dtype}, got ${value.dtype}`);
  value.checkAlive(`"${name}"`);
  if (!sameShape(value.shape, shape)) throw wrongValue(name, `shape ${listed(shape)}`, listed(value.shape));
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** @throws {TypeError} another type than the dtype's array. @throws {RangeError} another length than the shape's. */
export function checkFloats(
  name: string, value: unknown, dtype: DType, shape: readonly number[],
): asserts value is Floats {
  const type = dtype === 'float32' ? 'Float32Array' : 'Float64Array', length = elements(shape);
  if (!isTypedArray(value, type) || value.length !== length) throw wrongArray(name, value, type, length, ` (${shape.join('x')})`);
}

/** @throws {RangeError} two arrays share some bytes but do not start at the same one. */
export function checkOverlap(nameA: string, a: Floats, nameB: string, b: Floats): void {
  if (a.buffer !== b.buffer || a.byteOffset === b.byteOffset) return;
  if (a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength) {
    const bytes = ({ byteOffset, byteLength }: Floats) => `${byteOffset} to ${byteOffset + byteLength}`;
    throw wrongValue(nameA, `to be "${nameB}" itself or apart from it`, `bytes ${bytes(a)} against ${bytes(b)} of one buffer`);
  }
}

/**
 * Checks an input that must be of the kind and shape of another.
 *
 * @throws {TypeError} one is a Tensor and the other is not; as `checkValues`.
 */
export function checkInput(
  value: unknown, name: string, otherName: string, other: Values, dtype: DType, shape: readonly number[], engine: Engine,
): asserts value is Values {
  const isTensor = other instanceof MemoryTensor;
  if (value instanceof MemoryTensor !== isTensor) {
    throw wrongKind(name, `a ${isTensor ? 'Tensor' : 'typed array'} as "${otherName}" is`, value);
  }
  checkValues(name, value, dtype, shape, engine);
}

/** Checks an output: of the kind of an input, and either that input itself or apart from it. */
export function checkOutput(
  out: unknown, name: string, input: Values, dtype: DType, shape: readonly number[], engine: Engine,
): asserts out is Values {
  checkInput(out, 'out', name, input, dtype, shape, engine);
  if (!(input instanceof MemoryTensor)) checkOverlap('out', out as Floats, name, input);
}

/** Whether writing one writes the other, which begins at the same byte. */
export function sameMemory(a: Values, b: Values): boolean {
  if (a instanceof MemoryTensor || b instanceof MemoryTensor) return a === b;
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.length > 0;
}

/** The values as a typed array. */
export function floatsIn(values: Values): Floats {
  return values instanceof MemoryTensor ? values.data : values;
}

/** Runs `action`; if it throws, frees the results first, which nobody will see. */
export function releaseOnThrow(results: readonly Values[], action: () => void): void {
  try {
    action();
  } catch (error) {
    for (const result of results) if (result instanceof MemoryTensor) result.dispose();
    throw error;
  }
}

/** Values of the kind and shape of others; those of a tensor are arbitrary. */
export function valuesLike(values: Values): Values {
  if (values instanceof MemoryTensor) return values.engine.allocateTensor(values.shape, values.dtype);
  return floatsOf(values[Symbol.toStringTag] === 'Float32Array' ? 'float32' : 'float64', values.length);
}

export function floatsOf(dtype: DType, length: number): FloatsOf {
  return dtype === 'float32' ? new Float32Array(length) : new Float64Array(length);
}
