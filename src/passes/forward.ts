/** The passes forward: moments, then formulas, then affine, over the blocks of the tensors. */
import type { Floats, Pointer } from '../runtime/kernels.js';
import { type Group, groupsOf, runsOf } from './blocks.js';
import type { ChannelTable } from './channel-table.js';
import { scatter } from './channel-values.js';
import { extremesOf, normaliseChannel, repairMoments, rescale } from './extremes.js';
import { affineCoefficients, mergeInto, NONE, normaliseInto, type Renormalisation, renormalise } from './formulas.js';
import type { Operand } from './operands.js';
import type { PassMemory } from './pass.js';

/** The output of a forward, and what enters it. */
export interface ForwardOperands {
  readonly x: Operand;
  readonly y: Operand;
  readonly residual: Operand | null;
}

/** How a forward gets from statistics to y. */
export interface Affine {
  /** Filled by the forward; mean and variance may be there before. */
  readonly table: ChannelTable;
  readonly weight: Floats | null;
  readonly bias: Floats | null;
  readonly eps: number;
  /** 0: ReLU, -Infinity: none. */
  readonly floor: number;
  readonly renorm: Renormalisation | null;
}

/** y from x, Alg. 1, or Alg. 2 line 11 where mean and variance are known already: `measured`. Fills the table. */
export function forward(memory: PassMemory, operands: ForwardOperands, affine: Affine, measured: boolean): void {
  const { geometry, limit } = memory;
  for (const group of measured ? runsOf(geometry, limit) : groupsOf(geometry, limit)) {
    const at = measured ? 0 : measureGroup(memory, operands.x, affine.table, group, affine.eps);
    normaliseGroup(memory, operands, affine, group, at);
  }
}

/** Mean and variance of all channels, into the table. */
export function measure(memory: PassMemory, x: Operand, table: ChannelTable): void {
  for (const group of groupsOf(memory.geometry, memory.limit)) measureGroup(memory, x, table, group, 0);
}

/** Mean and variance of a group, Alg. 1 lines 1 and 2, to which eps will be added. Returns the address of its last block. */
function measureGroup(memory: PassMemory, x: Operand, table: ChannelTable, group: Group, eps: number): Pointer {
  const { kernels, scratch, mask } = memory;
  const { mean, m2 } = scratch.views;
  let seen = 0, at = 0;
  for (const block of group.blocks) {
    const n = mask.count(block);
    at = x.load(block);
    if (n === 0) continue;
    kernels.moments(
      scratch.mean, scratch.m2, at, mask.at(block), n,
      block.outer, block.channels, block.inner, x.pitch(block), mask.pitch, scratch.work,
    );
    repairMoments(memory, mean, m2, at, x.pitch(block), block, n, eps);
    mergeInto(table, seen, mean, m2, n, group);
    seen += n;
  }
  return at;
}

/** y of a group, Alg. 1 lines 3 and 4. `at`: the address of its only block, if that has been loaded. */
function normaliseGroup(
  memory: PassMemory, operands: ForwardOperands, affine: Affine, group: Group, at: Pointer,
): void {
  const { kernels, scratch, mask } = memory;
  const { x, y, residual } = operands, { table, weight, bias, eps, floor, renorm } = affine;
  const { shift, p, q } = scratch.views;
  const { channels, blocks } = group;
  let extreme = normaliseInto(shift, p, q, table, weight, bias, eps, group);
  // An address: the statistics have just been measured.
  const rescaled = at !== 0 && rescale(memory, x, group, table, weight, eps);
  if (renorm !== null) renormalise(renorm, table, weight, eps, group);
  if (rescaled || renorm !== null) extreme = affineCoefficients(shift, p, q, table, group);
  const extremes = extreme ? extremesOf(table, shift, group) : NONE;
  for (const block of blocks) {
    const from = at === 0 || blocks.length > 1 ? x.load(block) : at;
    const z = residual === null ? 0 : residual.load(block), pitch = x.pitch(block);
    // Before the kernel, which may write over x.
    const apart = extremes === NONE ? NONE : extremes.map((c) => normaliseChannel(memory, from, z, pitch, block, c, table, floor));
    kernels.affine(
      y.at(block), from, z, mask.at(block), scratch.shift, scratch.p, scratch.q, floor,
      block.outer, channels, block.inner, pitch, mask.pitch, scratch.work,
    );
    for (let i = 0; i < apart.length; i++) scatter(memory, apart[i]!, y.at(block), pitch, block, extremes[i]!);
    y.store(block);
  }
}
