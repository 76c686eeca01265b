/** BatchNorms from state dictionaries of PyTorch, one or all of them. */
import { ARRAYS, COUNTER } from '../batchnorm/state-dict.js';
import { checkOptions, quoted, wrongKind } from '../checks.js';
import { build, type Converted, type ConvertOptions, checkObject, numberOf } from './build.js';
import { type ConvertedLayers, type ConvertLayersOptions, collect, optionsOf, type Rule, ruleOf, someOf } from './layers.js';

/** Arguments of `torch.nn.BatchNorm*d`. */
export interface TorchConfig {
  /** The start of every name, such as 'layer1.0.bn1.'; default ''. */
  prefix?: string;
  eps?: number;
  momentum?: number | null;
}

/** What a state dictionary does not say of its layers. */
export interface TorchLayersConfig {
  /** Only names that start so, such as 'backbone.', which is removed; default ''. */
  prefix?: string;
  eps?: Rule<number>;
  momentum?: Rule<number | null>;
}

/** A value of a state dictionary: an array, what JSON makes of a typed array, or a counter. */
export type TorchValue = ArrayLike<number> | ArrayLike<bigint> | Readonly<Record<`${number}`, number>> | number | bigint | null;

/** The names of a batch norm's tensors. */
export const TORCH: readonly string[] = [...ARRAYS, COUNTER];

/**
 * A BatchNorm from a `state_dict` of PyTorch.
 *
 * @param state - arrays of [C]; weight and bias, the running statistics and the counter may be missing, as in torch.
 *   Names without the prefix are left alone; names may have in front what wraps a module, as in `layersFromTorch`. Values are
 *   copied and rounded to `dtype`. What JSON makes of typed arrays is read too
 * @param config - `eps` (1e-5, and noted where it is not given: no file says it), `momentum` (0.1, weighs the new batch;
 *   null: cumulative) and `prefix` ('')
 * @returns a BatchNorm in training mode, 'channels-first' unless `options.layout` says otherwise. A counter that is missing
 *   or infinite, as half precision makes it, becomes 0 and is noted, and so are values that are not finite
 * @throws {TypeError} no name has the prefix, or a name is not one of a batch norm; a value is of the wrong kind.
 * @throws {RangeError} arrays have different lengths, or a number is out of range.
 */
export function fromTorch(state: Readonly<Record<string, TorchValue>>, config: TorchConfig = {}, options: ConvertOptions = {}): Converted {
  checkObject('state', state);
  checkOptions('fromTorch', config, ['prefix', 'eps', 'momentum']);
  const { prefix = '' } = config;
  if (typeof prefix !== 'string') throw wrongKind('prefix', 'a string', prefix);
  const names = namesAfter(prefix, Object.keys(state));
  if (names.length === 0) throw new TypeError(`"state" expected names that start with "${quoted(prefix)}", got none`);
  const stranger = names.find(([last]) => !TORCH.includes(last));
  if (stranger !== undefined) {
    throw new TypeError(`"state" expected ${TORCH.join(', ')} after "${quoted(prefix)}", got "${quoted(stranger[1])}"`);
  }
  return build({
    framework: 'torch', layout: 'channels-first', notes: [],
    parts: names.map(([last, name]) => [last, name, state[name]] as const),
    eps: numberOf(config, 'eps'),
    momentum: config.momentum === null ? null : numberOf(config, 'momentum', 0, 1),
  }, options);
}

/** What follows a prefix in names, with the names: those without wrappers where only these have the prefix. */
function namesAfter(prefix: string, names: readonly string[]): (readonly [last: string, name: string])[] {
  const after = (shorts: readonly string[]) => names.flatMap((name, i) =>
    (shorts[i]!.startsWith(prefix) ? [[shorts[i]!.slice(prefix.length), name] as const] : []));
  const exact = after(names), plain = unwrapped(names);
  if (exact.length > 0 && exact.every(([last]) => TORCH.includes(last))) return exact;
  const short = after(names.map((name) => plain.get(name)!));
  return short.length > 0 && short.every(([last]) => TORCH.includes(last)) ? short : exact;
}

