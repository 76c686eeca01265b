/** Single channels of a block as numbers in f64: what the kernels cannot compute is computed on these. */
import type { Engine } from '../runtime/engine.js';
import { type DType, LANES, type Pointer } from '../runtime/kernels.js';
import type { Block } from './blocks.js';
import type { Mask } from './mask.js';

/** What reading and writing a channel takes. */
export interface ChannelMemory {
  readonly engine: Engine;
  readonly dtype: DType;
  readonly mask: Mask;
}

/** One channel of a block, [outer, inner]. */
export type ChannelValues = Float64Array;

/** One channel of the block at an address. */
export function gather(memory: ChannelMemory, at: Pointer, pitch: number, block: Block, c: number): ChannelValues {
  const from = viewOf(memory, at, pitch, block), { outer, inner } = block, values = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) values[o * inner + i] = from[o * pitch + c * inner + i]!;
  }
  return values;
}

/** Writes one channel of the block at an address. */
export function scatter(
  memory: ChannelMemory, values: ChannelValues, at: Pointer, pitch: number, block: Block, c: number,
): void {
  const to = viewOf(memory, at, pitch, block), { outer, inner } = block;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) to[o * pitch + c * inner + i] = values[o * inner + i]!;
  }
}

function viewOf({ engine, dtype }: ChannelMemory, at: Pointer, pitch: number, { outer, channels, inner }: Block) {
  return engine.floats(dtype, at, (outer - 1) * pitch + channels * inner);
}

/** Whether a position of a block, [outer, inner], counts. */
export function openAt({ engine, dtype, mask }: ChannelMemory, block: Block): (m: number) => boolean {
  const at = mask.at(block), { outer, inner } = block, lanes = LANES[dtype];
  if (at === 0) return () => true;
  const bytes = new Uint8Array(engine.memory.buffer, at, (outer - 1) * mask.pitch + Math.ceil(inner / lanes));
  return (m) => {
    const i = m % inner;
    return ((bytes[((m - i) / inner) * mask.pitch + Math.floor(i / lanes)]! >> (4 + (i % lanes))) & 1) === 0;
  };
}
