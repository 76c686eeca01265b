/**
 * Typed arrays of callers that live in the memory of a runtime. When that memory grows, they are detached: they become
 * empty. So one that is kept, or used once something may have been allocated, is known by its address: `located` when it
 * comes, `current` when it is used.
 */
import { lengthOf } from '../arrays.js';
import type { Pointer } from './kernels.js';
import type { Memory } from './memory.js';

/** What has a memory: an engine. */
export interface MemoryOwner {
  readonly memory: Memory;
  readonly disposed: boolean;
  /** @throws {TypeError} disposed. */
  checkAlive(): void;
}

type TypedArray = Uint8Array | Float32Array | Float64Array;
type Constructor<A> = new (buffer: ArrayBuffer, byteOffset: number, length: number) => A;

/** By the buffer of their memory, current and former ones: those of which callers have views. */
const owners = new WeakMap<ArrayBufferLike, MemoryOwner>();

/** A view of a memory for a caller, who may pass it to the package later. */
export function viewOf<A extends TypedArray>(owner: MemoryOwner, Type: Constructor<A>, pointer: Pointer, length: number): A {
  const { buffer } = owner.memory;
  owners.set(buffer, owner);
  return new Type(buffer, pointer, length);
}

/** An array in a memory, by its address. */
export class MemoryView<A> {
  readonly engine: MemoryOwner;
  readonly pointer: Pointer;
  readonly length: number;
  readonly #type: string;

  constructor(engine: MemoryOwner, { byteOffset, length, [Symbol.toStringTag]: type }: TypedArray) {
    this.engine = engine;
    this.pointer = byteOffset;
    this.length = length;
    this.#type = type;
  }

  /** @throws {TypeError} the runtime has been disposed. */
  checkAlive(): void {
    this.engine.checkAlive();
  }

  /** The values, as a view that is good until memory grows. */
  get data(): A {
    this.checkAlive();
    const Type = globalThis[this.#type as 'Float32Array'] as Constructor<TypedArray>;
    return viewOf(this.engine, Type, this.pointer, this.length) as A;
  }

  /** The caller's array itself, or where growth has detached it, a new view of the same place. */
  renew(array: A): A {
    // A memory that threads share detaches nothing.
    return lengthOf(array) > 0 ? array : this.data;
  }
}

/** A plain array that is about to be kept: by its address if it lives in the memory of a runtime, otherwise as it is. */
export function located<A extends TypedArray>(array: A): A | MemoryView<A> {
  const owner = owners.get(array.buffer);
  return owner === undefined || owner.disposed || array.length === 0 ? array : new MemoryView(owner, array);
}

/** The value that was `located`, as it is now. */
export function current<T>(value: T | MemoryView<T>): T {
  return value instanceof MemoryView ? value.data : value;
}

/** A plain array as it is, but a copy of one that lives in the memory of a runtime. For small ones. */
export function kept<A extends TypedArray>(array: A): A {
  return located(array) instanceof MemoryView ? array.slice() as A : array;
}
