/** Tensors and arrays as the passes see them: in place if all of them live in memory, otherwise through a stage. */

import type { Engine } from '../runtime/engine.js';
import { BYTES, type DType, type Floats, type Geometry, type Pointer } from '../runtime/kernels.js';
import { ALIGNMENT } from '../runtime/memory.js';
import { MemoryView } from '../runtime/views.js';
import { type Block, eachRun, startOf } from './blocks.js';
import { byteOffsetOf, floatsIn, type Values } from './values.js';

/** Bytes of memory that one call stages through: one channel of 32x112x112 floats, and no more, for memory is bounded. */
const STAGE_BYTES = 32 * 112 * 112 * 4;

/** An array as the passes see it: each block has an address. */
export interface Operand {
  /** Elements between outer slices of the block, at its address. */
  pitch(block: Block): number;
  /** The address of a block whose present values do not matter. */
  at(block: Block): Pointer;
  /** The address of a block that holds its values. */
  load(block: Block): Pointer;
  /** Carries a block back to where it belongs. */
  store(block: Block): void;
}

/** An array that lives in memory. */
export class Resident implements Operand {
  readonly #pointer: Pointer;
  readonly #bytes: number;
  readonly #geometry: Geometry;

  constructor(dtype: DType, pointer: Pointer, geometry: Geometry) {
    this.#pointer = pointer;
    this.#bytes = BYTES[dtype];
    this.#geometry = geometry;
  }

  pitch(): number {
    return this.#geometry.pitch;
  }

  at(block: Block): Pointer {
    return this.#pointer + startOf(this.#geometry, block) * this.#bytes;
  }

  load(block: Block): Pointer {
    return this.at(block);
  }

  store(): void {}
}

/**
 * Bytes, modulo a page of 4 KiB, from an array's place to that of its copy. Where both lie in the same place of a page,
 * a copy of 250 KB takes 140 us instead of 8 (rep movsb on Zen 4). 128 modulo 256, so that runs that lie apart by
 * multiples of 256 bytes are safe as well.
 */
const APART = 2176;
/** Bytes of a stage beyond its blocks, for that. */
export const STAGE_MARGIN = 4096;

/**
 * An array outside the memory, staged at an address with room for any block and STAGE_MARGIN bytes more.
 *
 * @param byteOffset - of the first array in this slot, in its buffer
 */
export function staged(
  engine: Engine, dtype: DType, array: () => Floats, geometry: Geometry, stage: Pointer, byteOffset = 0,
): Operand {
  const place = (block: Block) =>
    stage + ((byteOffset + startOf(geometry, block) * BYTES[dtype] + APART - stage) & (STAGE_MARGIN - ALIGNMENT));
  const view = (block: Block, offset: number, length: number) =>
    engine.floats(dtype, place(block) + offset * BYTES[dtype], length);
  return {
    pitch: (block) => block.channels * block.inner,
    at: place,
    load(block) {
      const from = array();
      eachRun(geometry, block, (start, offset, length) => {
        view(block, offset, length).set(length === from.length ? from : from.subarray(start, start + length));
      });
      return place(block);
    },
    store(block) {
      const to = array();
      eachRun(geometry, block, (start, offset, length) => { to.set(view(block, offset, length), start); });
    },
  };
}

/** The names of tensors that a pass may have. */
export type Name = 'x' | 'y' | 'residual' | 'dy' | 'dx' | 'dresidual' | 'output';

/** Slot of the stage for each of them. What overwrites another shares its slot: y that of x, dx that of dy. */
const SLOTS: Record<Name, number> = { x: 0, y: 0, residual: 1, dy: 1, dx: 1, dresidual: 2, output: 3 };

/** Tensors of a pass by name; null if it has none of that name. */
export type Tensors = { readonly [N in Name]?: Values | null };

/** The same as operands. */
export type Operands<T extends Tensors> = { readonly [N in keyof T]: null extends T[N] ? Operand | null : Operand };

/** Operands within reach of the kernels. */
export interface Reach<T extends Tensors> {
  readonly operands: Operands<T>;
  /** The most elements that a block may have. */
  readonly limit: number;
  /** To be freed at the end; 0: there is none. */
  readonly stage: Pointer;
}

/** Tensors that all live in memory, where they are; null if one of them does not. */
export function inPlace<T extends Tensors>(engine: Engine, dtype: DType, geometry: Geometry, tensors: T): Reach<T> | null {
  const operands: { [N in Name]?: Operand | null } = {};
  for (const name in tensors) {
    const values = tensors[name as Name] ?? null, pointer = values && pointerOf(engine, values);
    if (values !== null && pointer === null) return null;
    operands[name as Name] = pointer === null ? null : new Resident(dtype, pointer, geometry);
  }
  return { operands: operands as Operands<T>, limit: Infinity, stage: 0 };
}

/**
 * Arrays as operands that are copied into memory and out, block by block.
 *
 * @throws {RangeError} no memory for a stage.
 */
export function throughStage<T extends Tensors>(engine: Engine, dtype: DType, geometry: Geometry, tensors: T): Reach<T> {
  const names = (Object.keys(tensors) as Name[]).filter((name) => tensors[name]);
  const slots = Math.max(...names.map((name) => SLOTS[name])) + 1;
  const limit = Math.min(geometry.outer * geometry.pitch, Math.floor(STAGE_BYTES / slots / BYTES[dtype]));
  const bytes = Math.ceil((limit * BYTES[dtype]) / ALIGNMENT) * ALIGNMENT + STAGE_MARGIN;
  const sources = names.map((name) => sourceOf(engine, tensors[name]!));
  const stage = engine.allocate(bytes * slots);
  const operands: { [N in Name]?: Operand | null } = {};
  for (const name of Object.keys(tensors) as Name[]) operands[name] = null;
  names.forEach((name, i) => {
    const first = sources[names.findIndex((other) => SLOTS[other] === SLOTS[name])]!;
    const array = () => floatsIn(sources[i]!);
    operands[name] = staged(engine, dtype, array, geometry, stage + SLOTS[name] * bytes, byteOffsetOf(first));
  });
  return { operands: operands as Operands<T>, limit, stage };
}

/** Values to be staged. Making the stage may grow memory, so a view of that goes by its address from now on. */
function sourceOf(engine: Engine, values: Values): Values {
  return ArrayBuffer.isView(values) && pointerOf(engine, values) !== null ? new MemoryView(engine, values) : values;
}

/** The address of values that live in the engine's memory, or null. */
function pointerOf(engine: Engine, values: Values): Pointer | null {
  if (ArrayBuffer.isView(values)) return values.buffer === engine.memory.buffer ? values.byteOffset : null;
  return values.engine === engine ? values.pointer : null;
}
