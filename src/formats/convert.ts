/** BatchNorms from what other frameworks save: their names, their words for eps and momentum, their variance. */
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { type BatchNormOptions, CONVENTIONS } from '../batchnorm/options.js';
import { ARRAYS, COUNTER } from '../batchnorm/state-dict.js';
import {
  checkBoolean, checkLength, checkList, checkNumber, checkNumbers, checkOneOf, checkOptions, wrongKind, wrongValue,
} from '../checks.js';
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
  /** What could not be converted exactly, one sentence each; empty if everything could. */
  readonly notes: readonly string[];
}

/** Arguments of `torch.nn.BatchNorm*d`. */
export interface TorchConfig {
  /** The start of every name, such as 'layer1.0.bn1.'; default ''. */
  prefix?: string;
  eps?: number;
  momentum?: number | null;
}

/** Fields of a `flax.linen.BatchNorm`. */
export interface FlaxConfig {
  axis?: number | readonly number[];
  epsilon?: number;
  /** Weight of the old value. */
  momentum?: number;
}

/** Fields of a Keras layer's `get_config()`; others are ignored. */
export interface KerasConfig extends FlaxConfig {
  scale?: boolean;
  center?: boolean;
  readonly [other: string]: unknown;
}

/** Attributes of an ONNX BatchNormalization node; others are ignored. */
export interface OnnxAttributes extends Omit<FlaxConfig, 'axis'> {
  training_mode?: number;
  readonly [other: string]: unknown;
}

/** Collections of a `flax.linen.BatchNorm`. */
export interface FlaxVariables {
  params?: { scale?: ArrayLike<number>; bias?: ArrayLike<number> };
  batch_stats: { mean: ArrayLike<number>; var: ArrayLike<number> };
}

/** An array of a checkpoint: its name in torch, its name there, and its value. */
type Part = readonly [name: string, word: string, values: unknown];

const TORCH: readonly string[] = [...ARRAYS, COUNTER];

/**
 * A BatchNorm from a `state_dict` of PyTorch.
 *
 * @param state - arrays of [C]; weight and bias, the running statistics and the counter may be missing, as in torch.
 *   Names without the prefix are left alone. Values are copied and rounded to `dtype`
 * @param config - `eps` (1e-5), `momentum` (0.1, weighs the new batch; null: cumulative) and `prefix` ('')
 * @returns a BatchNorm in training mode, 'channels-first' unless `options.layout` says otherwise
 * @throws {TypeError} no name has the prefix, or a name is not one of a batch norm; a value is of the wrong kind.
 * @throws {RangeError} arrays have different lengths, or a number is out of range.
 */
export function fromTorch(
  state: Record<string, ArrayLike<number> | ArrayLike<bigint> | number | bigint>, config: TorchConfig = {},
  options: ConvertOptions = {},
): Converted {
  checkObject('state', state);
  checkOptions('fromTorch', config, ['prefix', 'eps', 'momentum']);
  const { prefix = '' } = config;
  if (typeof prefix !== 'string') throw wrongKind('prefix', 'a string', prefix);
  const names = Object.keys(state).filter((name) => name.startsWith(prefix));
  if (names.length === 0) throw new TypeError(`"state" expected names that start with "${prefix}", got none`);
  const stranger = names.find((name) => !TORCH.includes(name.slice(prefix.length)));
  if (stranger !== undefined) {
    throw new TypeError(`"state" expected ${TORCH.join(', ')} after "${prefix}", got "${stranger}"`);
  }
  const parts = names.map((name) => [name.slice(prefix.length), name, state[name]] as const);
  const momentum = config.momentum === null ? null : numberOf(config, 'momentum', 0, 1) ?? CONVENTIONS.torch.momentum;
  return build('torch', parts, numberOf(config, 'eps'), momentum, 'channels-first', [], options);
}

