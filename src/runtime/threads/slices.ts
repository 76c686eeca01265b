/**
 * Where the kernels' calls are cut into parts.
 *
 * No cut of `affine` or `gradient` changes a bit, so that these follow from the number of threads. Sums over rows or samples depend on
 * where they are cut: slices of `moments` and `reduce` follow from the shape alone, and one thread works through the same ones. Cuts
 * between channels change no bit either: they share out a slice, or a shape that is one slice.
 */

import { MOST_PARTS } from './control.js';

/** A place in [outer, channels, inner], or a size. */
export type Triple = readonly [outer: number, channels: number, inner: number];

/** What one thread computes at once. */
export interface Part {
  readonly start: Triple;
  readonly size: Triple;
  /** Which slice it belongs to: parts of one slice have different channels. */
  readonly slice: number;
}

export interface Cut {
  readonly parts: readonly Part[];
  /** Slices of a sum, which are in the order of parts. 1: there is nothing to merge. */
  readonly slices: number;
}

/** Sizes that decide on cuts. */
export interface Grid {
  /** Elements of a call from which it is worth looking at. */
  readonly least: number;
  /** Elements of a slice, at least. */
  readonly slice: number;
  /** Positions of a slice, at least, in moments of rows, in moments of planes, in other sums: a slice costs some time per channel. */
  readonly rows: number;
  readonly planes: number;
  readonly sums: number;
}

/**
 * Other numbers make other slices, and thereby other bits.
 *
 * A round trip to a worker that is awake takes 0.3 to 0.6 us, a pass over 2^15 floats 3 us. A slice costs `moments` 4 ns per channel
 * in rows and 65 ns in planes, whose samples lie in other cache lines; merging it takes 5 ns per channel and sum, most of them for lines
 * that are in the cache of another core. With these limits that is less than 4 % of the time.
 */
export const GRID: Grid = { least: 32_768, slice: 131_072, rows: 512, planes: 4096, sums: 256 };

/** The most slices of a sum. */
export const MOST_SLICES = 8;

/**
 * Channels times slices of planes, at most: parts are channels of a slice, and as many as the finest shares of two threads are enough. So
 * planes of 32 channels and more are one slice, which is not merged, and gives the bits of the plain kernels.
 */
const PLANES = 32;

/** Elements below which a call is one part for each thread. */
const FINE = 262_144;

/**
 * Shares of two threads. The caller begins at the front and the worker at the back, so that each finds its half in its own cache from
 * kernel to kernel, and what is left at the end is small: one thread waits for the other a fifth to a half less than with parts of an eighth.
 */
const SHARES = [8, 4, 2, 1, 1, 1, 1, 2, 4, 8];

/** Positions along one channel are cut at multiples of this: whole vectors, and whole bytes of a mask. */
const POSITIONS = 64;

/** Rows are cut between channels at multiples of UNIT, into parts of COLUMNS at least: rows of fewer columns are walked in another way. */
const UNIT = 16, COLUMNS = 128;

const OUTER = 0, CHANNELS = 1, INNER = 2;

/** Parts of `affine` or `gradient` for so many threads; one thread has no use for several. */
export function elementwiseCut(outer: number, channels: number, inner: number, threads: number): Cut {
  const size: Triple = [outer, channels, inner], shares = sharesOf(outer * channels * inner, threads);
  if (outer < totalOf(shares) && inPlanes(channels, inner)) return { parts: planes(boundaries(outer, 1, equal(outer)), size, shares, false), slices: 1 };
  if (outer >= 2 * threads) return { parts: along(OUTER, boundaries(outer, 1, shares), size), slices: 1 };
  if (channels === 1) return { parts: along(INNER, boundaries(inner, POSITIONS, shares), size), slices: 1 };
  return { parts: along(CHANNELS, rowBoundaries(channels, shares), size), slices: 1 };
}

