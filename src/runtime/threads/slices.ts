/**
 * Where a call of a kernel is cut into parts. Pure.
 *
 * A cut of `affine` or `gradient` changes no bit, so that these follow from the number of threads. Sums over rows or samples depend on
 * where they are cut: slices of `moments` and `reduce` follow from the shape alone, and one thread works through the same ones. Where the
 * shape is one slice, sums are cut by channels, which changes no bit either.
 */

import { MOST_PARTS } from './control.js';

/** The axis along which parts lie side by side, as its place in [outer, channels, inner]. */
export const OUTER = 0, CHANNELS = 1, INNER = 2;
export type Axis = typeof OUTER | typeof CHANNELS | typeof INNER;

/** Part i is from starts[i] up to starts[i + 1] on the axis. */
export interface Cut {
  readonly axis: Axis;
  readonly starts: readonly number[];
  /** Whether parts are partial sums of the same channels. */
  readonly partial?: true;
}

/** Sizes that decide on cuts. */
export interface Grid {
  /** Elements of a call from which it is worth looking at. */
  readonly least: number;
  /** Elements of a slice, at least. */
  readonly slice: number;
  /** Positions of a slice, at least, in moments of rows, in moments of planes, in other sums: merging a slice costs some time per channel. */
  readonly rows: number;
  readonly planes: number;
  readonly sums: number;
}

/**
 * Other numbers make other slices, and thereby other bits.
 *
 * A round trip to a worker that is awake takes 0.3 to 0.6 us, a pass over 2^15 floats 3 us. A slice costs `moments` 4 ns per channel
 * in rows and 65 ns in planes, whose samples lie in other cache lines, and `reduce` 1 ns: with these limits less than 3 % of the time.
 */
export const GRID: Grid = { least: 32_768, slice: 131_072, rows: 512, planes: 2048, sums: 128 };

/** The most slices of a sum. */
export const MOST_SLICES = 8;

/** Elements below which an elementwise call is one part for each thread. */
const FINE = 262_144;

/**
 * Shares of two threads, in sixteenths. The caller begins at the front and the worker at the back, so that each finds its half in its own
 * cache from kernel to kernel, and what is left at the end is small.
 */
const SHARES = [4, 2, 1, 1, 1, 1, 2, 4];

/** Positions along one channel are cut at multiples of this: whole vectors, and whole bytes of a mask. */
const POSITIONS = 64;

/** Rows are cut between channels at multiples of UNIT, into parts of COLUMNS at least: rows of fewer columns are walked in another way. */
const UNIT = 16, COLUMNS = 128;

/** Parts of `affine` or `gradient` for so many threads; one thread has no use for several. */
export function elementwiseCut(outer: number, channels: number, inner: number, threads: number): Cut {
  const fine = threads > 1 && outer * channels * inner >= FINE;
  const shares = fine && threads === 2 ? SHARES : equal(Math.min(fine ? 4 * threads : threads, MOST_PARTS));
  if (outer >= 2 * threads) return { axis: OUTER, starts: boundaries(outer, 1, shares) };
  if (channels === 1) return { axis: INNER, starts: boundaries(inner, POSITIONS, shares) };
  return { axis: CHANNELS, starts: channelBoundaries(channels, inner, shares) };
}

/** Parts of `moments` or `reduce`: slices if the shape has several, otherwise channels for so many threads. */
export function sumsCut(
  kernel: 'moments' | 'reduce', outer: number, channels: number, inner: number, threads: number, grid: Grid,
): Cut {
  const slices = sliceCount(kernel, outer, channels, inner, grid);
  if (slices > 1) {
    const [axis, length, unit] = outer > 1 ? [OUTER, outer, 1] as const : [INNER, inner, POSITIONS] as const;
    return { axis, starts: boundaries(length, unit, equal(slices)), partial: true };
  }
  return { axis: CHANNELS, starts: channelBoundaries(channels, inner, equal(Math.min(threads, MOST_PARTS))) };
}

/** How many slices a sum has: a power of two, so that two and four threads come out even. */
export function sliceCount(kernel: 'moments' | 'reduce', outer: number, channels: number, inner: number, grid: Grid): number {
  const positions = outer * inner;
  const least = kernel === 'reduce' ? grid.sums : inner === 1 ? grid.rows : grid.planes;
  // Positions of several channels do not lie side by side: kernels take the distance between channels from `inner`.
  const axis = outer > 1 ? outer : channels === 1 ? Math.floor(inner / POSITIONS) : 1;
  const most = Math.min(MOST_SLICES, (positions * channels) / grid.slice, positions / least, axis);
  return most < 2 ? 1 : 2 ** Math.floor(Math.log2(most));
}

function channelBoundaries(channels: number, inner: number, shares: readonly number[]): number[] {
  if (inner > 3) return boundaries(channels, 1, shares);
  const most = Math.max(Math.floor(channels / COLUMNS), 1);
  return boundaries(channels, UNIT, shares.length > most ? equal(most) : shares);
}

function equal(parts: number): number[] {
  return new Array<number>(parts).fill(1);
}

/** Cuts a length in proportion to shares, at multiples of a unit. Parts of nothing are left out. */
function boundaries(length: number, unit: number, shares: readonly number[]): number[] {
  const total = shares.reduce((sum, share) => sum + share, 0), starts = [0];
  let seen = 0;
  for (const share of shares) {
    seen += share;
    starts.push(Math.floor((length / unit) * seen / total) * unit);
  }
  starts[shares.length] = length;
  return [...new Set(starts)];
}
