import type { BatchNorm } from './batchnorm.js';
import { type ChannelNumbers, FIELDS, MEAN, VARIANCE } from './formulas.js';
import type { Floats } from './kernels.js';
import type { MemoryTensor } from './runtime.js';

/** What one forward call leaves for its backward. Immutable, independent of later calls and of the module's mode. */
export interface ForwardContext {
  /** Which statistics normalised. */
  readonly mode: 'batch' | 'running';
  /** [C] */
  readonly mean: Float64Array;
  /** [C], biased. */
  readonly variance: Float64Array;
  /** M, the values of one channel. */
  readonly count: number;
}

/** A context with what only the package reads: whose it is, the numbers of each channel, the x that backward needs. */
export class Context implements ForwardContext {
  readonly owner: BatchNorm;
  readonly numbers: ChannelNumbers;
  readonly shape: readonly number[];
  /** The input itself, not a copy; null where forward wrote its output over it. */
  readonly x: Floats | MemoryTensor | null;
  readonly #mode: 'batch' | 'running';
  readonly #count: number;
  #mean: Float64Array | undefined;
  #variance: Float64Array | undefined;

  constructor(
    owner: BatchNorm, mode: Context['mode'], count: number, numbers: ChannelNumbers,
    shape: readonly number[], x: Context['x'],
  ) {
    this.owner = owner;
    this.#mode = mode;
    this.#count = count;
    this.numbers = numbers;
    this.shape = shape;
    this.x = x;
  }

  get mode(): 'batch' | 'running' {
    return this.#mode;
  }

  get count(): number {
    return this.#count;
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
