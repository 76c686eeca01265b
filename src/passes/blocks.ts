/**
 * How a tensor is cut: groups of channels that are normalised together, and blocks of them that fit a stage. Pure.
 *
 * Where a group fits into the stage with all its values, it is one block: copied in once, normalised there in place and
 * copied out. Where it does not, its blocks are copied in once for the statistics and once more for the result.
 * A tensor in memory is the same thing with one block that is already there.
 */

import type { Geometry } from '../runtime/kernels.js';
import type { ChannelRange } from './channel-table.js';

/** A box of an array: ranges of outer slices, channels and positions, each a start and a count. */
export interface Block {
  readonly outerStart: number;
  readonly outer: number;
  readonly channelStart: number;
  readonly channels: number;
  readonly innerStart: number;
  readonly inner: number;
}

/** Channels that are normalised together: blocks that between them hold all their values. */
export interface Group extends ChannelRange {
  readonly blocks: readonly Block[];
}

/** The most channels of a group: bounds the scratch of a call, and keeps it in an L2 cache. */
export const MOST_CHANNELS = 4096;

/**
 * Planes of more elements than LARGE come from DRAM. They are processed a few channels at a time, about CACHED elements
 * together, so that the second sweep finds in the cache what the first has read: 10 to 15 % less time from
 * 32x128x56x56 on. Smaller ones stay in the L3 cache anyway.
 */
const LARGE = 2 ** 22;
const CACHED = 2 ** 20;

/**
 * Cuts an array into groups of blocks of at most `limit` elements, so that as many groups as possible are one block:
 * their values are then copied in once for the statistics and the result. No limit: every group is one block.
 */
export function groupsOf(geometry: Geometry, limit: number): Group[] {
  const { outer, channels, inner } = geometry;
  const size = outer * channels * inner;
  if (limit === Infinity) {
    const cached = inner > 1 && size > LARGE ? CACHED / (outer * inner) : channels;
    return cut(geometry, limit, cached, limit);
  }
  const most = Math.min(channels, MOST_CHANNELS);
  if (most === channels && size <= limit) return [group(geometry, 0, channels, outer, inner)];
  // Rows: many channels together, so that memory is read in order.
  if (inner === 1 && most <= limit) return cut(geometry, limit, most, limit / most);
  return cut(geometry, limit, limit / (outer * inner), limit / inner);
}

/** Elements of a block that is copied in and out and needs no statistics: 256 KiB of floats, some of an L2 cache. */
const RUN = 2 ** 16;

/** The same for a result that needs no statistics: blocks in the order of memory, each one run where possible. */
export function runsOf(geometry: Geometry, limit: number): Group[] {
  const { channels, inner } = geometry;
  if (limit !== Infinity) limit = Math.min(limit, RUN);
  return cut(geometry, limit, limit / inner, channels * inner <= limit ? limit / (channels * inner) : 1);
}

function cut(geometry: Geometry, limit: number, channelStep: number, outerStep: number): Group[] {
  const { channels, inner } = geometry;
  const together = Math.min(Math.max(Math.floor(channelStep), 1), MOST_CHANNELS), outers = Math.max(Math.floor(outerStep), 1);
  // A byte of a mask is up to four positions.
  const innerStep = inner <= limit ? inner : limit - (limit % 4) || limit;
  const groups: Group[] = [];
  for (let c = 0; c < channels; c += together) {
    groups.push(group(geometry, c, Math.min(together, channels - c), outers, innerStep));
  }
  return groups;
}

/** One group, cut along the outer axis and the positions. */
function group(geometry: Geometry, channelStart: number, channels: number, outerStep: number, innerStep: number): Group {
  const blocks: Block[] = [];
  for (let outerStart = 0; outerStart < geometry.outer; outerStart += outerStep) {
    const outer = Math.min(outerStep, geometry.outer - outerStart);
    for (let innerStart = 0; innerStart < geometry.inner; innerStart += innerStep) {
      const inner = Math.min(innerStep, geometry.inner - innerStart);
      blocks.push({ outerStart, outer, channelStart, channels, innerStart, inner });
    }
  }
  return { channelStart, channels, blocks };
}

/** Elements before the first of a block. */
export function startOf(geometry: Geometry, block: Block): number {
  return block.outerStart * geometry.pitch + block.channelStart * geometry.inner + block.innerStart;
}

/** Calls `run` for every contiguous run of a block: its start in the array, its offset in the block, its length. */
export function eachRun(
  geometry: Geometry, block: Block, run: (start: number, offset: number, length: number) => void,
): void {
  const length = block.channels * block.inner;
  let start = startOf(geometry, block);
  if (length === geometry.pitch) {
    run(start, 0, block.outer * length);
    return;
  }
  for (let o = 0; o < block.outer; o++) {
    run(start, o * length, length);
    start += geometry.pitch;
  }
}
