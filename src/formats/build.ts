/** BatchNorms from what a converter has read: the part of a conversion that is the same for every framework. */
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { type BatchNormOptions, CONVENTIONS } from '../batchnorm/options.js';
import { ARRAYS, COUNTER, checkVariances, countOf } from '../batchnorm/state-dict.js';
import { checkNumber, checkOneOf, checkOptions, quoted, wrongKind } from '../checks.js';
import { checkLength, fromJson, numbersIn } from '../lists.js';
import type { RunningVariance } from '../passes/formulas.js';
import type { Layout } from '../runtime/shape.js';

/** Options of every converter. */
export interface ConvertOptions extends Pick<BatchNormOptions, 'dtype' | 'layout' | 'runtime'> {
  /** Variance that the checkpoint holds; default: the one its framework tracks. */
  savedVariance?: RunningVariance;
  /** Variance that the BatchNorm holds and goes on tracking; default: that of the checkpoint, so that nothing changes. */
  runningVariance?: RunningVariance;
  /** n, the values per channel of a training batch (N times all positions). Needed to convert variances. */
  count?: number;
}

/** What a converter returns. */
export interface Converted {
  readonly module: BatchNorm;
  /** What could not be converted exactly and what had to be assumed, one sentence each; empty if there is nothing of that. */
  readonly notes: readonly string[];
}

/** An array of a checkpoint: its name in torch, its name there, and its value. */
export type Part = readonly [name: string, word: string, values: unknown];

export type Framework = 'torch' | 'keras' | 'onnx' | 'flax' | 'caffe';

/** What a converter has read. */
export interface Reading {
  readonly framework: Framework;
  readonly parts: readonly Part[];
  /** undefined: nothing says it. */
  readonly eps: number | undefined;
  /** Weight of the new batch; null: cumulative average; undefined: nothing says it. */
  readonly momentum: number | null | undefined;
  readonly layout: Layout;
  /** To be added to. */
  readonly notes: string[];
}

/** How notes call a framework, and its words for eps and momentum. */
const WORDS: Record<Framework, readonly [name: string, eps: string, momentum: string]> = {
  torch: ['PyTorch', 'eps', 'momentum'], keras: ['Keras', 'epsilon', 'momentum'], onnx: ['ONNX', 'epsilon', 'momentum'],
  flax: ['Flax', 'epsilon', 'momentum'], caffe: ['Caffe', 'eps', 'moving_average_fraction'],
};

const OPTIONS = ['dtype', 'layout', 'runtime', 'savedVariance', 'runningVariance', 'count'];

/** @throws {TypeError | RangeError} parts that are not arrays of one length, an option of the wrong kind or value. */
export function build(reading: Reading, options: ConvertOptions): Converted {
  const { framework, eps, momentum = CONVENTIONS[framework].momentum, notes } = reading;
  checkOptions(converterOf(framework), options, OPTIONS);
  for (const name of ['savedVariance', 'runningVariance'] as const) checkOneOf(name, options[name], ['unbiased', 'biased']);
  const { savedVariance = CONVENTIONS[framework].runningVariance, runningVariance = savedVariance } = options;
  const count = numberOf(options, 'count', 2);
  const { channels, state } = stateOf(reading.parts);
  if (eps === undefined) notes.push(unsaid(reading));
  if (framework === 'torch' && state.running_mean && countOf(state[COUNTER]) === undefined) {
    const what = state[COUNTER] === undefined ? 'is missing' : 'overflowed to infinity or is null';
    notes.push(`${COUNTER} ${what}: it is taken as 0`);
  }
  const ratio = ratioOf(savedVariance, runningVariance, count);
  if (state.running_var && ratio === undefined) {
    notes.push(
      `the running variance is ${savedVariance} as it was saved, though the module goes on with the ${runningVariance} one: ` +
        'they differ by n / (n - 1), and n, the values per channel of a training batch, is unknown; "count" would say it',
    );
  } else if (state.running_var && ratio !== 1) {
    state.running_var = Float64Array.from(state.running_var, (value) => value * ratio!);
  }
  const bn = new BatchNorm(channels, {
    convention: framework, eps, momentum, runningVariance, layout: options.layout ?? reading.layout,
    weight: Boolean(state.weight), bias: Boolean(state.bias), trackRunningStats: Boolean(state.running_mean ?? state.running_var),
    dtype: options.dtype, runtime: options.runtime,
  });
  bn.loadStateDict(state);
  noteNonFinite(bn, reading);
  return { module: bn, notes };
}

function converterOf(framework: Framework): string {
  return `from${framework[0]!.toUpperCase()}${framework.slice(1)}`;
}

