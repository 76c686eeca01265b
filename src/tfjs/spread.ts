/** How the parameters of tf.batchNorm lie over x. Pure. */
import type { Geometry } from '../runtime/kernels.js';
import { contiguous, elements } from '../runtime/shape.js';

export interface Spread {
  /** The sizes of x, neighbouring axes as one where no parameter tells them apart. One or more. */
  readonly sizes: readonly number[];
  /** Of each parameter, the distance between its elements along each of these axes; 0: it does not vary. */
  readonly strides: readonly (readonly number[])[];
}

/** @throws where a shape does not spread over that of x. */
export function spreadOf(x: readonly number[], shapes: readonly (readonly number[])[]): Spread {
  const rank = x.length, sizes: number[] = [], strides: number[][] = shapes.map(() => []), steps = shapes.map(() => 1);
  for (const shape of shapes) {
    if (shape.some((size, i) => size !== 1 && size !== x[rank - shape.length + i])) {
      throw new Error(`Error in batchNorm: parameters of shape [${shape}] do not spread over x of shape [${x}].`);
    }
  }
  // From the last axis to the first.
  for (let axis = rank - 1; axis >= 0; axis--) {
    const size = x[axis]!;
    if (size === 1) continue;
    const along = shapes.map((shape, p) => {
      const own = shape[axis - rank + shape.length] ?? 1, stride = own === 1 ? 0 : steps[p]!;
      steps[p]! *= own;
      return stride;
    });
    if (sizes.length > 0 && along.every((stride, p) => stride === strides[p]![0]! * sizes[0]!)) {
      sizes[0]! *= size;
    } else {
      sizes.unshift(size);
      along.forEach((stride, p) => { strides[p]!.unshift(stride); });
    }
  }
  return sizes.length > 0 ? { sizes, strides } : { sizes: [1], strides: shapes.map(() => [0]) };
}

/** Whether a parameter varies along the last axes of x alone, if at all: repeated end to end, its elements lie beside those of x. */
export function isTrailing(shape: readonly number[], x: readonly number[]): boolean {
  let axis = 0;
  while (shape[axis] === 1) axis++;
  for (; axis < shape.length; axis++) if (shape[axis] !== x[x.length - shape.length + axis]) return false;
  return true;
}

/** The least tensor that all parameters spread over, which itself spreads over x. */
export interface Common {
  readonly size: number;
  /** How the parameters lie over it. */
  readonly within: Spread;
  /** How it lies over x: the one parameter of this spread. */
  readonly over: Spread;
}

export function commonOf({ sizes, strides }: Spread): Common {
  const own = sizes.map((size, axis) => (strides.some((stride) => stride[axis] !== 0) ? size : 1));
  const steps = own.map((size, axis) => (size === 1 ? 0 : elements(own.slice(axis + 1))));
  return { size: elements(own), within: { sizes: own, strides }, over: { sizes, strides: [steps] } };
}

/** Blocks of x, end to end, in each of which the common tensor varies along one axis at most. */
export interface Blocks {
  readonly geometry: Geometry;
  /** The common tensor over the blocks: a run is a block. */
  readonly runs: Spread;
}

export function blocksOf({ over: { sizes, strides } }: Common): Blocks {
  const [own] = strides, varying = sizes.flatMap((_, axis) => (own![axis] === 0 ? [] : [axis]));
  const at = varying.at(-1) ?? 0, first = varying.length > 1 ? varying.at(-2)! + 1 : 0;
  const geometry = varying.length === 0
    ? contiguous(1, 1, elements(sizes))
    : contiguous(elements(sizes.slice(first, at)), sizes[at]!, elements(sizes.slice(at + 1)));
  return { geometry, runs: { sizes: [...sizes.slice(0, first), elements(sizes.slice(first))], strides: [[...own!.slice(0, first), 0]] } };
}

/** The values of a parameter, repeated wherever it does not vary. */
export function repeat({ sizes, strides }: Spread, parameter: number, values: Float32Array, out: Float32Array): void {
  const own = strides[parameter]!, last = sizes.length - 1;
  function fill(axis: number, at: number, start: number): number {
    const size = sizes[axis]!, stride = own[axis]!;
    if (axis === last && stride !== 0) {
      copyRun(values, at, out, start, size);
      return start + size;
    }
    if (stride === 0) {
      const end = axis === last ? start + 1 : fill(axis + 1, at, start), length = end - start;
      if (axis === last) out.fill(values[at]!, start, start + size);
      else for (let i = 1; i < size; i++) out.copyWithin(start + i * length, start, end);
      return start + size * length;
    }
    let end = start;
    for (let i = 0; i < size; i++) end = fill(axis + 1, at + i * stride, end);
    return end;
  }
  if (out.length > 0) fill(0, 0, 0);
}

/** The sums of those values that belong to the same element of a parameter. */
export function sumOf(spread: Spread, parameter: number, values: Float32Array | Float64Array, out: Float32Array): void {
  const sums = new Float64Array(out.length), stride = spread.strides[parameter]!.at(-1)!;
  eachRun(spread, parameter, (start, at, length) => { addRun(values, start, length, sums, at, stride); });
  out.set(sums);
}

/** Visits the runs along the last axis: where one starts, where in a parameter, and its length. */
export function eachRun(spread: Spread, parameter: number, visit: (start: number, at: number, length: number) => void): void {
  // Typed arrays: engines keep code that was compiled for one of them, and throw it away for lists that differ in kind.
  const sizes = Int32Array.from(spread.sizes), own = Int32Array.from(spread.strides[parameter]!), index = new Int32Array(sizes.length);
  const last = sizes.length - 1, length = sizes[last]!, total = elements(spread.sizes);
  for (let start = 0, at = 0; start < total; start += length) {
    visit(start, at, length);
    let axis = last - 1;
    for (; axis >= 0 && ++index[axis]! === sizes[axis]; axis--) {
      index[axis] = 0;
      at -= own[axis]! * (sizes[axis]! - 1);
    }
    if (axis >= 0) at += own[axis]!;
  }
}

function copyRun(values: Float32Array, at: number, out: Float32Array, start: number, length: number): void {
  for (let i = 0; i < length; i++) out[start + i] = values[at + i]!;
}

function addRun(values: Float32Array | Float64Array, start: number, length: number, sums: Float64Array, at: number, stride: number): void {
  for (let i = 0; i < length; i++) sums[at + i * stride]! += values[start + i]!;
}
