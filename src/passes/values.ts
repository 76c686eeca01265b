/** What goes into `forward` and `backward` and comes out: typed arrays and tensors, and their checks. */
import { isTypedArray, lengthOf, plainView } from '../arrays.js';
import { wrongKind, wrongValue } from '../checks.js';
import { wrongArray } from '../lists.js';
import { type Engine, MemoryTensor, type Tensor } from '../runtime/engine.js';
import { BYTES, type DType, type Floats, type FloatsOf } from '../runtime/kernels.js';
import { elements, listed } from '../runtime/shape.js';
import { current, located, MemoryView } from '../runtime/views.js';

/** What is computed on: plain arrays, those that live in the memory of a runtime by their address, and tensors. */
export type Values = Floats | MemoryView<Floats> | MemoryTensor;

/**
 * The values of an argument.
 *
 * @throws {TypeError} another kind, dtype or runtime. @throws {RangeError} another shape.
 */
export function valuesOf(name: string, value: unknown, dtype: DType, shape: readonly number[], engine: Engine): Values {
  if (!MemoryTensor.is(value)) return located(floatsFrom(name, value, dtype, shape));
  if (value.engine !== engine) throw new TypeError(`"${name}" expected a Tensor of this module's runtime, got another's`);
  if (value.dtype !== dtype) throw new TypeError(`"${name}" expected dtype ${dtype}, got ${value.dtype}`);
  value.checkAlive(`"${name}"`);
  if (!sameShape(value.shape, shape)) throw wrongValue(name, `shape ${listed(shape)}`, listed(value.shape));
  return value;
}

/** Checks values that have been kept. @throws {TypeError} disposed. @throws {RangeError} an array that has lost its buffer. */
export function checkKept(name: string, values: Values, dtype: DType, shape: readonly number[]): void {
  if (!ArrayBuffer.isView(values)) values.checkAlive();
  else if (values.length !== elements(shape)) throw wrongFloats(name, values, dtype, shape);
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * The elements of a caller's array as a plain one.
 *
 * @throws {TypeError} another type than the dtype's array. @throws {RangeError} another length than the shape's.
 */
export function floatsFrom(name: string, value: unknown, dtype: DType, shape: readonly number[]): FloatsOf {
  if (!isTypedArray(value, TYPES[dtype]) || lengthOf(value) !== elements(shape)) throw wrongFloats(name, value, dtype, shape);
  return dtype === 'float32' ? plainView(value, Float32Array) : plainView(value, Float64Array);
}

const TYPES = { float32: 'Float32Array', float64: 'Float64Array' } as const;

function wrongFloats(name: string, value: unknown, dtype: DType, shape: readonly number[]): Error {
  return wrongArray(name, value, TYPES[dtype], elements(shape), ` (${shape.join('x')})`);
}

/** @throws {RangeError} two of this dtype share some bytes but do not start at the same one. */
export function checkOverlap(nameA: string, a: Values, nameB: string, b: Values, dtype: DType): void {
  const startA = byteOffsetOf(a), startB = byteOffsetOf(b);
  if (homeOf(a) !== homeOf(b) || startA === startB) return;
  const endA = startA + a.length * BYTES[dtype], endB = startB + b.length * BYTES[dtype];
  if (startA < endB && startB < endA) {
    const got = `bytes ${startA} to ${endA} against ${startB} to ${endB} of one buffer`;
    throw wrongValue(nameA, `to be "${nameB}" itself or apart from it`, got);
  }
}

/** Whether writing one writes the other, which begins at the same byte. */
export function sameMemory(a: Values, b: Values): boolean {
  return homeOf(a) === homeOf(b) && byteOffsetOf(a) === byteOffsetOf(b) && a.length > 0;
}

/** What holds the bytes of values: two have some in common only where this is the same. */
function homeOf(values: Values): object {
  return ArrayBuffer.isView(values) ? values.buffer : values.engine;
}

/** Where values begin in what holds them. */
export function byteOffsetOf(values: Values): number {
  return ArrayBuffer.isView(values) ? values.byteOffset : values.pointer;
}

/**
 * The values of an input that must be of the kind and shape of another.
 *
 * @throws {TypeError} one is a Tensor and the other is not; as `valuesOf`.
 */
export function inputOf(
  name: string, value: unknown, otherName: string, other: Values, dtype: DType, shape: readonly number[], engine: Engine,
): Values {
  const isTensor = other instanceof MemoryTensor;
  if (MemoryTensor.is(value) !== isTensor) {
    throw wrongKind(name, `a ${isTensor ? 'Tensor' : 'typed array'} as "${otherName}" is`, value);
  }
  return valuesOf(name, value, dtype, shape, engine);
}

/** The values of an output: of the kind of an input, and either that input itself or apart from it. */
export function outputOf(
  out: unknown, name: string, input: Values, dtype: DType, shape: readonly number[], engine: Engine,
): Values {
  const values = inputOf('out', out, name, input, dtype, shape, engine);
  checkOverlap('out', values, name, input, dtype);
  return values;
}

/** The values as a typed array, good until memory grows. */
export function floatsIn(values: Values): Floats {
  return values instanceof MemoryTensor ? values.data : current(values);
}

/** What the caller gets for an output: what they gave for it, but a new view where memory has grown under that. */
export function resultOf(values: Values, given: unknown): Floats | Tensor {
  if (values instanceof MemoryView) return given === undefined ? values.data : values.renew(given as Floats);
  return given === undefined ? values : given as Floats | Tensor;
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

/** Values of the kind and shape of others; those of a tensor are arbitrary, and no others are in memory. */
export function valuesLike(values: Values, dtype: DType): Floats | MemoryTensor {
  return values instanceof MemoryTensor ? values.engine.allocateTensor(values.shape, dtype) : floatsOf(dtype, values.length);
}

export function floatsOf(dtype: DType, length: number): FloatsOf {
  return dtype === 'float32' ? new Float32Array(length) : new Float64Array(length);
}
