import type { Engine } from '../runtime/engine.js';
import { BYTES, type DType, type Floats, type Pointer } from '../runtime/kernels.js';
import { ALIGNMENT } from '../runtime/memory.js';

/**
 * Per-channel memory of a call: two f64 results, the shift, four coefficients, and scratch for the kernels.
 *
 * The memory is freed after the call. The views are kept as long as the next call gets the same memory, since making them
 * costs more than normalising a small batch (60x100: 1.5 us of 7).
 */
export class Scratch {
  readonly #engine: Engine;
  readonly #dtype: DType;
  #channels = 0;
  #start: Pointer = 0;
  #buffer: ArrayBuffer | undefined;
  /** What `moments` writes, and under other names what `reduce` writes. */
  mean: Pointer = 0;
  m2: Pointer = 0;
  total: Pointer = 0;
  dot: Pointer = 0;
  shift: Pointer = 0;
  p: Pointer = 0;
  q: Pointer = 0;
  r: Pointer = 0;
  offset: Pointer = 0;
  /** Scratch of the kernels. */
  work: Pointer = 0;
  /** Views of the above, [channels] each. */
  views!: ScratchViews;

  constructor(engine: Engine, dtype: DType) {
    this.#engine = engine;
    this.#dtype = dtype;
  }

  /** Allocates for this many channels, and as many bytes for kernels. Must be the last allocation of a call: growth detaches views. */
  allocate(channels: number, work: number): void {
    const engine = this.#engine;
    const sums = Math.ceil(channels / 2) * 16;
    // A cache line more than needed: rows of 4 KiB would otherwise all fall into the same sets of an L1 cache.
    const row = Math.ceil((channels * BYTES[this.#dtype]) / 16) * 16 + ALIGNMENT;
    const start = engine.allocateScratch(2 * sums + 5 * row + work);
    this.#start = start;
    const { buffer } = engine.memory;
    if (start === this.mean && channels === this.#channels && buffer === this.#buffer) return;
    this.#channels = channels;
    this.#buffer = buffer;
    this.mean = start;
    this.m2 = start + sums;
    this.total = this.mean;
    this.dot = this.m2;
    this.shift = this.m2 + sums;
    this.p = this.shift + row;
    this.q = this.p + row;
    this.r = this.q + row;
    this.offset = this.r + row;
    this.work = this.offset + row;
    const floats = (pointer: Pointer) => engine.floats(this.#dtype, pointer, channels);
    const doubles = (pointer: Pointer) => engine.floats('float64', pointer, channels) as Float64Array;
    const mean = doubles(this.mean), m2 = doubles(this.m2);
    this.views = {
      mean, m2, total: mean, dot: m2,
      shift: floats(this.shift), p: floats(this.p), q: floats(this.q), r: floats(this.r),
      offset: floats(this.offset),
    };
  }

  /** Frees what has been allocated, if anything has. */
  free(): void {
    if (this.#start) this.#engine.freeScratch(this.#start);
    this.#start = 0;
  }
}

export interface ScratchViews {
  readonly mean: Float64Array;
  readonly m2: Float64Array;
  readonly total: Float64Array;
  readonly dot: Float64Array;
  readonly shift: Floats;
  readonly p: Floats;
  readonly q: Floats;
  readonly r: Floats;
  readonly offset: Floats;
}
