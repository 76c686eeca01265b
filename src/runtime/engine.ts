import { checkList, checkNumbers, checkOneOf, checkOptions, disposed, wrongKind } from '../checks.js';
import { BYTES, type DType, type Floats, type Kernels, type Pointer } from './kernels.js';
import { type Allocator, type Memory, SMALL_BYTES } from './memory.js';
import { checkShape, elements } from './shape.js';

/** An array in the memory of a runtime: passing it to `forward` or `backward` of the same runtime costs no copy. */
export interface Tensor {
  /** The values, row-major. Always current: read it again after anything that may have made tensors. */
  readonly data: Floats;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Frees the memory. Any use after that throws a TypeError; a second dispose does nothing. */
  dispose(): void;
}

/** Kernels together with the memory they work in. */
export interface Runtime {
  readonly kind: 'wasm-simd' | 'javascript';
  /**
   * A new tensor: zeros, or a copy of `data`.
   *
   * @param shape - any rank; non-negative integers
   * @param init - `dtype`: default 'float32'; `data`: as many numbers as the shape holds
   * @throws {RangeError} where `data` has another length, or memory runs out.
   */
  tensor(shape: readonly number[], init?: { dtype?: DType; data?: ArrayLike<number> }): Tensor;
  /** Bytes of live tensors, in whole cache lines. Scratch of a call is freed before the call returns. */
  readonly bytesInUse: number;
  /** Releases all memory. Tensors and layers of this runtime cannot be used any more. */
  dispose(): void;
}

/** What the passes see of a runtime: kernels by element type, an allocator, and views made at use. */
export class Engine implements Runtime {
  readonly kind: 'wasm-simd' | 'javascript';
  readonly kernels: Record<DType, Kernels>;
  readonly #allocator: Allocator;
  #disposed = false;

  constructor(kind: Engine['kind'], allocator: Allocator, kernels: Record<DType, Kernels>) {
    this.kind = kind;
    this.kernels = kernels;
    this.#allocator = allocator;
  }

  get memory(): Memory {
    return this.#allocator.memory;
  }

  get bytesInUse(): number {
    return this.#disposed ? 0 : this.#allocator.bytesInUse;
  }

  tensor(shape: readonly number[], init: { dtype?: DType; data?: ArrayLike<number> } = {}): Tensor {
    checkTensorArguments(shape, init);
    const tensor = this.allocateTensor(shape, init.dtype ?? 'float32');
    if (init.data) tensor.data.set(init.data);
    else tensor.data.fill(0);
    return tensor;
  }

  /** A tensor with arbitrary content. */
  allocateTensor(shape: readonly number[], dtype: DType): MemoryTensor {
    return new MemoryTensor(this, Object.freeze([...shape]), dtype);
  }

  allocate(bytes: number): Pointer {
    this.checkAlive();
    return this.#allocator.allocate(bytes);
  }

  free(pointer: Pointer): void {
    if (!this.#disposed) this.#allocator.free(pointer);
  }

  /** Memory for one call, with arbitrary content. A small amount comes from a place that is always reserved. */
  allocateScratch(bytes: number): Pointer {
    return bytes <= SMALL_BYTES ? this.#allocator.small : this.allocate(bytes);
  }

  freeScratch(pointer: Pointer): void {
    if (pointer !== this.#allocator.small) this.free(pointer);
  }

  /** A view of T at a pointer, good until memory grows. */
  floats(dtype: DType, pointer: Pointer, length: number): Floats {
    return dtype === 'float32'
      ? new Float32Array(this.memory.buffer, pointer, length)
      : new Float64Array(this.memory.buffer, pointer, length);
  }

  checkAlive(): void {
    if (this.#disposed) throw disposed('runtime');
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  dispose(): void {
    this.#disposed = true;
  }
}

/** @throws {TypeError} not a runtime of this package. undefined passes. */
export function checkRuntime(runtime: unknown): asserts runtime is Engine | undefined {
  if (runtime !== undefined && !(runtime instanceof Engine)) throw wrongKind('runtime', 'what createRuntime() returns', runtime);
}

/** The only implementation of Tensor: an address, a shape and a type. */
export class MemoryTensor implements Tensor {
  readonly engine: Engine;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly length: number;
  #pointer: Pointer;
  #view: Floats | undefined;

  constructor(engine: Engine, shape: readonly number[], dtype: DType) {
    this.engine = engine;
    this.shape = shape;
    this.dtype = dtype;
    this.length = elements(shape);
    this.#pointer = engine.allocate(this.length * BYTES[dtype]);
  }

  /** @param what - this tensor, in the words of the error. @throws {TypeError} after dispose. */
  checkAlive(what = 'tensor'): void {
    this.engine.checkAlive();
    if (this.#pointer === 0) throw disposed(what);
  }

  /** Address of the first element. */
  get pointer(): Pointer {
    this.checkAlive();
    return this.#pointer;
  }

  get data(): Floats {
    const { pointer, engine } = this;
    // A view is kept only as long as the buffer it looks at: growth replaces that.
    if (this.#view?.buffer !== engine.memory.buffer) this.#view = engine.floats(this.dtype, pointer, this.length);
    return this.#view!;
  }

  dispose(): void {
    if (this.#pointer === 0) return;
    this.engine.free(this.#pointer);
    this.#pointer = 0;
    this.#view = undefined;
  }
}

/** Checks the arguments of `Runtime.tensor`. */
function checkTensorArguments(shape: unknown, init: { dtype?: unknown; data?: unknown }): void {
  checkShape(shape);
  checkOptions('tensor', init, ['dtype', 'data']);
  checkOneOf('dtype', init.dtype, ['float32', 'float64']);
  if (init.data === undefined) return;
  const { data } = init;
  checkList('data', data, elements(shape), ` (${shape.join('x')})`);
  if (ArrayBuffer.isView(data) && !(data[Symbol.toStringTag as never] as string).startsWith('Big')) return;
  checkNumbers('data', data);
}