/**
 * A BatchNorm from the weights and the config of a Keras (or tfjs) BatchNormalization layer.
 *
 * @param weights - as `get_weights()` orders them: gamma where `scale`, beta where `center`, moving_mean,
 *   moving_variance; arrays of [C], copied
 * @param config - `epsilon` (1e-3), `momentum` (0.99, weighs the old value), `scale`, `center` (true), `axis` (-1)
 * @param options - `savedVariance: 'unbiased'` for Keras 2 layers on 4-D inputs, which ran fused
 * @returns a BatchNorm in training mode, 'channels-last' unless `axis` is 1 or `options.layout` says otherwise; an axis of 2 or more
 *   is read as the last one, and noted
 * @throws {TypeError | RangeError} as `fromTorch`; another number of weights, or an axis that is neither 1 nor the last.
 */
export function fromKeras(
  weights: readonly ArrayLike<number>[], config: KerasConfig = {}, options: ConvertOptions = {},
): Converted {
  if (!Array.isArray(weights)) throw wrongKind('weights', 'an array of arrays', weights);
  checkObject('config', config);
  const { scale = true, center = true } = config;
  for (const [word, value] of Object.entries({ scale, center })) {
    checkBoolean(word, value);
  }
  const names = [
    ...(scale ? [['weight', 'gamma']] : []), ...(center ? [['bias', 'beta']] : []),
    ['running_mean', 'moving_mean'], ['running_var', 'moving_variance'],
  ] as [string, string][];
  if (weights.length !== names.length) {
    const words = names.map(([, word]) => word).join(', ');
    throw wrongValue('weights', `${names.length} arrays (${words})`, weights.length);
  }
  return fromOldValue('keras', names.map(([name, word], i) => [name, word, weights[i]]), config, options);
}

/**
 * A BatchNorm from the attributes and inputs of an ONNX BatchNormalization node.
 *
 * @param inputs - scale, B, input_mean and input_var, the inputs 1 to 4 by the operator's names; arrays of [C], copied
 * @param attributes - `epsilon` (1e-5), `momentum` (0.9, weighs the old value), `training_mode` (0)
 * @param options - `savedVariance: 'unbiased'` where the file was exported from a framework that tracks that, as PyTorch
 * @returns a BatchNorm in the mode of `training_mode`, 'channels-first' unless `options.layout` says otherwise
 * @throws {TypeError | RangeError} as `fromTorch`; the attribute `spatial` of old files is 0.
 */
export function fromOnnx(
  inputs: Record<'scale' | 'B' | 'input_mean' | 'input_var', ArrayLike<number>>,
  attributes: OnnxAttributes = {}, options: ConvertOptions = {},
): Converted {
  checkOptions('fromOnnx', inputs, ['scale', 'B', 'input_mean', 'input_var']);
  checkObject('attributes', attributes);
  const { training_mode: mode = 0, spatial = 1 } = attributes;
  for (const [word, value, accepted] of [['training_mode', mode, [0, 1]], ['spatial', spatial, [1]]] as const) {
    if (typeof value !== 'number') throw wrongKind(word, 'a number', value);
    if (!(accepted as readonly number[]).includes(value)) {
      throw wrongValue(word, accepted.join(' or '), value);
    }
  }
  const parts: Part[] = [
    ['weight', 'scale', inputs.scale], ['bias', 'B', inputs.B],
    ['running_mean', 'input_mean', inputs.input_mean], ['running_var', 'input_var', inputs.input_var],
  ];
  const converted = fromOldValue('onnx', parts, { ...attributes, axis: 1 }, options);
  converted.module.train(mode === 1);
  return converted;
}

/**
 * A BatchNorm from the variables of a Flax BatchNorm.
 *
 * @param variables - `params.scale` and `params.bias` if they exist, `batch_stats.mean`, `batch_stats.var`; arrays of
 *   [C], copied
 * @param config - `epsilon` (1e-5), `momentum` (0.99, weighs the old value), `axis` (-1)
 * @returns a BatchNorm in training mode, 'channels-last' unless `axis` is 1 or `options.layout` says otherwise; an axis of 2 or more
 *   is read as the last one, and noted
 * @throws {TypeError | RangeError} as `fromKeras`.
 */
