/** What synchronising needs of an engine: one collective. */
import { describe, isCount, wrongKind } from '../checks.js';

/** Ranks that call the same collectives in the same order. Ranks trust each other: nothing is signed or secret. */
export interface Group {
  /** From 0 to size - 1. */
  readonly rank: number;
  readonly size: number;
  /**
   * What each rank gives, in rank order, as copies; lengths may differ. May be called again before it has resolved, on all
   * ranks in the same order; it resolves in that order.
   *
   * @throws {Error} (rejects) a rank is missing, has left or has aborted, or the engine is gone. Then the group is over: all
   *   later calls reject with the same error, and the ranks have to form a new group.
   */
  allGather(bytes: Uint8Array): Promise<readonly Uint8Array[]>;
  /** The same without a promise; only where the engine can wait in place. */
  allGatherBlocking?(bytes: Uint8Array): readonly Uint8Array[];
  /** Ends the group on all ranks: what they wait for, and all that they ask for later, throws. */
  abort(reason: unknown): void;
  /** Leaves. Collectives that this rank has given its part to go on; the others cannot begin new ones. */
  close(): void;
}

/** @throws {TypeError} not a group. */
export function checkGroup(name: string, group: unknown): asserts group is Group {
  const { rank, size, allGather } = Object(group) as Partial<Group>;
  if (!isCount(rank) || !isCount(size) || typeof allGather !== 'function') {
    throw new TypeError(`${name}() expected a group, got ${describe(group)}`);
  }
}

/** The message of an error, or of anything else that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** "rank 3", "ranks 0 and 2", "ranks 0, 1 and 3". */
export function ranks(list: readonly number[]): string {
  if (list.length === 1) return `rank ${list[0]}`;
  return `ranks ${list.slice(0, -1).join(', ')} and ${list.at(-1)}`;
}

/** @throws {TypeError} not a string, or empty. */
export function checkRun(run: unknown): asserts run is string {
  if (typeof run !== 'string' || run === '') throw wrongKind('run', 'a name that all ranks share', run);
}
