/**
 * The seam between arithmetic and everything else: four kernels over one memory.
 *
 * Three implementations: the WebAssembly module (`wasm.ts`, sources in `assembly/`, where each kernel states its formula),
 * plain loops (`reference.ts`), and slices of calls on several threads (`threads/`). Nothing above this file can tell them apart.
 *
 * Pointers are bytes into the memory; every other size counts elements. T is the element type of the table.
 * Kernels check nothing and cannot fail.
 */

/** Byte address in the memory; 0 means absent. */
export type Pointer = number;

/** [outer, channels, inner] with `pitch` elements between outer slices. inner = 1: channels lie side by side in rows. */
export interface Geometry {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
  readonly pitch: number;
}

/** The kernels of one element type. */
export interface Kernels {
  /**
   * Packs a mask for the other kernels, from one byte per position (0: masked). mask may be bytes itself.
   * mask[o, v] (u8, [outer, ceil(inner / lanes)]) = 16 * sum of 2^i over the masked positions i of the v-th `lanes` ones.
   */
  packMask(mask: Pointer, bytes: Pointer, outer: number, inner: number): void;
  /** mean[c], m2[c] (f64) of the n values per channel that are not masked. */
  moments(
    mean: Pointer, m2: Pointer, x: Pointer, mask: Pointer, n: number,
    outer: number, channels: number, inner: number, pitch: number, maskPitch: number, scratch: Pointer,
  ): void;
  /** y = max((x - shift) * scale + offset [+ z], floor), 0 where masked. */
  affine(
    y: Pointer, x: Pointer, z: Pointer, mask: Pointer, shift: Pointer, scale: Pointer, offset: Pointer, floor: number,
    outer: number, channels: number, inner: number, pitch: number, maskPitch: number, scratch: Pointer,
  ): void;
  /**
   * total[c] = sum g, dot[c] = sum g * (x - shift) (f64). g = dy, but 0 where masked, and where y <= 0 if y is given;
   * written where g is given. With neither y nor g also 0 where (x - shift) * scale + offset <= 0, if offset is given.
   */
  reduce(
    total: Pointer, dot: Pointer, g: Pointer, dy: Pointer, y: Pointer, x: Pointer, mask: Pointer,
    shift: Pointer, scale: Pointer, offset: Pointer,
    outer: number, channels: number, inner: number, pitch: number, maskPitch: number, scratch: Pointer,
  ): void;
  /** dx = g * p + ((x - shift) * q + r), 0 where masked; g counts as 0 where (x - shift) * p + offset <= 0 if given. */
  gradient(
    dx: Pointer, g: Pointer, x: Pointer, mask: Pointer,
    shift: Pointer, p: Pointer, q: Pointer, r: Pointer, offset: Pointer,
    outer: number, channels: number, inner: number, pitch: number, maskPitch: number, scratch: Pointer,
  ): void;
  /** Bytes at `scratch` that any of the kernels may use, in calls of up to `elements` elements (default: of any number). */
  scratchBytes(channels: number, inner: number, elements?: number): number;
  /** Kernels for tensors of fewer than `least` elements, if these are not worth it there. */
  readonly small?: Kernels;
  readonly least?: number;
}

/** Element types: arithmetic on tensors is done in these; per-channel numbers are f64 throughout. */
export type DType = 'float32' | 'float64';
/** Values of x, y and the parameters: by `dtype`. */
export type Floats = Float32Array | Float64Array;

/** Arrays that the package makes, by dtype. Written so that TypeScript before 5.7, where `Float32Array` is not generic, understands it. */
export interface FloatsByDType {
  float32: ReturnType<typeof Float32Array.of>;
  float64: ReturnType<typeof Float64Array.of>;
}
/** An array that the package makes: a Float32Array or Float64Array of an ArrayBuffer of its own. */
export type FloatsOf<D extends DType = DType> = FloatsByDType[D];

/** Bytes of an element. */
export const BYTES: Record<DType, number> = { float32: 4, float64: 8 };

/** Elements of a vector of 16 bytes. */
export const LANES: Record<DType, number> = { float32: 4, float64: 2 };
