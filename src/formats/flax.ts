/** BatchNorms from the variables of Flax, one or all of them. */
import { checkBoolean, checkOptions } from '../checks.js';
import {
  build, type Converted, type ConvertOptions, checkObject, layoutOf, newWeightOf, numberOf, type Part, wordsOf,
} from './build.js';
import { type ConvertedLayers, type ConvertLayersOptions, collect, optionsOf, type Rule, ruleOf, someOf } from './layers.js';
import { leavesOf } from './tree.js';

/** Fields of a `flax.linen.BatchNorm`; those without a meaning here (`dtype`, `axis_name`, `bias_init`, ...) may be there too. */
export interface FlaxConfig {
  axis?: number | readonly number[];
  epsilon?: number;
  /** Weight of the old value. */
  momentum?: number;
  /** true: the BatchNorm is returned in eval mode. */
  use_running_average?: boolean | null;
  use_scale?: boolean;
  use_bias?: boolean;
  readonly [other: string]: unknown;
}

/** What the variables of a net do not say of its layers. */
export interface FlaxLayersConfig extends Omit<FlaxConfig, 'epsilon' | 'momentum'> {
  epsilon?: Rule<number>;
  /** Weight of the old value. */
  momentum?: Rule<number>;
}

/** Collections of a `flax.linen.BatchNorm`. */
export interface FlaxVariables {
  params?: { scale?: ArrayLike<number>; bias?: ArrayLike<number> };
  batch_stats: { mean: ArrayLike<number>; var: ArrayLike<number> };
}

const WORDS = ['axis', 'epsilon', 'momentum', 'use_running_average', 'use_scale', 'use_bias'];
/** Fields of flax.linen.BatchNorm and arguments of flax.nnx.BatchNorm that say nothing of a trained layer on one device. */
const OTHERS = [
  'dtype', 'param_dtype', 'bias_init', 'scale_init', 'axis_name', 'axis_index_groups', 'use_fast_variance',
  'force_float32_reductions', 'name', 'parent', 'num_features', 'promote_dtype', 'rngs',
];

/**
 * A BatchNorm from the variables of a Flax BatchNorm.
 *
 * @param variables - `params.scale` and `params.bias` if they exist, `batch_stats.mean`, `batch_stats.var`; arrays of
 *   [C], copied
 * @param config - `epsilon` (1e-5, and noted where it is not given: no file says it), `momentum` (0.99, weighs the old value),
 *   `axis` (-1), `use_running_average`
 * @returns a BatchNorm in training mode unless `use_running_average` is true, 'channels-last' unless `axis` is 1 or
 *   `options.layout` says otherwise; an axis of 2 or more is read as the last one, and noted
 * @throws {TypeError | RangeError} as `fromKeras`.
 */
export function fromFlax(variables: FlaxVariables, config: FlaxConfig = {}, options: ConvertOptions = {}): Converted {
  checkOptions('fromFlax', variables, ['params', 'batch_stats']);
  const given = wordsOf('fromFlax', config, WORDS, OTHERS);
  const { params = {}, batch_stats } = variables;
  checkOptions('params', params, ['scale', 'bias']);
  checkOptions('batch_stats', batch_stats, ['mean', 'var']);
  const parts: Part[] = [['running_mean', 'mean', batch_stats.mean], ['running_var', 'var', batch_stats.var]];
  for (const [name, word] of [['weight', 'scale'], ['bias', 'bias']] as const) {
    const values = params[word], use = given[`use_${word}`];
    if (use !== undefined && use !== (values !== undefined)) {
      throw new TypeError(`"params" expected ${use ? '' : 'no '}${word} as use_${word} is ${use}, got ${values ? 'one' : 'none'}`);
    }
    if (values !== undefined) parts.push([name, word, values]);
  }
  const average = given.use_running_average ?? false, notes: string[] = [];
  checkBoolean('use_running_average', average);
  const converted = build({
    framework: 'flax', parts, notes, layout: layoutOf(given.axis, undefined, notes, options.layout),
    eps: numberOf(given, 'epsilon'), momentum: newWeightOf(given, 'momentum'),
  }, options);
  converted.module.train(!average);
  return converted;
}

/**
 * All BatchNorm layers of the variables of a Flax net: whatever has a mean and a var.
 *
 * @param variables - the nested collections `params` and `batch_stats`, or a flat object with names such as
 *   'batch_stats/BatchNorm_0/mean'; arrays of [C], copied
 * @param config - `epsilon` and `momentum` for all layers, or as functions of their names; the rest as for `fromFlax`
 * @returns layers by name, such as 'ResNetBlock_0/BatchNorm_0'
 * @throws {TypeError} there is no such layer. @throws {TypeError | RangeError} as `fromFlax`, naming the layer.
 */
export function layersFromFlax(
  variables: Readonly<Record<string, unknown>>, config: FlaxLayersConfig = {}, options: ConvertLayersOptions = {},
): ConvertedLayers {
  checkObject('variables', variables);
  checkObject('config', config);
  const leaves = leavesOf(variables), groups = new Map<string, Map<string, string>>();
  for (const name of leaves.keys()) {
    const path = name.replace(/^(params|batch_stats)[/.]/, '').replace(/[/.]value$/, '').split(/[/.]/);
    const layer = path.slice(0, -1).join('/');
    groups.set(layer, groups.get(layer) ?? new Map()).get(layer)!.set(path.at(-1)!, name);
  }
  const found = [...groups].filter(([, own]) => own.has('mean') && own.has('var')).map(([name, own]) => {
    const names = ['scale', 'bias', 'mean', 'var'].flatMap((word) => own.get(word) ?? []);
    const values = (...words: string[]) => Object.fromEntries(
      words.flatMap((word) => (own.has(word) ? [[word, leaves.get(own.get(word)!)]] : [])),
    );
    return {
      name, path: name, tensors: names,
      convert(of: string) {
        const { epsilon, momentum, ...rest } = config;
        const said = { ...rest, epsilon: ruleOf(epsilon, of), momentum: ruleOf(momentum, of) } as FlaxConfig;
        return fromFlax({ params: values('scale', 'bias'), batch_stats: values('mean', 'var') } as never, said, optionsOf(options, of));
      },
    };
  });
  if (found.length === 0) {
    throw new TypeError(`layersFromFlax() expected mean and var of a BatchNorm, got ${someOf([...leaves.keys()])}`);
  }
  return collect(found, leaves.keys());
}