/** A state dictionary of the parts, and their common length. */
function stateOf(parts: readonly Part[]): { channels: number; state: Record<string, ArrayLike<number>> } {
  const state: Record<string, ArrayLike<number>> = {};
  let first: { word: string; length: number } | undefined;
  for (const [name, word, value] of parts) {
    if (name === COUNTER) {
      state[name] = fromJson(value) as ArrayLike<number>;
      continue;
    }
    const list = numbersIn(word, fromJson(value));
    first ??= { word, length: list.length };
    checkLength(word, list, first.length, ` as "${first.word}" has`, value);
    if (name === 'running_var') checkVariances(word, list);
    state[name] = list;
  }
  if (!first) throw new TypeError('"state" expected weight, bias or running statistics, got none');
  return { channels: first.length, state };
}

/** By what a variance changes; undefined: that depends on n, which is not known. */
function ratioOf(saved: RunningVariance, running: RunningVariance, count: number | undefined): number | undefined {
  if (saved === running) return 1;
  if (count === undefined) return undefined;
  return running === 'unbiased' ? count / (count - 1) : (count - 1) / count;
}

function unsaid({ framework, momentum }: Reading): string {
  const [name, eps, momentumWord] = WORDS[framework], preset = CONVENTIONS[framework];
  if (momentum !== undefined) return `nothing says ${eps}: it is the default of ${name}, ${preset.eps}`;
  const theirs = framework === 'torch' ? preset.momentum! : 1 - preset.momentum!;
  return `nothing says ${eps} and ${momentumWord}: they are the defaults of ${name}, ${preset.eps} and ${theirs}`;
}

/** Half precision overflows at 65,520, and an infinite variance makes y the bias without an error. */
function noteNonFinite(bn: BatchNorm, { parts, notes }: Reading): void {
  const state = bn.stateDict();
  for (const [name, word] of parts) {
    if (!(ARRAYS as readonly string[]).includes(name)) continue;
    const values = Array.from(state[name] as ArrayLike<number>), first = values.findIndex((value) => !Number.isFinite(value));
    if (first < 0) continue;
    const wrong = values.filter((value) => !Number.isFinite(value)).length;
    notes.push(`${word} holds ${wrong} of ${values.length} values that are not finite, the first at index ${first}`);
  }
}

/** A number of a config; undefined if it is not there. */
export function numberOf(config: object, word: string, least?: number, most?: number): number | undefined {
  const value = (config as Record<string, unknown>)[word];
  if (value === undefined) return undefined;
  checkNumber(word, value, least, most);
  return value;
}

/** Weight of the new batch, from a word that weighs the old value; undefined if it is not there. */
export function newWeightOf(config: object, word: string): number | undefined {
  const old = numberOf(config, word, 0, 1);
  return old === undefined ? undefined : 1 - old;
}

/** @throws {TypeError} not an object. */
export function checkObject(name: string, value: unknown): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw wrongKind(name, 'an object', value);
}

/**
 * A config with keys like `moving_average_fraction`, also where it has `movingAverageFraction`, as JavaScript has it.
 *
 * @param words - with a meaning here
 * @param others - known, without one
 * @throws {TypeError} a key that is neither: it may be a word misspelt, or one that changes the meaning.
 */
export function wordsOf(
  converter: string, config: unknown, words: readonly string[], others: readonly string[],
): Record<string, unknown> {
  checkObject('config', config);
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const word = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (word === 'eps' && words.includes('epsilon')) throw new TypeError('"config" expected "epsilon", got "eps"');
    if (!words.includes(word) && !others.includes(word)) {
      throw new TypeError(`${converter}() expected a config of ${words.join(', ')}, got "${quoted(key)}"`);
    }
    result[word] = value;
  }
  return result;
}

/**
 * The layout of an axis of channels, which Keras and Flax count from 0; -1 is the last one.
 *
 * @param rank - of the input, where it is known
 * @throws {TypeError} not a number, or an array of one. @throws {RangeError} neither 1 nor the last.
 */
export function layoutOf(axis: unknown, rank: number | undefined, notes: string[], layout: Layout | undefined): Layout {
  const value: unknown = Array.isArray(axis) && axis.length === 1 ? axis[0] : axis ?? -1;
  if (typeof value !== 'number') throw wrongKind('axis', 'a number', value);
  const last = value === -1 || (rank === undefined ? Number.isSafeInteger(value) && value > 1 : value === rank - 1);
  if (!last && value !== 1) throw new RangeError(`"axis" expected 1, -1 or the last axis, got ${value}`);
  if (value > 1 && rank === undefined && layout === undefined) {
    notes.push(`axis ${value} is taken for the last one: 'channels-last'`);
  }
  return last ? 'channels-last' : 'channels-first';
}
