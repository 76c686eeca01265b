/** What goes into `forward` and `backward` and comes out: typed arrays and tensors, checked and brought into reach. */
import type { DType, Floats, Geometry } from './kernels.js';
import { ALIGNMENT } from './memory.js';
import { BYTES, type Engine, MemoryTensor } from './runtime.js';
import { checkFloats, checkOverlap, describe } from './shape.js';
import { type Operand, Resident, staged } from './staging.js';

export type Values = Floats | MemoryTensor;

/** Bytes of memory that one call stages through: one channel of 32x112x112 floats fits. */
export const STAGE_BYTES = 1.6 * 2 ** 20;

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
  value.checkAlive();
  if (!sameShape(value.shape, shape)) throw new RangeError(`"${name}" expected shape [${shape.join(', ')}], got [${value.shape.join(', ')}]`);
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** An output is of the kind of its input, and either that input or apart from it. */
export function checkOutput(
  out: unknown, name: string, input: Values, dtype: DType, shape: readonly number[], engine: Engine,
): asserts out is Values {
  checkSameKind('out', out, name, input);
  checkValues('out', out, dtype, shape, engine);
  if (!(input instanceof MemoryTensor)) checkOverlap('out', out as Floats, name, input);
}

/** @throws {TypeError} where one is a Tensor and the other is not. */
export function checkSameKind(name: string, value: unknown, otherName: string, other: Values): void {
  const isTensor = other instanceof MemoryTensor;
  if (value instanceof MemoryTensor !== isTensor) {
    throw new TypeError(`"${name}" expected a ${isTensor ? 'Tensor' : 'typed array'} as "${otherName}" is, got ${describe(value)}`);
  }
}

/** Values of the kind and shape of others; those of a tensor are arbitrary. */
export function valuesLike(values: Values): Values {
  if (values instanceof MemoryTensor) return values.engine.allocateTensor(values.shape, values.dtype);
  return floatsOf(values[Symbol.toStringTag] === 'Float32Array' ? 'float32' : 'float64', values.length);
}

export function floatsOf(dtype: DType, length: number): Floats {
  return dtype === 'float32' ? new Float32Array(length) : new Float64Array(length);
}

/**
 * Puts values within reach of the kernels while `use` runs: in place where all of them live in memory, through a stage
 * otherwise.
 *
 * @param places - which place in the stage each of `values` takes; one that overwrites another shares its place
 * @param use - is given an operand for each of `values`, and the most elements that a block may have
 */
export function withOperands<const V extends readonly Values[]>(
  engine: Engine, dtype: DType, geometry: Geometry, values: V, places: readonly number[],
  use: (operands: { [I in keyof V]: Operand }, limit: number) => void,
): void {
  type Operands = { [I in keyof V]: Operand };
  const pointers = values.map((value) => pointerOf(engine, value));
  if (pointers.every((pointer) => pointer !== null)) {
    use(pointers.map((pointer) => new Resident(dtype, pointer!, geometry)) as unknown as Operands, Number.POSITIVE_INFINITY);
    return;
  }
  // Making the stage may grow memory, and with that a view of memory is lost: such a one is made anew from its address.
  const sources = (values as readonly Floats[]).map((array, i) => {
    const pointer = pointers[i] ?? null, { length } = array;
    return pointer === null ? () => array : () => engine.floats(dtype, pointer, length);
  });
  const count = Math.max(...places) + 1;
  const limit = Math.min(geometry.outer * geometry.pitch, Math.floor(STAGE_BYTES / count / BYTES[dtype]));
  const bytes = Math.ceil((limit * BYTES[dtype]) / ALIGNMENT) * ALIGNMENT;
  const stage = engine.allocate(bytes * count);
  try {
    use(
      sources.map((source, i) => staged(engine, dtype, source, geometry, stage + places[i]! * bytes)) as unknown as Operands,
      limit,
    );
  } finally {
    engine.free(stage);
  }
}

/** The address of values that live in the runtime's memory, or null. */
function pointerOf(engine: Engine, values: Values): number | null {
  if (values instanceof MemoryTensor) return values.pointer;
  return values.buffer === engine.memory.buffer ? values.byteOffset : null;
}
