import type { Engine } from './engine.js';
import type { DType, Geometry } from './kernels.js';
import { type CountedMask, MemoryMask, UNMASKED } from './mask.js';
import type { Pass } from './passes.js';
import { Scratch } from './scratch.js';
import { MOST_CHANNELS, type Operand } from './staging.js';
import { reach, type Values } from './values.js';

/** What every pass needs beside its tensors. */
export type Surroundings = Pick<Pass, 'kernels' | 'scratch' | 'geometry' | 'limit' | 'mask'>;

/** Runs passes: takes the memory that one needs, and gives it back whatever happens. */
export class Runner {
  readonly #engine: Engine;
  readonly #dtype: DType;
  readonly #scratch: Scratch;

  constructor(engine: Engine, dtype: DType) {
    this.#engine = engine;
    this.#dtype = dtype;
    this.#scratch = new Scratch(engine, dtype);
  }

  /**
   * @param places - which place in a stage each of `values` takes, if there must be one
   * @param pass - is given an operand for each of `values`
   * @throws {RangeError} out of memory; `pass` has not been called then.
   */
  run(
    geometry: Geometry, values: readonly Values[], places: readonly number[], mask: CountedMask | null,
    pass: (operands: readonly Operand[], surroundings: Surroundings) => void,
  ): void {
    const engine = this.#engine, scratch = this.#scratch, kernels = engine.kernels[this.#dtype];
    let stage = 0, copy: MemoryMask | null = null;
    try {
      const near = reach(engine, this.#dtype, geometry, values, places);
      stage = near.stage;
      if (mask !== null) copy = new MemoryMask(engine, this.#dtype, mask, geometry);
      scratch.take(Math.min(geometry.channels, MOST_CHANNELS), geometry.inner);
      pass(near.operands, { kernels, scratch, geometry, limit: near.limit, mask: copy ?? UNMASKED });
    } finally {
      scratch.free();
      copy?.free();
      if (stage) engine.free(stage);
    }
  }
}
