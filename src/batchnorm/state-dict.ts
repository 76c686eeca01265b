/** State dictionaries under torch's names. */
import { checkInteger, quoted, reading, wrongKind, wrongValue } from '../checks.js';
import { fromJson, numbersIn } from '../lists.js';
import type { DType, Floats } from '../runtime/kernels.js';
import type { LayerState } from './layer-state.js';

/** The arrays, in torch's order. */
export const ARRAYS = ['weight', 'bias', 'running_mean', 'running_var'] as const;
/** Batches that have entered the running statistics. */
export const COUNTER = 'num_batches_tracked';

/** The arrays of a layer; null where it has none. */
function arraysOf({ weight, bias, runningMean, runningVar }: LayerState): Record<(typeof ARRAYS)[number], Floats | null> {
  return { weight, bias, running_mean: runningMean, running_var: runningVar };
}

/** Copies of a layer's arrays, and its counter where running statistics are kept. */
export function stateDict(layer: LayerState): Record<string, Floats | number> {
  const result: Record<string, Floats | number> = {}, arrays = arraysOf(layer);
  for (const name of ARRAYS) {
    const values = arrays[name];
    if (values) result[name] = values.slice();
  }
  if (layer.runningMean) result[COUNTER] = layer.numBatchesTracked;
  return result;
}

/**
 * Writes a state dictionary into a layer, all or nothing. What JSON makes of typed arrays is read as these. The counter
 * becomes 0 where a file has none, as files of torch before 0.4.1 do, or does not know it (see `countOf`).
 *
 * @throws {TypeError} a name is missing or unknown, or a value is of the wrong kind.
 * @throws {RangeError} a value has another length than the layer's, a variance is negative, or the counter is not a count.
 */
export function loadStateDict(layer: LayerState, state: unknown): void {
  if (typeof state !== 'object' || state === null) {
    throw wrongKind('state', 'an object of arrays', state);
  }
  const arrays = arraysOf(layer), names = ARRAYS.filter((name) => arrays[name]);
  const known: string[] = layer.runningMean ? [...names, COUNTER] : names;
  const entries = reading('state', () => Object.keys(state));
  for (const name of entries) {
    if (!known.includes(name)) throw new TypeError(`"state" expected ${known.join(', ')}, got "${quoted(name)}"`);
  }
  const entry = (name: string) => reading(name, () => (state as Record<string, unknown>)[name]);
  const values = names.map((name) => {
    if (!entries.includes(name)) throw new TypeError(`"state" expected "${name}", got none`);
    return readArray(name, entry(name), layer.channels, layer.settings.dtype);
  });
  const counter = entries.includes(COUNTER) ? countOf(entry(COUNTER)) ?? 0 : 0;
  names.forEach((name, i) => { arrays[name]!.set(values[i]!); });
  layer.numBatchesTracked = counter;
}

/** A copy, so that nothing that is read later can change it. */
function readArray(name: string, value: unknown, length: number, dtype: DType): Floats {
  const values = numbersIn(name, fromJson(value), length);
  const copy = dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
  if (name === 'running_var') checkVariances(name, copy);
  return copy;
}

/** @throws {RangeError} a variance is negative. */
export function checkVariances(name: string, values: ArrayLike<number>): void {
  const negative = Array.prototype.findIndex.call(values, (value: number) => value < 0);
  if (negative >= 0) throw wrongValue(name, 'variances of 0 or more', `${values[negative]} at index ${negative}`);
}

/**
 * The counter of a checkpoint: a number or bigint, or an array of one, as loaders return scalars. undefined where it is
 * not known: missing, overflowed to infinity as float16 does at 65,520, or null, which is JSON's infinity.
 *
 * @throws {TypeError} not a number. @throws {RangeError} not an integer, or negative.
 */
export function countOf(value: unknown): number | undefined {
  const list = fromJson(value) as number | bigint | ArrayLike<number | bigint> | null | undefined;
  const scalar = reading(COUNTER, () => (typeof list === 'object' && list?.length === 1 ? list[0] : list));
  if (scalar === undefined || scalar === null || scalar === Number.POSITIVE_INFINITY) return undefined;
  const counter = typeof scalar === 'bigint' ? Number(scalar) : scalar;
  checkInteger(COUNTER, counter, 0);
  return counter;
}
