/**
 * Typed arrays of callers, by what the engine keeps inside of them: no property, no prototype and no proxy can pretend that, and
 * no code of a caller runs when it is read. Arrays of another realm (an iframe, a sandbox) are as good as those of this one.
 */

/** An accessor as it was when this module was loaded: of all typed arrays, or of another prototype. */
function accessor<T>(key: PropertyKey, of: object = Object.getPrototypeOf(Uint8Array.prototype)): (this: unknown) => T {
  return Object.getOwnPropertyDescriptor(of, key)!.get as () => T;
}

const tag = /* @__PURE__ */ accessor<string | undefined>(Symbol.toStringTag);
const length = /* @__PURE__ */ accessor<number>('length');
const byteOffset = /* @__PURE__ */ accessor<number>('byteOffset');
const buffer = /* @__PURE__ */ accessor<ArrayBuffer>('buffer');
const byteLength = /* @__PURE__ */ accessor<number>('byteLength', ArrayBuffer.prototype);

/** The name of a typed array's type, such as 'Float32Array'; undefined for anything else. */
export function typeOf(value: unknown): string | undefined {
  return tag.call(value);
}

/** Whether a value is a typed array of this type. */
export function isTypedArray(value: unknown, type: string): value is ArrayLike<number> {
  return tag.call(value) === type;
}

/** Elements of a typed array; 0 where its buffer has been detached, or has become too short for it. */
export function lengthOf(array: unknown): number {
  return length.call(array);
}

/** The buffer of a typed array. */
export function bufferOf(array: unknown): ArrayBuffer {
  return buffer.call(array);
}

/** Whether a value is an ArrayBuffer. */
export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  try {
    byteLength.call(value);
    return true;
  } catch {
    return false;
  }
}

/** Whether an ArrayBuffer, or that of a typed array, has been detached. */
export function isDetached(value: unknown): boolean {
  try {
    new Uint8Array(isArrayBuffer(value) ? value : bufferOf(value));
    return false;
  } catch {
    return true;
  }
}

type Constructor<A> = new (of: number | ArrayBuffer, start?: number, count?: number) => A;

/**
 * The elements of a typed array as an array that has nothing of its own: no subclass, no properties, and the length that it has
 * now. What is behind the checks sees only these. 50 ns, as a subarray().
 *
 * @param Type - that of the array
 */
export function plainView<A>(array: unknown, Type: Constructor<A>): A {
  const count = length.call(array);
  return count === 0 ? new Type(0) : new Type(buffer.call(array), byteOffset.call(array), count);
}

type Numbers = Float64Array | Float32Array | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array;

/** The same of any type of numbers; undefined for anything else, and for 64-bit integers, which are no numbers. */
export function plainNumbers(value: unknown): Numbers | undefined {
  const type = tag.call(value);
  const Type = [Float64Array, Float32Array, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]
    .find(({ name }) => name === type);
  return Type && plainView(value, Type as Constructor<Numbers>);
}
