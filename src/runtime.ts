import { disposed, wrongKind } from './checks.js';
import type { DType, Floats, Kernels, Pointer } from './kernels.js';
import { Allocator, type Heap, HeapMemory, MAXIMUM_BYTES, type Memory, PAGE, SMALL_BYTES } from './memory.js';
import { checkRuntimeOptions } from './options.js';
import { reference } from './reference.js';
import { checkTensor, elements } from './shape.js';
import { refusal, wasmKernels } from './wasm.js';

/** An array in the memory of a runtime: passing it to `forward` or `backward` of the same runtime costs no copy. */
export interface Tensor {
  /** The values, row-major. Always current: read it again after anything that may have made tensors. */
  readonly data: Floats;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Gives the memory back. Any use after that throws a TypeError; a second dispose does nothing. */
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
  /** Bytes of live tensors, in whole cache lines. Scratch of a call is given back before the call returns. */
  readonly bytesInUse: number;
  /** Lets go of all memory; tensors and modules of this runtime cannot be used any more. */
  dispose(): void;
}

/** Options of {@link createRuntime}. */
export interface RuntimeOptions {
  /** Default: 'wasm-simd' where the engine allows it, otherwise 'javascript', with a warning the first time. */
  kind?: 'wasm-simd' | 'javascript';
  /** The kernel module, compiled or as bytes, for hosts that forbid compiling the packaged bytes at run time. */
  module?: WebAssembly.Module | BufferSource;
  /** Upper bound of the memory, in bytes; default and most: 4 GiB less 64 KiB. */
  maximumBytes?: number;
}

/**
 * A runtime of its own: kernels and a memory that starts at 64 KiB and grows as needed.
 *
 * 'javascript' is the plain TypeScript implementation of the same kernels, with the same API.
 *
 * @throws {TypeError} where 'wasm-simd' is asked for and the engine has no WebAssembly SIMD or forbids compiling it.
 */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  checkRuntimeOptions(options);
  const { module, maximumBytes = MAXIMUM_BYTES } = options;
  const kind = options.kind ?? (module ? 'wasm-simd' : defaultKind());
  if (kind === 'javascript') {
    const memory = new HeapMemory(1);
    return new Engine(kind, new Allocator(memory, maximumBytes), reference(memory));
  }
  const reason = module && typeof WebAssembly === 'object' ? undefined : refusal();
  if (reason !== undefined) {
    throw new TypeError(`kind 'wasm-simd' expected an engine that compiles WebAssembly SIMD, got one that does not: ${reason}`);
  }
  const memory = new WebAssembly.Memory({ initial: 1, maximum: Math.floor(maximumBytes / PAGE) });
  return new Engine(kind, new Allocator(memory, maximumBytes), wasmKernels(memory, module));
}

let warned = false;

/** 'wasm-simd' where the engine allows it; otherwise 'javascript', and a warning, once, that says what stands in the way. */
function defaultKind(): Runtime['kind'] {
  const reason = refusal();
  if (reason === undefined) return 'wasm-simd';
  if (!warned) globalThis.console?.warn(`batchnorm-wasm: the plain kernels step in, which are several times slower: ${reason}`);
  warned = true;
  return 'javascript';
}

let shared: Engine | undefined;

/** The runtime of modules that were given none, made on first use. */
export function sharedRuntime(): Engine {
  shared ??= createRuntime() as Engine;
  return shared;
}

/** What the passes see of a runtime: kernels by element type, an allocator, and views made at use. */
export class Engine implements Runtime {
  readonly kind: 'wasm-simd' | 'javascript';
  readonly kernels: Record<DType, Kernels>;
  readonly #allocator: Heap;
  #disposed = false;

  constructor(kind: Engine['kind'], allocator: Heap, kernels: Record<DType, Kernels>) {
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
    checkTensor(shape, init);
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

  /** Memory for one call, with arbitrary content: what is small comes from a place that is always there. */
  takeScratch(bytes: number): Pointer {
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

  dispose(): void {
    this.#disposed = true;
    if (shared === this) shared = undefined;
  }
}

/** @throws {TypeError} what is no runtime of this package. undefined passes. */
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

  /** @throws {TypeError} after dispose. */
  checkAlive(): void {
    this.engine.checkAlive();
    if (this.#pointer === 0) throw disposed('tensor');
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

export const BYTES: Record<DType, number> = { float32: 4, float64: 8 };
