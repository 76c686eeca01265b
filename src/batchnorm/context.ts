import { column, MEAN, VARIANCE } from '../passes/channel-table.js';
import type { CountedMask } from '../passes/mask.js';
import type { Normalisation } from '../passes/pass.js';
import type { Values } from '../passes/values.js';

/** What one forward call leaves for its backward. Immutable, independent of later calls and of the layer's mode. */
export interface ForwardContext {
  /** Which statistics normalised. */
  readonly mode: 'batch' | 'running';
  /** [C] */
  readonly mean: Float64Array;
  /** [C], biased. */
  readonly variance: Float64Array;
  /** M, the values of one channel that are not masked. */
  readonly count: number;
}

/** The tensors of a forward, and whose it was. */
export interface Saved {
  /** What the layer that it belongs to keeps. */
  readonly owner: object;
  readonly shape: readonly number[];
  /** The input itself, not a copy; null where forward wrote its output over it. */
  readonly x: Values | null;
  /** The output itself, where a ReLU came after a residual. */
  readonly y: Values | null;
  /** A copy. */
  readonly mask: CountedMask | null;
}

/** A context with what only the package reads. */
export class Context implements ForwardContext {
  readonly normalisation: Normalisation;
  readonly #saved: Saved;
  #mean: Float64Array | undefined;
  #variance: Float64Array | undefined;

  constructor(normalisation: Normalisation, saved: Saved) {
    this.normalisation = normalisation;
    this.#saved = saved;
  }

  /** Whether a value is a context itself: neither a proxy of one, nor an object with its prototype. */
  static is(value: unknown): value is Context {
    return typeof value === 'object' && value !== null && #saved in value;
  }

  get saved(): Saved {
    return this.#saved;
  }

  get mode(): 'batch' | 'running' {
    return this.normalisation.mode;
  }

  get count(): number {
    return this.normalisation.count;
  }

  /** A copy, made when first asked for. */
  get mean(): Float64Array {
    this.#mean ??= column(this.normalisation.table, MEAN);
    return this.#mean;
  }

  /** A copy, made when first asked for. */
  get variance(): Float64Array {
    this.#variance ??= column(this.normalisation.table, VARIANCE);
    return this.#variance;
  }
}
