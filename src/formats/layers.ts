/** Many layers of one file: rules by name, what was taken, and what was left. */
import type { BatchNorm } from '../batchnorm/batchnorm.js';
import { quoted, within, wrongKind } from '../checks.js';
import type { Converted, ConvertOptions } from './build.js';

/** A value for every layer, or a function of a layer's name. undefined counts as not given. */
export type Rule<T> = T | ((name: string) => T | undefined);

/** Options of the converters of whole files. */
export interface ConvertLayersOptions extends Omit<ConvertOptions, 'count'> {
  /** n, the values per channel of a training batch (N times all positions), by layer. Needed to convert variances. */
  count?: Rule<number>;
}

/** What a converter of a whole file returns. */
export interface ConvertedLayers {
  /** The BatchNorms by their names, in the order of the file. */
  readonly layers: Readonly<Record<string, BatchNorm>>;
  /** As of {@link Converted}, each with the names of the layers that it is about. */
  readonly notes: readonly string[];
  /** The names, in the file, of all that the layers were made of. */
  readonly taken: readonly string[];
  /** All other names of the file. */
  readonly left: readonly string[];
}

/** A batch norm layer that a file holds. */
export interface Found {
  readonly name: string;
  /** A longer name, for layers that would otherwise have the same. */
  readonly path: string;
  /** Names of its arrays in the file. */
  readonly tensors: readonly string[];
  convert(name: string): Converted;
}

export function ruleOf<T>(rule: Rule<T> | undefined, name: string): T | undefined {
  return typeof rule === 'function' ? (rule as (name: string) => T | undefined)(name) : rule;
}

/** The options of one layer. */
export function optionsOf(options: ConvertLayersOptions, name: string): ConvertOptions {
  if (typeof options !== 'object' || options === null) throw wrongKind('options', 'an object', options);
  const { count, ...rest } = options;
  return count === undefined ? rest : { ...rest, count: ruleOf(count, name)! };
}

/**
 * Converts all layers, or throws an error that names the one that does not fit.
 *
 * @param all - the names of the file
 * @param notes - on the file as a whole
 */
export function collect(found: readonly Found[], all: Iterable<string>, notes: readonly string[] = []): ConvertedLayers {
  const often = new Map<string, number>();
  for (const { name } of found) often.set(name, (often.get(name) ?? 0) + 1);
  const about = new Map<string, string[]>();
  const layers = found.map(({ name: short, path, convert }) => {
    const name = often.get(short) === 1 ? short : path;
    const { module, notes: said } = within(name, () => convert(name));
    for (const note of said) about.set(note, about.get(note) ?? []).get(note)!.push(name);
    return [name, module] as const;
  });
  const names = new Set<string>();
  for (const [name] of layers) {
    if (names.has(name)) throw new RangeError(`The file expected every layer to have a name of its own, got "${quoted(name)}" twice`);
    names.add(name);
  }
  const taken = found.flatMap(({ tensors }) => tensors), used = new Set(taken);
  return {
    layers: Object.fromEntries(layers),
    notes: [...notes, ...Array.from(about, ([note, of]) => `${nameAll(of, found.length)}: ${note}`)],
    taken,
    left: Array.from(all).filter((name) => !used.has(name)),
  };
}

const NAMED = 3;

function nameAll(names: readonly string[], total: number): string {
  if (names.length > NAMED && names.length === total) return `all ${total} layers`;
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return names.slice(0, NAMED).map((name) => `"${quoted(name)}"`).join(', ') + more;
}

/** Names for an error message: the first few. */
export function someOf(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.slice(0, NAMED).map((name) => `"${quoted(name)}"`).join(', ');
}
