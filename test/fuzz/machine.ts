/** A runtime kind, and whether tensors or typed arrays go into it; both with red zones around them. */
import type { DType, Floats, Runtime, Tensor } from '../../src/index.js';
import { KINDS, makeRuntime } from '../setup.js';

const RED = 8;
const SENTINEL = -12345.678;

/** Values as the package takes them. */
export interface Placed {
  readonly value: Floats | Tensor;
  read(): Floats;
  /** Whether nothing has been written around it. */
  isFenced(): boolean;
  release(): void;
}

export interface Machine {
  readonly name: string;
  readonly runtime: Runtime;
  readonly tensors: boolean;
  place(dtype: DType, values: ArrayLike<number>, shape: readonly number[], offset?: number): Placed;
}

const ARRAYS = { float32: Float32Array, float64: Float64Array };
const FENCES = { float32: new Float32Array(RED).fill(SENTINEL), float64: new Float64Array(RED).fill(SENTINEL) };

function inArray(dtype: DType, values: ArrayLike<number>, offset = 0): Placed {
  const whole = new ARRAYS[dtype](values.length + 2 * RED + offset), from = RED + offset, to = from + values.length;
  whole.fill(SENTINEL, 0, from).fill(SENTINEL, to).set(values, from);
  const value = whole.subarray(from, to), [sentinel] = FENCES[dtype];
  return {
    value,
    read: () => value,
    isFenced() {
      for (let i = 0; i < from; i++) if (whole[i] !== sentinel) return false;
      for (let i = to; i < whole.length; i++) if (whole[i] !== sentinel) return false;
      return true;
    },
    release() {},
  };
}

function inTensor(runtime: Runtime, dtype: DType, values: ArrayLike<number>, shape: readonly number[]): Placed {
  const fence = () => runtime.tensor([RED], { dtype, data: FENCES[dtype] });
  const before = fence(), value = runtime.tensor(shape, { dtype, data: values }), after = fence(), [sentinel] = FENCES[dtype];
  return {
    value,
    read: () => value.data,
    isFenced: () => [before, after].every(({ data }) => data.every((number) => number === sentinel)),
    release() { for (const tensor of [before, value, after]) tensor.dispose(); },
  };
}

/** Threads cut tensors only from 262,144 elements on, which no scenario has; cut more finely, their sums have bounds of their own. */
const FUZZED = KINDS.filter((kind) => kind !== 'wasm-threads');

/** Each kind with arrays first, then with tensors. Runtimes stay for all scenarios, so that memory is used again. */
export const MACHINES: readonly Machine[] = FUZZED.flatMap((kind) => {
  const runtime = makeRuntime(kind);
  return [false, true].map((tensors): Machine => ({
    name: `${kind}, ${tensors ? 'tensors' : 'arrays'}`, runtime, tensors,
    place: (dtype, values, shape, offset) => (tensors ? inTensor(runtime, dtype, values, shape) : inArray(dtype, values, offset)),
  }));
});
