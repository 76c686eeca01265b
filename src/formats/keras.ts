/** BatchNorms from Keras and TensorFlow.js: a layer's weights and config, or all of a model. */
import { checkBoolean, wrongKind, wrongValue } from '../checks.js';
import {
  build, type Converted, type ConvertOptions, checkObject, layoutOf, newWeightOf, numberOf, type Part, wordsOf,
} from './build.js';
import { BATCH_NORM, type KerasLayer, layerOf, modelLayers } from './keras-model.js';
import { type ConvertedLayers, type ConvertLayersOptions, collect, type Found, optionsOf, type Rule, ruleOf, someOf } from './layers.js';
import { isArtifacts, readArtifacts, type TfjsArtifacts } from './tfjs-weights.js';
import { leavesOf } from './tree.js';

/**
 * A Keras layer's `get_config()`, or the JSON of the whole layer, `{ class_name, config }`. Keys of Keras 2, Keras 3 and
 * TensorFlow.js that say nothing of a trained layer (names, initializers, regularizers, ...) may be there.
 */
export interface KerasConfig {
  axis?: number | readonly number[];
  epsilon?: number;
  /** Weight of the old value. */
  momentum?: number;
  scale?: boolean;
  center?: boolean;
  readonly [other: string]: unknown;
}

/** What a file of weights does not say of its layers. What is given here wins over the model. */
export interface KerasLayersConfig {
  /** The JSON of the model, such as `JSON.parse(model.to_json())`, which has the config of every layer. */
  model?: unknown;
  epsilon?: Rule<number>;
  /** Weight of the old value. */
  momentum?: Rule<number>;
  axis?: Rule<number | readonly number[]>;
}

/** Keras' names in the order of `get_weights()`, with torch's. */
const ROLES = [
  ['weight', 'gamma'], ['bias', 'beta'], ['running_mean', 'moving_mean'], ['running_var', 'moving_variance'],
] as const;

const WORDS = [
  'axis', 'epsilon', 'momentum', 'scale', 'center', 'trainable', 'fused', 'renorm', 'virtual_batch_size', 'adjustment', 'mode',
];
const OTHERS = [
  'name', 'dtype', 'dtype_policy', 'synchronized', 'batch_input_shape', 'batch_shape', 'input_shape', 'input_dtype', 'input_d_type',
  'renorm_clipping', 'renorm_momentum', 'build_config', 'registered_name', 'module', 'activity_regularizer', 'dynamic', 'autocast',
  'beta_initializer', 'gamma_initializer', 'moving_mean_initializer', 'moving_variance_initializer', 'beta_init', 'gamma_init',
  'beta_regularizer', 'gamma_regularizer', 'beta_constraint', 'gamma_constraint',
];

/**
 * A BatchNorm from the weights and the config of a Keras (or tfjs) BatchNormalization layer.
 *
 * @param weights - as `get_weights()` orders them: gamma where `scale`, beta where `center`, moving_mean,
 *   moving_variance; arrays of [C], copied
 * @param config - `epsilon` (1e-3, and noted where it is not given), `momentum` (0.99, weighs the old value), `scale`, `center`
 *   (true), `axis` (-1). `trainable: false` freezes the BatchNorm and is noted, and so are `renorm`, `virtual_batch_size` and
 *   `adjustment`, which change training only and are not converted
 * @param options - `savedVariance: 'unbiased'` for Keras 2 layers on 4-D inputs, which ran fused; by itself where the config
 *   says `fused: true`
 * @returns a BatchNorm in training mode, 'channels-last' unless `axis` is 1 or `options.layout` says otherwise; an axis of 2 or more
 *   is read as the last one, and noted where the config does not tell the rank of the input
 * @throws {TypeError | RangeError} as `fromTorch`; another number of weights, an axis that is neither 1 nor the last, an unknown key,
 *   or the JSON of another layer.
 */
export function fromKeras(weights: readonly ArrayLike<number>[], config: KerasConfig = {}, options: ConvertOptions = {}): Converted {
  if (!Array.isArray(weights)) throw wrongKind('weights', 'an array of arrays', weights);
  const layer = layerOf(config), given = wordsOf('fromKeras', layer.config, WORDS, OTHERS);
  const roles = rolesOf(given), words = roles.map(([, word]) => word);
  // Batch renormalization has more weights, after these.
  if (given.renorm === true ? weights.length < words.length : weights.length !== words.length) {
    throw wrongValue('weights', `${words.length} arrays (${words.join(', ')})`, weights.length);
  }
  return convert(roles.map(([name, word], i) => [name, word, weights[i]]), given, layer.rank, options);
}

/**
 * All batch norm layers of a Keras or TensorFlow.js model: whatever has a moving_mean and a moving_variance.
 *
 * @param weights - what `tf.io` handlers load, `{ modelTopology, weightSpecs, weightData }`, float16 and quantized weights
 *   included, or a model.json with the `weightData` of its shards; or arrays of [C] by Keras' names, such as
 *   'model/bn1/gamma:0', nested or not, of .h5 and .weights.h5 files (where `model` tells gamma from beta if there is one of them)
 * @param config - `model`, which has every layer's config (artifacts bring theirs); `epsilon`, `momentum` and `axis` for all
 *   layers, or as functions of their names
 * @returns layers by their names in the model, or by the path of their weights where no layer of the model fits
 * @throws {TypeError} there is no such layer. @throws {TypeError | RangeError} as `fromKeras`, naming the layer.
 */