export function fromFlax(variables: FlaxVariables, config: FlaxConfig = {}, options: ConvertOptions = {}): Converted {
  checkOptions('fromFlax', variables, ['params', 'batch_stats']);
  checkOptions('fromFlax', config, ['axis', 'epsilon', 'momentum']);
  const { params = {}, batch_stats } = variables;
  checkOptions('params', params, ['scale', 'bias']);
  checkOptions('batch_stats', batch_stats, ['mean', 'var']);
  const parts: Part[] = [['running_mean', 'mean', batch_stats.mean], ['running_var', 'var', batch_stats.var]];
  if (params.scale !== undefined) parts.push(['weight', 'scale', params.scale]);
  if (params.bias !== undefined) parts.push(['bias', 'bias', params.bias]);
  return fromOldValue('flax', parts, config, options);
}

/** Frameworks that say epsilon and whose momentum weighs the old value. */
function fromOldValue(
  convention: 'keras' | 'onnx' | 'flax', parts: Part[], config: FlaxConfig, options: ConvertOptions,
): Converted {
  if ('eps' in config) throw new TypeError('"config" expected "epsilon", got "eps"');
  const old = numberOf(config, 'momentum', 0, 1), notes: string[] = [];
  const momentum = old === undefined ? CONVENTIONS[convention].momentum : 1 - old;
  const axis: unknown = Array.isArray(config.axis) && config.axis.length === 1 ? config.axis[0] : config.axis ?? -1;
  if (typeof axis !== 'number') throw wrongKind('axis', 'a number', axis);
  if (axis !== -1 && !(Number.isSafeInteger(axis) && axis >= 1)) {
    throw wrongValue('axis', '1, -1 or the last axis', axis);
  }
  if (axis > 1 && options.layout === undefined) notes.push(`axis ${axis} is taken for the last one: 'channels-last'`);
  const layout = axis === 1 ? 'channels-first' : 'channels-last';
  return build(convention, parts, numberOf(config, 'epsilon'), momentum, layout, notes, options);
}

function build(
  convention: 'torch' | 'keras' | 'onnx' | 'flax', parts: Part[], eps: number | undefined, momentum: number | null,
  layout: Layout, notes: string[], options: ConvertOptions,
): Converted {
  const converter = `from${convention[0]!.toUpperCase()}${convention.slice(1)}`;
  checkOptions(converter, options, ['dtype', 'layout', 'runtime', 'savedVariance', 'runningVariance', 'count']);
  for (const name of ['savedVariance', 'runningVariance'] as const) checkOneOf(name, options[name], ['unbiased', 'biased']);
  const { savedVariance = CONVENTIONS[convention].runningVariance, runningVariance = savedVariance } = options;
  const count = numberOf(options, 'count', 2);

  const state: Record<string, ArrayLike<number>> = {};
  let first: { word: string; length: number } | undefined;
  for (const [name, word, value] of parts) {
    if (name !== COUNTER) {
      checkList(word, value);
      first ??= { word, length: value.length };
      checkLength(word, value, first.length, ` as "${first.word}" has`);
      checkNumbers(word, value);
    }
    state[name] = value as ArrayLike<number>;
  }
  if (!first) throw new TypeError('"state" expected weight, bias or running statistics, got none');
  const { weight, bias, running_mean, running_var } = state;
  if (running_var && savedVariance !== runningVariance) {
    if (count === undefined) {
      notes.push(
        `the running variance is ${savedVariance} as it was saved, though the module goes on with the ${runningVariance} one: ` +
          'they differ by n / (n - 1), and n, the values per channel of a training batch, is unknown; "count" would say it',
      );
    } else {
      const ratio = runningVariance === 'unbiased' ? count / (count - 1) : (count - 1) / count;
      state.running_var = Float64Array.from(running_var, (value) => value * ratio);
    }
  }
  const bn = new BatchNorm(first.length, {
    convention, eps, momentum, runningVariance, layout: options.layout ?? layout,
    weight: Boolean(weight), bias: Boolean(bias), trackRunningStats: Boolean(running_mean ?? running_var),
    dtype: options.dtype, runtime: options.runtime,
  });
  return { module: bn.loadStateDict(state), notes };
}

/** A number of a config; undefined if it is not there. */
function numberOf(config: object, word: string, least?: number, most?: number): number | undefined {
  const value = (config as Record<string, unknown>)[word];
  if (value === undefined) return undefined;
  checkNumber(word, value, least, most);
  return value;
}

function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw wrongKind(name, 'an object', value);
}