/** Parts of `moments` or `reduce`: slices if the shape has several, and channels of them for so many threads. */
export function sumsCut(kernel: 'moments' | 'reduce', outer: number, channels: number, inner: number, threads: number, grid: Grid): Cut {
  const size: Triple = [outer, channels, inner], slices = sliceCount(kernel, outer, channels, inner, grid);
  const [axis, unit] = outer > 1 ? [OUTER, 1] as const : [INNER, POSITIONS] as const;
  if (threads > 1 && inPlanes(channels, inner)) {
    return { parts: planes(boundaries(outer, 1, equal(slices)), size, sharesOf(outer * channels * inner, threads), true), slices };
  }
  if (slices > 1) return { parts: along(axis, boundaries(size[axis], unit, equal(slices)), size).map((part, slice) => ({ ...part, slice })), slices };
  return { parts: along(CHANNELS, rowBoundaries(channels, equal(threads)), size), slices };
}

/** How many slices a sum has: a power of two, so that two and four threads come out even. */
export function sliceCount(kernel: 'moments' | 'reduce', outer: number, channels: number, inner: number, grid: Grid): number {
  const positions = outer * inner;
  const least = kernel === 'reduce' ? grid.sums : inner === 1 ? grid.rows : grid.planes;
  // Positions of several channels do not lie side by side: kernels take the distance between channels from `inner`.
  const axis = outer > 1 ? outer : channels === 1 ? Math.floor(inner / POSITIONS) : 1;
  const slices = inPlanes(channels, inner) ? Math.min(MOST_SLICES, PLANES / channels) : MOST_SLICES;
  const most = Math.min(slices, (positions * channels) / grid.slice, positions / least, axis);
  return most < 2 ? 1 : 2 ** Math.floor(Math.log2(most));
}

/** Whether the positions of a channel lie side by side, so that parts of a sample are contiguous too. */
function inPlanes(channels: number, inner: number): boolean {
  return channels > 1 && inner > 3;
}

/** Parts that lie side by side on an axis. */
function along(axis: number, starts: readonly number[], size: Triple): Part[] {
  return starts.slice(0, -1).map((start, i) => {
    const place = [0, 0, 0], length = [...size];
    place[axis] = start;
    length[axis] = starts[i + 1]! - start;
    return { start: place as unknown as Triple, size: length as unknown as Triple, slice: 0 };
  });
}

/**
 * Shares of planes in the order of memory. A part is several samples or channels of one; of sums, whose samples are added up in
 * `bounds` of them, it is channels of one slice.
 */
function planes(bounds: readonly number[], [, channels, inner]: Triple, shares: readonly number[], sums: boolean): Part[] {
  const starts = boundaries((bounds.length - 1) * channels, 1, shares), parts: Part[] = [];
  for (let i = 0; i + 1 < starts.length; i++) {
    for (let at = starts[i]!, next = at; at < starts[i + 1]!; at = next) {
      const slice = Math.floor(at / channels), channel = at % channels, left = starts[i + 1]! - at;
      const whole = sums || channel > 0 ? 1 : Math.max(Math.floor(left / channels), 1);
      const width = Math.min(channels - channel, left), from = bounds[slice]!;
      parts.push({ start: [from, channel, 0], size: [bounds[slice + whole]! - from, width, inner], slice });
      next = at + whole * width;
    }
  }
  return parts;
}

/** Shares of so many threads. */
function sharesOf(elements: number, threads: number): readonly number[] {
  const fine = threads > 1 && elements >= FINE;
  return fine && threads === 2 ? SHARES : equal(Math.min(fine ? 4 * threads : threads, MOST_PARTS / 2));
}

function rowBoundaries(channels: number, shares: readonly number[]): number[] {
  const most = Math.max(Math.floor(channels / COLUMNS), 1);
  return boundaries(channels, UNIT, shares.length > most ? equal(most) : shares);
}

function equal(parts: number): number[] {
  return new Array<number>(parts).fill(1);
}

function totalOf(shares: readonly number[]): number {
  return shares.reduce((sum, share) => sum + share, 0);
}

/** Cuts a length in proportion to shares, at multiples of a unit. Parts of nothing are left out. */
function boundaries(length: number, unit: number, shares: readonly number[]): number[] {
  const total = totalOf(shares), starts = [0];
  let seen = 0;
  for (const share of shares) {
    seen += share;
    starts.push(Math.floor((length / unit) * seen / total) * unit);
  }
  starts[shares.length] = length;
  return [...new Set(starts)];
}
