/** Kernels that cut a call into parts, which a team works on, and merge partial sums in the order of slices. */
import { BYTES, type DType, type Kernels, LANES, type Pointer } from '../kernels.js';
import type { Memory } from '../memory.js';
import {
  type AnyKernel, ARGUMENTS, type Control, KERNEL, KERNELS, type KernelName, kernelIndex, LENGTH, MOST_ARGUMENTS, PARTS, STRIDE,
} from './control.js';
import { countOpen, merge } from './merge.js';
import { type Cut, elementwiseCut, type Grid, MOST_SLICES, type Part, sumsCut } from './slices.js';

/** Who works on the parts of a job. */
export interface Team {
  /** Where a job is described. */
  readonly control: Control;
  /** The most threads that may ever work at once: each needs scratch. */
  readonly most: number;
  /** Before a call: how many threads it is worth sharing it with, the caller among them. */
  begin(kernel: number, elements: number): number;
  /** Returns when all parts of the job are done. `repeatable`: a part may be computed twice. */
  run(kernels: readonly AnyKernel[], repeatable: boolean): void;
  /** After a call. */
  end(): void;
}

/** What an argument of a kernel is: a tensor, a mask, numbers per channel of type T, sums per channel in f64; and where its steps are in a list. */
const TENSOR = 0, MASK = 3, CHANNELS = 6, SUMS = 9;

/** The first arguments of the kernels. All others are numbers; the last six are outer, channels, inner, pitch, maskPitch and scratch. */
const ROLES: Record<KernelName, readonly number[]> = {
  moments: [SUMS, SUMS, TENSOR, MASK],
  affine: [TENSOR, TENSOR, TENSOR, MASK, CHANNELS, CHANNELS, CHANNELS],
  reduce: [SUMS, SUMS, TENSOR, TENSOR, TENSOR, TENSOR, MASK, CHANNELS, CHANNELS, CHANNELS],
  gradient: [TENSOR, TENSOR, TENSOR, MASK, CHANNELS, CHANNELS, CHANNELS, CHANNELS, CHANNELS],
};

/**
 * The output of a kernel that may be one of its inputs, and those inputs: written over them, a part cannot be computed again. `reduce` may
 * write g over dy all the same, since g in place of dy gives g.
 */
const OVER: Record<KernelName, readonly [number, ...number[]]> = { moments: [0], affine: [0, 1, 2], reduce: [2, 4, 5], gradient: [0, 1, 2] };

/** Which argument of `moments` is the number of values per channel. */
const COUNT_ARGUMENT = 4;

/** Bytes between the scratch of two threads: neither shares a cache line with the other, nor a pair of lines. */
const APART = 128;

const lines = (bytes: number) => Math.ceil(bytes / 64) * 64;
/** Bytes of a row of sums; a cache line more, since rows of 4 KiB fall into the same sets of an L1 cache. */
const rowOf = (channels: number) => lines(8 * channels) + 64;

/** The kernels over a team. Small calls are those of `kernels`. */
export function slicedKernels(kernels: Record<DType, Kernels>, memory: Memory, team: Team, grid: Grid): Record<DType, Kernels> {
  const table = (['float32', 'float64'] as const).flatMap((dtype) => KERNELS.map((name) => kernels[dtype][name] as AnyKernel));
  return {
    float32: slicedTable('float32', kernels.float32, table, memory, team, grid),
    float64: slicedTable('float64', kernels.float64, table, memory, team, grid),
  };
}

