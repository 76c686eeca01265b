/** One collective call: what can fail comes before it, so that after it all ranks do the same. */
import { type Group, messageOf } from './group.js';
import { areInStep, bodiesOf, encodeFailure, type Terms } from './record.js';

/** What a rank gives, and what it makes of what all give. */
export interface Call<T> {
  /** null where nothing has to be asked of the others. */
  readonly record: Uint8Array | null;
  /** Changes the layer. Fails alike on all ranks, or not at all. */
  finish(bodies: readonly Float64Array[]): T;
  /** Frees what was made for the result, where there will be none. */
  release?(): void;
  /** Why this rank has nothing to give. */
  readonly error?: unknown;
}

/** Errors that all ranks have. */
const shared = new WeakSet<object>();
/** Calls that have not ended yet. */
const inFlight = new WeakMap<Group, number>();

/** A call whose preparation may throw; then the others hear of it in the same collective. */
export function prepared<T>(terms: Terms, prepare: () => Call<T>): Call<T> {
  try {
    return prepare();
  } catch (error) {
    return failure(terms, error);
  }
}

/** A call that makes all ranks throw. */
export function failure(terms: Terms, error: unknown): Call<never> {
  return { record: encodeFailure(terms, error), error, finish: () => { throw error; } };
}

export async function exchange<T>(group: Group, call: Call<T>): Promise<T> {
  if (call.record === null) return call.finish([]);
  count(group, 1);
  try {
    return completed(group, call, await group.allGather(call.record));
  } catch (error) {
    call.release?.();
    throw error;
  } finally {
    count(group, -1);
  }
}

/** @throws {TypeError} the group cannot wait in place. */
export function exchangeBlocking<T>(group: Group, call: Call<T>): T {
  if (call.record === null) return call.finish([]);
  if (group.allGatherBlocking === undefined) {
    call.release?.();
    throw new TypeError('a blocking call expected a group that can wait in place (mpiGroup), got one without allGatherBlocking()');
  }
  try {
    return completed(group, call, group.allGatherBlocking(call.record));
  } catch (error) {
    call.release?.();
    throw error;
  }
}

/** Whether all ranks have this error, or one that caused it. */
export function isShared(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) if (shared.has(each)) return true;
  return false;
}

function completed<T>(group: Group, call: Call<T>, records: readonly Uint8Array[]): T {
  try {
    return call.finish(bodiesOf(records));
  } catch (cause) {
    const error = call.error === undefined || !(cause instanceof Error) ? cause : new Error(messageOf(cause), { cause: call.error });
    shared.add(error as object);
    // The next calls of the others are on their way: they would meet other calls of this rank from now on.
    if ((inFlight.get(group) ?? 0) > 1 && !areInStep(records)) group.abort(error);
    throw error;
  }
}

function count(group: Group, change: 1 | -1): void {
  inFlight.set(group, (inFlight.get(group) ?? 0) + change);
}
