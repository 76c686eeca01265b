import { describe, expect, it } from 'vitest';
import { BYTES, type DType, type Kernels, LANES } from '../../src/runtime/kernels.js';
import { wasmKernels } from '../../src/runtime/wasm.js';
import { arrayOf, DTYPES, normal } from '../setup.js';

/** [outer, channels, inner] of every walk, with and without elements after the last whole vector. */
const GEOMETRIES = [
  [1, 1, 1], [3, 3, 1], [8, 4, 1], [13, 5, 1], [40, 3, 1], [65, 2, 1], [37, 70, 1], [9, 67, 1], [7, 3, 2], [5, 5, 3], [6, 4, 3],
  [4, 3, 4], [3, 2, 7], [2, 3, 16], [3, 5, 33], [2, 2, 1001],
] as const;
const PAGE = 65536, END = 8 * PAGE;
const memory = new WebAssembly.Memory({ initial: 8 }), KERNELS = wasmKernels(memory);

/** What a kernel takes before the geometry: arrays, with what they have an element for, and numbers. */
type Arguments = readonly (readonly [name: string, size: 'tensor' | 'mask' | 'channels' | 'sums'] | number)[];
const CALLS: readonly (readonly [kernel: Exclude<keyof Kernels, 'packMask' | 'scratchBytes'>, arguments: Arguments])[] = [
  ['moments', [['mean', 'sums'], ['m2', 'sums'], ['x', 'tensor'], 0, 1]],
  ['moments', [['mean', 'sums'], ['m2', 'sums'], ['x', 'tensor'], ['mask', 'mask'], 1]],
  ['affine', [['y', 'tensor'], ['x', 'tensor'], 0, 0, ['shift', 'channels'], ['scale', 'channels'], ['offset', 'channels'], 0]],
  ['affine', [['y', 'tensor'], ['x', 'tensor'], ['z', 'tensor'], ['mask', 'mask'], ['shift', 'channels'], ['scale', 'channels'], ['offset', 'channels'], 0]],
  ['reduce', [['total', 'sums'], ['dot', 'sums'], 0, ['dy', 'tensor'], 0, ['x', 'tensor'], 0, ['shift', 'channels'], 0, 0]],
  ['reduce', [['total', 'sums'], ['dot', 'sums'], 0, ['dy', 'tensor'], 0, ['x', 'tensor'], ['mask', 'mask'], ['shift', 'channels'],
    ['scale', 'channels'], ['offset', 'channels']]],
  ['reduce', [['total', 'sums'], ['dot', 'sums'], ['g', 'tensor'], ['dy', 'tensor'], ['y', 'tensor'], ['x', 'tensor'], ['mask', 'mask'],
    ['shift', 'channels'], 0, 0]],
  ['gradient', [['dx', 'tensor'], ['g', 'tensor'], ['x', 'tensor'], 0, ['shift', 'channels'], ['p', 'channels'], ['q', 'channels'], ['r', 'channels'], 0]],
  ['gradient', [['dx', 'tensor'], ['g', 'tensor'], ['x', 'tensor'], ['mask', 'mask'], ['shift', 'channels'], ['p', 'channels'], ['q', 'channels'],
    ['r', 'channels'], ['offset', 'channels']]],
];

/** Calls a kernel with one of its arrays at the very end of memory. An access beyond it is an error of the engine. */
function callAtTheEnd(dtype: DType, [kernel, given]: (typeof CALLS)[number], last: string, [outer, channels, inner]: readonly number[]): void {
  const pitch = channels! * inner!, maskPitch = Math.ceil(inner! / LANES[dtype]);
  const bytesOf = { tensor: BYTES[dtype] * outer! * pitch, mask: outer! * maskPitch, channels: BYTES[dtype] * channels!, sums: 8 * channels! };
  const kernels = KERNELS[dtype];
  let free = PAGE;
  const addresses = given.map((each) => {
    if (typeof each === 'number') return each;
    const bytes = bytesOf[each[1]], at = each[0] === last ? END - bytes : free;
    if (at === free) free += Math.ceil(bytes / 64) * 64;
    if (each[1] === 'mask') new Uint8Array(memory.buffer, at, bytes).fill(0);
    else new (dtype === 'float32' ? Float32Array : Float64Array)(memory.buffer, at, bytes / BYTES[dtype]).set(values(dtype, bytes));
    return at;
  });
  const scratch = last === 'scratch' ? Math.floor((END - kernels.scratchBytes(channels!, inner!)) / 16) * 16 : free;
  (kernels[kernel] as (...numbers: number[]) => void)(...addresses, outer!, channels!, inner!, pitch, maskPitch, scratch);
}

const values = (dtype: DType, bytes: number) => arrayOf(dtype, normal(bytes / BYTES[dtype], 1));

const NAMES = ['moments', 'affine', 'reduce', 'gradient'] as const;
describe.each(DTYPES.flatMap((dtype) => NAMES.map((kernel) => ({ dtype, kernel }))))('$kernel of $dtype at the end of memory', ({ dtype, kernel }) => {
  it.each(GEOMETRIES)('touches nothing after its arrays, on %i x %i x %i', (...geometry) => {
    for (const call of CALLS.filter(([name]) => name === kernel)) {
      const arrays = call[1].flatMap((each) => (typeof each === 'number' ? [] : [each[0]]));
      for (const last of [...arrays, 'scratch']) {
        expect(() => callAtTheEnd(dtype, call, last, geometry), `${last} at the end`).not.toThrow();
      }
    }
  });
});

describe.each(DTYPES)('a mask of %s at the end of memory', (dtype) => {
  it.each([1, 2, 3, 4, 7, 16, 17, 33])('is packed without touching anything after it: %i positions', (inner) => {
    const { packMask } = KERNELS[dtype], bytes = 5 * inner;
    packMask(PAGE, END - bytes, 5, inner);
    packMask(END - 5 * Math.ceil(inner / LANES[dtype]), PAGE, 5, inner);
    expect(() => packMask(PAGE, END - bytes + 1, 5, inner)).toThrow(WebAssembly.RuntimeError);
  });
});
