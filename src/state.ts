/** State dictionaries under torch's names. */
import { checkInteger, checkList, checkNumbers, wrongKind, wrongValue } from './checks.js';
import type { DType, Floats } from './kernels.js';

/** The arrays of a module that a state dictionary holds; null where the module has none. */
export interface State {
  readonly weight: Floats | null;
  readonly bias: Floats | null;
  readonly running_mean: Floats | null;
  readonly running_var: Floats | null;
}

const NAMES = ['weight', 'bias', 'running_mean', 'running_var'] as const;
const COUNTER = 'num_batches_tracked';

/** Copies of a module's arrays, and its counter where running statistics are kept. */
export function writeState(state: State, numBatchesTracked: number): Record<string, Floats | number> {
  const result: Record<string, Floats | number> = {};
  for (const name of NAMES) {
    const values = state[name];
    if (values) result[name] = values.slice();
  }
  if (state.running_mean) result[COUNTER] = numBatchesTracked;
  return result;
}

/**
 * Writes a state dictionary into a module's arrays, all or nothing. Returns the counter: 0 where a file has none, as
 * files of torch before 0.4.1 do.
 *
 * @throws {TypeError} a name is missing or unknown, or a value of the wrong kind.
 * @throws {RangeError} a value has another length than the module's, a variance is negative, or the counter is none.
 */
export function readState(target: State, state: unknown, dtype: DType): number {
  if (typeof state !== 'object' || state === null) {
    throw wrongKind('state', 'an object of arrays', state);
  }
  const names = NAMES.filter((name) => target[name]);
  const known: string[] = target.running_mean ? [...names, COUNTER] : names;
  for (const name of Object.keys(state)) {
    if (!known.includes(name)) throw new TypeError(`"state" expected ${known.join(', ')}, got "${name}"`);
  }
  const entries = state as Record<string, unknown>;
  const values = names.map((name) => readArray(name, entries, target[name]!.length, dtype));
  const counter = target.running_mean ? readCounter(entries) : 0;
  names.forEach((name, i) => { target[name]!.set(values[i]!); });
  return counter;
}

function readArray(name: string, state: Record<string, unknown>, length: number, dtype: DType): Floats {
  if (!Object.keys(state).includes(name)) throw new TypeError(`"state" expected "${name}", got none`);
  const values = state[name];
  checkList(name, values, length);
  checkNumbers(name, values);
  const copy = dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
  const negative = name === 'running_var' ? copy.findIndex((value) => value < 0) : -1;
  if (negative >= 0) {
    throw wrongValue(name, 'variances of 0 or more', `${copy[negative]} at index ${negative}`);
  }
  return copy;
}

/** The counter as a number, a bigint, or an array of one of them: how loaders of int64 scalars hand it over. */
function readCounter(state: Record<string, unknown>): number {
  if (!Object.keys(state).includes(COUNTER)) return 0;
  const value = state[COUNTER] as number | bigint | ArrayLike<number | bigint> | null;
  const scalar = typeof value === 'object' && value?.length === 1 ? value[0] : value;
  const counter = typeof scalar === 'bigint' ? Number(scalar) : scalar;
  checkInteger(COUNTER, counter, 0);
  return counter;
}