function slicedTable(
  dtype: DType, kernels: Kernels, table: readonly AnyKernel[], memory: Memory, team: Team, grid: Grid,
): Kernels {
  const { control, most } = team;
  const stride = (channels: number, inner: number) => lines(kernels.scratchBytes(channels, inner)) + APART;

  /** Has a call worked on in parts. `numbers`: the arguments of the kernel. */
  const split = (kernel: KernelName, cut: Cut, repeatable: boolean, numbers: readonly number[]) => {
    const { length } = numbers, channels = numbers[length - 5]!, scratch = numbers[length - 1]!;
    const apart = stride(channels, numbers[length - 4]!), row = rowOf(channels), sums = scratch + most * apart;
    const counts = describe(control, dtype, kernel, cut, numbers, openIn(numbers[3]!, numbers), sums, row);
    control.numbers[STRIDE] = apart;
    team.run(table, repeatable);
    if (cut.slices === 1) return;
    const slices = counts?.length ?? cut.slices;
    merge(new Float64Array(memory.buffer), numbers[0]! / 8, numbers[1]! / 8, sums / 8, row / 8, channels, slices, counts);
  };

  /** Positions of a slice that count. */
  const openIn = (mask: Pointer, numbers: readonly number[]) => {
    const maskPitch = numbers[numbers.length - 2]!, bytes = new DataView(memory.buffer);
    return ({ start, size }: Part) => {
      if (mask === 0) return size[0] * size[2];
      return countOpen(bytes, mask + start[0] * maskPitch + start[2] / LANES[dtype], size[0], size[2], maskPitch, LANES[dtype]);
    };
  };

  const cutUp = (kernel: KernelName): AnyKernel => {
    const whole = kernels[kernel] as AnyKernel, index = kernelIndex(kernel, dtype), [out, ...inputs] = OVER[kernel];
    return (...numbers) => {
      const at = numbers.length - 6, outer = numbers[at]!, channels = numbers[at + 1]!, inner = numbers[at + 2]!, size = outer * channels * inner;
      const threads = team.begin(index, size);
      const cut = kernel === 'moments' || kernel === 'reduce'
        ? sumsCut(kernel, outer, channels, inner, threads, grid)
        : elementwiseCut(outer, channels, inner, threads);
      if (cut.parts.length === 1) whole(...numbers);
      else split(kernel, cut, numbers[out] === 0 || inputs.every((input) => numbers[input] !== numbers[out]), numbers);
      team.end();
    };
  };

  return {
    ...kernels,
    moments: cutUp('moments'),
    affine: cutUp('affine'),
    reduce: cutUp('reduce'),
    gradient: cutUp('gradient'),
    scratchBytes(channels, inner, elements = Infinity) {
      const slices = Math.min(MOST_SLICES, Math.floor(elements / grid.slice));
      return most * stride(channels, inner) + (slices > 1 ? 2 * slices * rowOf(channels) : 0);
    },
    small: kernels,
    least: grid.least,
  };
}

/**
 * Writes a job. Partial sums go to `sums`, two rows for each slice.
 *
 * @returns values per channel of each slice of `moments`, of which those of nothing are left out; otherwise null
 */
function describe(
  { numbers: job }: Control, dtype: DType, kernel: KernelName, { parts, slices }: Cut, numbers: readonly number[],
  open: (part: Part) => number, sums: Pointer, row: number,
): number[] | null {
  const { length } = numbers, inner = numbers[length - 4]!, pitch = numbers[length - 3]!, maskPitch = numbers[length - 2]!;
  const bytes = BYTES[dtype], counts = slices > 1 && kernel === 'moments' ? [] as number[] : null, roles = ROLES[kernel];
  // Bytes to the next outer slice, channel and position. By numbers: looking roles up by name took 3 us of a call.
  const steps = [pitch * bytes, inner * bytes, bytes, maskPitch, 0, 1 / LANES[dtype], 0, bytes, 0, 0, 8, 0];
  let described = 0, empty = 0, count = 0, latest = -1;
  for (const part of parts) {
    const { start: [outer, channel, position], size, slice } = part, at = ARGUMENTS + MOST_ARGUMENTS * described;
    if (counts && slice !== latest) {
      count = open(part);
      if (count === 0) empty++;
      else counts.push(count);
    }
    latest = slice;
    if (counts && count === 0) continue;
    for (let k = 0; k < length; k++) {
      const number = numbers[k]!, step = roles[k];
      // 0 is the address of what is absent.
      job[at + k] = step === undefined || number === 0
        ? number
        : number + outer * steps[step]! + channel * steps[step + 1]! + position * steps[step + 2]!;
    }
    if (slices > 1) {
      job[at] = sums + 2 * row * (slice - empty) + 8 * channel;
      job[at + 1] = job[at]! + row;
    }
    for (let axis = 0; axis < 3; axis++) job[at + length - 6 + axis] = size[axis]!;
    if (counts) job[at + COUNT_ARGUMENT] = count;
    described++;
  }
  job[KERNEL] = kernelIndex(kernel, dtype);
  job[PARTS] = described;
  job[LENGTH] = length;
  return counts;
}
