/** Checks of arrays and tensors before the others are asked: whatever `BatchNorm` would refuse once they have answered. */
import { bufferOf, isTypedArray, lengthOf, typeOf } from '../arrays.js';
import { wrongKind, wrongValue } from '../checks.js';
import type { BatchNorm, Floats, Tensor } from '../index.js';

export type Values = Floats | Tensor;

export function isTensor(value: unknown): value is Tensor {
  return typeof (value as Partial<Tensor> | null)?.dispose === 'function';
}

/** Gives values when asked. */
export type Lasting<V> = () => V;

/**
 * Values that are good after a wait: memory may grow meanwhile, which leaves an array in the memory of the layer's runtime empty,
 * or with what it had before. The array is made anew then, where it was.
 */
export function lasting<V extends Values | Uint8Array | undefined>(bn: BatchNorm, values: V): Lasting<V> {
  const TypedArray = TYPES[typeOf(values) as keyof typeof TYPES];
  if (!TypedArray) return () => values;
  const buffer = bufferOf(values), { byteOffset } = values as Floats, length = lengthOf(values);
  if (length * TypedArray.BYTES_PER_ELEMENT === buffer.byteLength || buffer !== memoryOf(bn)) return () => values;
  return () => {
    const memory = memoryOf(bn);
    return memory === buffer ? values : new TypedArray(memory as ArrayBuffer, byteOffset, length) as V;
  };
}

const TYPES = { Float32Array, Float64Array, Uint8Array };

function memoryOf(bn: BatchNorm): ArrayBufferLike {
  const probe = bn.runtime.tensor([0]);
  try {
    return probe.data.buffer;
  } finally {
    probe.dispose();
  }
}

/** Room for a result of the size of x. */
export function valuesLike(bn: BatchNorm, x: Values): Values {
  if (isTensor(x)) return bn.runtime.tensor(x.shape, { dtype: bn.dtype });
  return bn.dtype === 'float32' ? new Float32Array(x.length) : new Float64Array(x.length);
}

/** Frees what was made for a call that throws. */
export function release(...made: (Values | null)[]): void {
  for (const values of made) if (isTensor(values)) values.dispose();
}

/** @throws {TypeError} neither an array nor a tensor of the layer's dtype. */
export function checkValues(bn: BatchNorm, name: string, value: unknown): asserts value is Values {
  const type = bn.dtype === 'float32' ? 'Float32Array' : 'Float64Array';
  if (!isTypedArray(isTensor(value) ? value.data : value, type)) throw wrongKind(name, `${type} or a Tensor of ${bn.dtype}`, value);
}

/** @throws {TypeError | RangeError} of another kind, dtype, shape or runtime than x, which is called `of`. */
export function checkLike(name: string, value: unknown, of: string, x: Values): asserts value is Values {
  if (isTensor(value) !== isTensor(x)) throw wrongKind(name, `a ${isTensor(x) ? 'Tensor' : 'typed array'} as "${of}" is`, value);
  const own = isTensor(value) ? value.data : value, other = dataOf(x), type = typeOf(other)!;
  if (!isTypedArray(own, type)) throw wrongKind(name, `${type} as "${of}" is`, own);
  if (lengthOf(own) !== lengthOf(other)) throw wrongValue(name, `length ${lengthOf(other)} as "${of}" has`, `length ${lengthOf(own)}`);
  if (!isTensor(value) || !isTensor(x)) return;
  if (value.data.buffer !== x.data.buffer) throw new TypeError(`"${name}" expected a Tensor of the runtime of "${of}", got another's`);
  if (String(value.shape) !== String(x.shape)) throw wrongValue(name, `shape [${x.shape.join(', ')}]`, `[${value.shape.join(', ')}]`);
}

/** @throws {RangeError} out shares memory with x without being x, or where it must not even be that. */
export function checkApart(out: Values, of: string, x: Values, mayBeSame: boolean): void {
  const a = dataOf(out), b = dataOf(x);
  if (bufferOf(a) !== bufferOf(b) || a.byteOffset + a.byteLength <= b.byteOffset || b.byteOffset + b.byteLength <= a.byteOffset) return;
  if (mayBeSame && a.byteOffset === b.byteOffset) return;
  throw wrongValue('out', `to be ${mayBeSame ? `"${of}" itself or ` : ''}apart from ${of}`, 'memory that both share');
}

function dataOf(values: Values): Floats {
  return isTensor(values) ? values.data : values;
}
