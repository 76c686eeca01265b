/** What a pass works in, and what a backward knows of its forward. */
import type { Engine } from '../runtime/engine.js';
import type { DType, Geometry, Kernels } from '../runtime/kernels.js';
import type { ChannelTable } from './channel-table.js';
import type { Renormalisation } from './formulas.js';
import type { Mask } from './mask.js';
import type { Scratch } from './scratch.js';

/** Where a pass works: the kernels and their scratch, and what is true of all its tensors. */
export interface PassMemory {
  readonly engine: Engine;
  readonly dtype: DType;
  readonly kernels: Kernels;
  /** Allocated for as many channels as a group may have. */
  readonly scratch: Scratch;
  readonly geometry: Geometry;
  /** The most elements that a block may have. */
  readonly limit: number;
  readonly mask: Mask;
}

/** How a forward normalised: all that its backward has to know beside the tensors. */
export interface Normalisation {
  /** Whether the statistics are those of the batch, or constants. */
  readonly mode: 'batch' | 'running';
  /** Values per channel that the statistics are of. */
  readonly count: number;
  readonly table: ChannelTable;
  readonly relu: boolean;
  readonly residual: boolean;
  readonly renorm: Renormalisation | null;
}
