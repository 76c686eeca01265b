import type { Engine } from '../runtime/engine.js';
import type { DType, Geometry } from '../runtime/kernels.js';
import type { Memory } from '../runtime/memory.js';
import { MOST_CHANNELS } from './blocks.js';
import { type CountedMask, MemoryMask, UNMASKED } from './mask.js';
import { inPlace, type Operands, type Tensors, throughStage } from './operands.js';
import type { PassMemory } from './pass.js';
import { Scratch } from './scratch.js';

/** The memory of passes: allocates what one needs, and frees it whatever happens. */
export class Workspace {
  readonly #engine: Engine;
  readonly #dtype: DType;
  readonly #scratch: Scratch;
  /** That of the engine's stager. */
  #staged: Workspace | undefined;

  constructor(engine: Engine, dtype: DType) {
    this.#engine = engine;
    this.#dtype = dtype;
    this.#scratch = new Scratch(engine, dtype);
  }

  /**
   * Runs a pass on tensors of one shape.
   *
   * @param pass - gets an operand for each of `tensors`, under the same name. Nothing grows memory until it returns, so that
   *   it may hold views
   * @throws {RangeError} out of memory; `pass` has not been called then.
   */
  use<T extends Tensors>(
    geometry: Geometry, tensors: T, mask: CountedMask | null, pass: (memory: PassMemory, operands: Operands<T>) => void,
  ): void {
    const engine = this.#engine, scratch = this.#scratch, all = engine.kernels[this.#dtype], { outer, channels, inner } = geometry;
    const elements = outer * channels * inner, kernels = all.small && elements < all.least! ? all.small : all;
    let near = inPlace(engine, this.#dtype, geometry, tensors);
    if (near === null && engine.stager !== undefined) {
      this.#staged ??= new Workspace(engine.stager, this.#dtype);
      this.#staged.use(geometry, tensors, mask, pass);
      return;
    }
    let stage = 0, copy: MemoryMask | null = null;
    try {
      near ??= throughStage(engine, this.#dtype, geometry, tensors);
      stage = near.stage;
      if (mask !== null) copy = new MemoryMask(engine, this.#dtype, mask, geometry);
      const most = Math.min(channels, MOST_CHANNELS);
      scratch.allocate(most, kernels.scratchBytes(most, inner, elements));
      pass({ engine, dtype: this.#dtype, kernels, scratch, geometry, limit: near.limit, mask: copy ?? UNMASKED }, near.operands);
    } finally {
      scratch.free();
      copy?.free();
      if (stage) engine.free(stage);
    }
  }
}

/**
 * A workspace to be used again, for whoever may outlive the engine: kept by memory and weakly, since its views would keep the
 * memory of an engine that has been disposed.
 */
export class LastingWorkspace {
  readonly #dtype: DType;
  readonly #workspaces = new WeakMap<Memory, Workspace>();

  constructor(dtype: DType) {
    this.#dtype = dtype;
  }

  on(engine: Engine): Workspace {
    let workspace = this.#workspaces.get(engine.memory);
    if (workspace === undefined) {
      workspace = new Workspace(engine, this.#dtype);
      this.#workspaces.set(engine.memory, workspace);
    }
    return workspace;
  }
}
