import { type ChannelNumbers, FIELDS, MEAN, type Renormalisation, VARIANCE } from './formulas.js';
import type { CountedMask } from './mask.js';
import type { Values } from './values.js';

/** What one forward call leaves for its backward. Immutable, independent of later calls and of the module's mode. */
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

/** What a forward leaves for its backward beside the numbers of each channel. */
export interface Saved {
  /** The module whose forward it was. */
  readonly owner: object;
  readonly mode: 'batch' | 'running';
  readonly count: number;
  readonly shape: readonly number[];
  /** The input itself, not a copy; null where forward wrote its output over it. */
  readonly x: Values | null;
  /** The output itself, where a ReLU came after a residual. */
  readonly y: Values | null;
  /** A copy. */
  readonly mask: CountedMask | null;
  readonly relu: boolean;
  readonly residual: boolean;
  readonly renorm: Renormalisation | null;
}

/** A context with what only the package reads. */
export class Context implements ForwardContext {
  readonly numbers: ChannelNumbers;
  readonly #saved: Saved;
  #mean: Float64Array | undefined;
  #variance: Float64Array | undefined;

  constructor(numbers: ChannelNumbers, saved: Saved) {
    this.numbers = numbers;
    this.#saved = saved;
  }

  get saved(): Saved {
    return this.#saved;
  }

  get mode(): 'batch' | 'running' {
    return this.#saved.mode;
  }

  get count(): number {
    return this.#saved.count;
  }

  /** A copy, made when first asked for. */
  get mean(): Float64Array {
    this.#mean ??= field(this.numbers, MEAN);
    return this.#mean;
  }

  /** A copy, made when first asked for. */
  get variance(): Float64Array {
    this.#variance ??= field(this.numbers, VARIANCE);
    return this.#variance;
  }
}

function field(numbers: ChannelNumbers, offset: number): Float64Array {
  return Float64Array.from({ length: numbers.length / FIELDS }, (_, c) => numbers[FIELDS * c + offset]!);
}
