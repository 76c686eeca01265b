import { checkOneOf, checkOptions, disposed, wrongKind } from '../checks.js';
import { numbersIn } from '../lists.js';
import { BYTES, type DType, type Floats, type Kernels, type Pointer } from './kernels.js';
import { type Allocator, type Memory, SMALL_BYTES } from './memory.js';
import { elements, readShape } from './shape.js';
import { current, located, type MemoryOwner, viewOf } from './views.js';

/** An array in the memory of a runtime: passing it to `forward` or `backward` of the same runtime costs no copy. */
export interface Tensor {
  /** The values, row-major: a view of the memory. Read it again after anything that may have made tensors: growth empties it. */
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
  /**
   * Threads at work now, the caller's among them: 1 until workers have started, where the host has no shared memory, and after dispose.
   * Results are the same bits for any number.
   */
  readonly threads: number;
  /** Fulfilled when as many threads as can be had are at work. It never rejects: what is missing is said once on the console. */
  readonly ready: Promise<void>;
  /** Releases all memory and ends workers. Tensors and layers of this runtime cannot be used any more. */
  dispose(): void;
}

/** What an engine with several threads has beside its kernels. */
export interface Helpers {
  readonly threads: number;
  readonly ready: Promise<void>;
  dispose(): void;
}

/** What an engine has until it is disposed. */
interface Resources {
  readonly allocator: Allocator;
  readonly kernels: Record<DType, Kernels>;
  /** The latest view of each tensor. Here and not in the tensors, which may be kept longer than the memory is needed. */
  readonly views: WeakMap<MemoryTensor, Floats>;
  readonly helpers: Helpers | undefined;
  /** Makes the engine in which typed arrays are staged, if that is another one. */
  readonly makeStager: (() => Engine) | undefined;
  stager: Engine | undefined;
}

/** What the passes see of a runtime: kernels by element type, an allocator, and views made at use. */
export class Engine implements Runtime, MemoryOwner {
  readonly kind: 'wasm-simd' | 'javascript';
  /** The only way to the memory that outlives a call, so that whoever keeps an engine, a layer or a tensor does not keep that. */
  #resources: Resources | null;

  constructor(kind: Engine['kind'], allocator: Allocator, kernels: Record<DType, Kernels>, helpers?: Helpers, makeStager?: () => Engine) {
    this.kind = kind;
    this.#resources = { allocator, kernels, views: new WeakMap(), helpers, makeStager, stager: undefined };
  }

  /** @throws {TypeError} disposed. */
  get resources(): Resources {
    if (this.#resources === null) throw disposed('runtime');
    return this.#resources;
  }

  get memory(): Memory {
    return this.resources.allocator.memory;
  }

  get kernels(): Record<DType, Kernels> {
    return this.resources.kernels;
  }

  get bytesInUse(): number {
    return this.#resources === null ? 0 : this.#resources.allocator.bytesInUse;
  }

  /** The engine in which typed arrays are staged, if that is another one: it ends with this one. */
  get stager(): Engine | undefined {
    const { resources } = this;
    resources.stager ??= resources.makeStager?.();
    return resources.stager;
  }

  get threads(): number {
    return this.#resources?.helpers?.threads ?? 1;
  }

  get ready(): Promise<void> {
    return this.#resources?.helpers?.ready ?? Promise.resolve();
  }

  tensor(shape: readonly number[], init: { dtype?: DType; data?: ArrayLike<number> } = {}): Tensor {
    checkOptions('tensor', init, ['dtype', 'data']);
    const { dtype = 'float32', data } = init, dimensions = readShape(shape);
    checkOneOf('dtype', dtype, ['float32', 'float64']);
    const given = data === undefined ? undefined : numbersIn('data', data, elements(dimensions), ` (${dimensions.join('x')})`);
    const numbers = ArrayBuffer.isView(given) ? located(given as Floats) : given;
    const tensor = this.allocateTensor(dimensions, dtype), values = this.floats(dtype, tensor.pointer, tensor.length);
    if (numbers) values.set(current(numbers));
    else values.fill(0);
    return tensor;
  }

  /** A tensor with arbitrary content. */
  allocateTensor(shape: readonly number[], dtype: DType): MemoryTensor {
    return new MemoryTensor(this, Object.isFrozen(shape) ? shape : Object.freeze([...shape]), dtype);
  }

  /** As `Allocator.allocate`. */
  allocate(bytes: number, ahead = false): Pointer {
    return this.resources.allocator.allocate(bytes, ahead);
  }

  free(pointer: Pointer): void {
    this.#resources?.allocator.free(pointer);
  }

  /** Memory for one call, with arbitrary content. A small amount comes from a place that is always reserved. */
  allocateScratch(bytes: number): Pointer {
    const { allocator } = this.resources;
    return bytes <= SMALL_BYTES ? allocator.small : allocator.allocate(bytes);
  }

  freeScratch(pointer: Pointer): void {
    const { allocator } = this.resources;
    if (pointer !== allocator.small) allocator.free(pointer);
  }

  /** A view of T at a pointer, good until memory grows. */
  floats(dtype: DType, pointer: Pointer, length: number): Floats {
    return dtype === 'float32'
      ? new Float32Array(this.memory.buffer, pointer, length)
      : new Float64Array(this.memory.buffer, pointer, length);
  }

  /** The view of a tensor: the same until memory grows. */
  viewOf(tensor: MemoryTensor): Floats {
    const { views, allocator: { memory } } = this.resources;
    let view = views.get(tensor);
    if (view?.buffer !== memory.buffer) {
      view = viewOf<Floats>(this, tensor.dtype === 'float32' ? Float32Array : Float64Array, tensor.pointer, tensor.length);
      views.set(tensor, view);
    }
    return view!;
  }

  checkAlive(): void {
    if (this.#resources === null) throw disposed('runtime');
  }

  get disposed(): boolean {
    return this.#resources === null;
  }

  dispose(): void {
    this.#resources?.helpers?.dispose();
    this.#resources?.stager?.dispose();
    this.#resources = null;
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

  constructor(engine: Engine, shape: readonly number[], dtype: DType) {
    this.engine = engine;
    this.shape = shape;
    this.dtype = dtype;
    this.length = elements(shape);
    this.#pointer = engine.allocate(this.length * BYTES[dtype], true);
    // A caller who gives it another length would have the kernels write past it.
    Object.freeze(this);
  }

  /** Whether a value is a tensor itself: neither a proxy of one, nor an object with its prototype. */
  static is(value: unknown): value is MemoryTensor {
    return typeof value === 'object' && value !== null && #pointer in value;
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
    this.checkAlive();
    return this.engine.viewOf(this);
  }

  dispose(): void {
    if (this.#pointer === 0) return;
    this.engine.free(this.#pointer);
    this.#pointer = 0;
  }
}