export function layersFromKeras(
  weights: TfjsArtifacts | Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>, config: KerasLayersConfig = {},
  options: ConvertLayersOptions = {},
): ConvertedLayers {
  checkObject('weights', weights);
  checkObject('config', config);
  const { model, epsilon, momentum, axis, ...rest } = config;
  wordsOf('layersFromKeras', rest, ['model', 'epsilon', 'momentum', 'axis'], []);
  const artifacts = isArtifacts(weights), arrays = artifacts ? readArtifacts(weights) : leavesOf(weights);
  const match = modelLayers(model ?? (artifacts ? weights.modelTopology : undefined));
  const found: Found[] = [];
  for (const [path, own] of groupsOf([...arrays.keys()])) {
    const layer = match(path), parts = partsOf(path, own, layer);
    if (!parts) continue;
    found.push({
      name: layer?.name ?? shortened(path), path, tensors: parts.map(([, , tensor]) => tensor),
      convert(of) {
        const said = { axis: ruleOf(axis, of), epsilon: ruleOf(epsilon, of), momentum: ruleOf(momentum, of) };
        const given = wordsOf('fromKeras', layer?.config ?? {}, WORDS, OTHERS);
        for (const [word, value] of Object.entries(said)) if (value !== undefined) given[word] = value;
        if (layer) checkRoles(rolesOf(given), parts);
        const read = parts.map(([name, word, tensor]): Part => [name, word, arrays.get(tensor)]);
        return convert(read, given, layer?.rank, optionsOf(options, of));
      },
    });
  }
  if (found.length === 0) {
    throw new TypeError(`layersFromKeras() expected moving_mean and moving_variance of a layer, got ${someOf([...arrays.keys()])}`);
  }
  return collect(found, arrays.keys());
}

function convert(parts: readonly Part[], given: Record<string, unknown>, rank: number | undefined, options: ConvertOptions): Converted {
  const notes: string[] = [];
  const layout = layoutOf(given.axis, rank, notes, options.layout);
  if ((given.mode ?? 0) !== 0) throw wrongValue('mode', '0 (the only one since Keras 2)', given.mode);
  for (const word of ['renorm', 'virtual_batch_size', 'adjustment'] as const) {
    const value = given[word];
    if (value === undefined || value === null || value === false) continue;
    notes.push(`${word} is ${JSON.stringify(value)} and is not converted: it changes training, not inference`);
  }
  const fused = given.fused === true && options.savedVariance === undefined;
  const converted = build({
    framework: 'keras', parts, layout, notes, eps: numberOf(given, 'epsilon'), momentum: newWeightOf(given, 'momentum'),
  }, fused ? { ...options, savedVariance: 'unbiased' } : options);
  if (given.trainable === false) {
    converted.module.freeze();
    notes.push('trainable is false: the module is frozen, as Keras would have it, until unfreeze()');
  }
  return converted;
}

/** The roles that a layer of this config has, in the order of its weights. */
function rolesOf({ scale = true, center = true }: Record<string, unknown>) {
  checkBoolean('scale', scale);
  checkBoolean('center', center);
  return ROLES.filter(([name]) => (name !== 'weight' || scale) && (name !== 'bias' || center));
}

/** A tensor of a file by its role. */
type Named = readonly [name: string, word: string, tensor: string];

function checkRoles(roles: readonly (readonly string[])[], parts: readonly Named[]): void {
  const expected = roles.map(([, word]) => word).join(', '), got = parts.map(([, word]) => word).join(', ');
  if (expected !== got) throw new TypeError(`The weights expected ${expected}, as the layer's config says, got ${got}`);
}

/** Names of a file's arrays by the path of their layer, and there by their last part. */
function groupsOf(names: readonly string[]): Map<string, Map<string, string>> {
  const groups = new Map<string, Map<string, string>>();
  for (const name of names) {
    const plain = name.replace(/\/\.ATTRIBUTES\/VARIABLE_VALUE$/, '').replace(/:\d+$/, '').replace(/^\/?(model_weights\/)?/, '');
    const [, path = '', last = ''] = /^(?:(.*)\/)?([^/]*)$/.exec(plain)!;
    groups.set(path, groups.get(path) ?? new Map()).get(path)!.set(last, name);
  }
  return groups;
}

/** A path as a name: Keras 2 has a layer's name twice, Keras 3 has `vars` after it. */
function shortened(path: string): string {
  return path.replace(/\/vars$/, '').replace(/(^|\/)(.+)\/\2$/, '$1$2');
}

/**
 * The arrays of a batch norm among those of a path; undefined if it is none. Keras 3 counts the weights of a layer, vars/0
 * and so on, instead of naming them: then the layer's config says which it has, or there are all four.
 */
function partsOf(path: string, own: ReadonlyMap<string, string>, layer: KerasLayer | undefined): Named[] | undefined {
  if (own.has('moving_mean') && own.has('moving_variance')) {
    return ROLES.flatMap(([name, word]) => (own.has(word) ? [[name, word, own.get(word)!] as const] : []));
  }
  if (!/(^|\/)vars$/.test(path)) return undefined;
  const roles = layer ? rolesOf(wordsOf('fromKeras', layer.config, WORDS, OTHERS)) : ROLES;
  if (!layer && !(BATCH_NORM.test(path.replaceAll('_', '')) && own.size === ROLES.length)) return undefined;
  return roles.map(([name, word], i) => [name, word, own.get(String(i)) ?? `${path}/${i}`]);
}