/**
 * All batch norm layers of a `state_dict` of PyTorch: whatever has a running_mean and a running_var. Instance norm with
 * running statistics has the same names and cannot be told apart.
 *
 * @param state - of the whole net, as an object or a Map by name; otherwise as for `fromTorch`
 * @param config - `eps` and `momentum` for all layers, or as functions of their names; `prefix`
 * @returns layers by name, such as 'layer1.0.bn1', without what DataParallel, torch.compile and FSDP put in front
 *   (`module.`, `_orig_mod.`, `_fsdp_wrapped_module.`)
 * @throws {TypeError} there is no such layer. @throws {TypeError | RangeError} as `fromTorch`, naming the layer.
 */
export function layersFromTorch(
  state: Readonly<Record<string, TorchValue>> | ReadonlyMap<string, TorchValue>, config: TorchLayersConfig = {},
  options: ConvertLayersOptions = {},
): ConvertedLayers {
  checkObject('state', state);
  const values: ReadonlyMap<string, unknown> = state instanceof Map ? state : new Map(Object.entries(state));
  return layersOf('layersFromTorch', [...values.keys()], (name) => values.get(name), config, options);
}

/** All layers of a file, whose values are read by name only where they are taken. */
export function layersOf(
  caller: string, names: readonly string[], read: (name: string) => unknown, config: TorchLayersConfig,
  options: ConvertLayersOptions,
): ConvertedLayers {
  checkOptions(caller, config, ['prefix', 'eps', 'momentum']);
  const { prefix = '', eps, momentum } = config;
  if (typeof prefix !== 'string') throw wrongKind('prefix', 'a string', prefix);
  const plain = unwrapped(names);
  const found = Array.from(prefixesOf(names)).flatMap(([path, own]) => {
    const name = nameOf(path, plain.get(own[0]!)!.slice(0, -lastOf(own[0]!).length), prefix);
    if (name === undefined) return [];
    return [{
      name, path: withoutDot(path), tensors: own,
      convert(of: string) {
        const state = Object.fromEntries(own.map((tensor) => [lastOf(tensor), read(tensor) as TorchValue]));
        return fromTorch(state, { eps: ruleOf(eps, of), momentum: ruleOf(momentum, of) } as TorchConfig, optionsOf(options, of));
      },
    }];
  });
  if (found.length === 0) {
    const after = prefix === '' ? '' : ` after "${quoted(prefix)}"`;
    throw new TypeError(`${caller}() expected running_mean and running_var of a batch norm${after}, got ${someOf(names)}`);
  }
  return collect(found, names);
}

const lastOf = (name: string) => name.slice(name.lastIndexOf('.') + 1);
const withoutDot = (path: string) => path.replace(/\.$/, '');

/** The tensors of each batch norm by what stands in front of their names. */
function prefixesOf(names: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const last = lastOf(name), path = name.slice(0, -last.length || undefined);
    if (TORCH.includes(last)) groups.set(path, groups.get(path) ?? []).get(path)!.push(name);
  }
  for (const [path, own] of groups) {
    if (!own.includes(`${path}running_mean`) || !own.includes(`${path}running_var`)) groups.delete(path);
  }
  return groups;
}

/** A layer's name by its path in the file, or without wrappers, whichever the prefix fits; undefined if neither. */
function nameOf(path: string, plain: string, prefix: string): string | undefined {
  if (plain.startsWith(prefix)) return withoutDot(plain.slice(prefix.length));
  return path.startsWith(prefix) ? withoutDot(path.slice(prefix.length)) : undefined;
}

/** What torch.compile, FSDP, activation checkpointing and DeepSpeed put into the path of what they wrap. */
const WRAPPERS = ['_orig_mod', '_fsdp_wrapped_module', '_checkpoint_wrapped_module', '_forward_module'];

/**
 * Names without wrappers, by name. DataParallel's `module` is one only where all names begin with it (SWA counts beside
 * it). As they are where two names would become the same.
 */
export function unwrapped(names: readonly string[]): Map<string, string> {
  let plain = names.map((name) => name.split('.').filter((part) => !WRAPPERS.includes(part)).join('.'));
  const wrapped = (name: string) => name.startsWith('module.');
  while (plain.some(wrapped) && plain.every((name) => wrapped(name) || name === 'n_averaged')) {
    plain = plain.map((name) => (wrapped(name) ? name.slice('module.'.length) : name));
  }
  const unique = new Set(plain).size === plain.length;
  return new Map(names.map((name, i) => [name, unique ? plain[i]! : name]));
}
