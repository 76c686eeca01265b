/** The JSON of Keras' layers and models: where the config of a batch norm is. */
import { describe, quoted } from '../checks.js';
import { checkObject } from './build.js';
import { checkDepth, MAXIMUM_DEPTH } from './tree.js';

/** Class names of batch norm layers: BatchNormalization, -V1, -V2, SyncBatchNormalization, and those of custom layers. */
export const BATCH_NORM = /batchnorm/i;

/** A layer as a model's JSON describes it. */
export interface KerasLayer {
  readonly name: string;
  readonly config: Record<string, unknown>;
  /** Of the layer's input, where the JSON says it. */
  readonly rank: number | undefined;
}

interface Placed extends KerasLayer {
  /** Names of the models that it is in, and its own. */
  readonly path: string;
  /** The same as Keras 3 names groups of weights: by class and number, 'layers/batch_normalization_1'. */
  readonly counted: string;
}

/** The config of a layer, given as itself or in the layer's JSON. @throws {TypeError | RangeError} the JSON of another layer. */
export function layerOf(json: unknown): KerasLayer {
  checkObject('config', json);
  const type = json.class_name ?? json.className;
  if (type === undefined) return { name: String(json.name ?? ''), config: json, rank: rankOf(json, json) };
  if (typeof type !== 'string' || !BATCH_NORM.test(type)) {
    const got = typeof type === 'string' ? type : describe(type);
    throw new RangeError(`"config" expected that of a BatchNormalization layer, got that of ${quoted(got)}`);
  }
  const { config } = json;
  checkObject('config', config);
  return { name: String(config.name ?? json.name ?? ''), config, rank: rankOf(json, config) };
}

function rankOf(json: Record<string, unknown>, config: Record<string, unknown>): number | undefined {
  const build = Object(json.build_config) as Record<string, unknown>;
  const shape = build.input_shape ?? config.batch_input_shape ?? config.batchInputShape ?? config.batch_shape;
  return Array.isArray(shape) ? shape.length : undefined;
}

/**
 * Finds the batch norm layer of a model to which a path of weights belongs; undefined where there is none, or more than one.
 *
 * @param model - `{ class_name, config }`, or a tfjs modelTopology with a model_config in it; undefined: a model without layers
 */
export function modelLayers(model: unknown): (path: string) => KerasLayer | undefined {
  const layers: Placed[] = [];
  if (model !== undefined) {
    checkObject('model', model);
    const topology = Object(model.modelTopology ?? model) as Record<string, unknown>;
    if (topology.node) throw new TypeError('"model" expected the JSON of layers, got a graph model');
    place(topology.model_config ?? topology, [], '', layers);
  }
  const counted = knownBy(layers, 'counted'), paths = knownBy(layers, 'path'), names = knownBy(layers, 'name');
  return (path) => {
    const segments = path.replace(/\/vars$/, '').split('/', MAXIMUM_DEPTH + 1);
    if (segments.length > MAXIMUM_DEPTH) return undefined;
    const ends = segments.map((_, i) => segments.slice(i).join('/'));
    const runs = () => segments.flatMap((_, i) => segments.slice(i).map((_, j) => segments.slice(i, i + j + 1).join('/')));
    return (path.endsWith('/vars') ? longest(counted, ends) : undefined) ?? longest(paths, ends) ?? longest(names, ends) ?? longest(names, runs());
  };
}

/** Layers by a part of a path. */
type Known = ReadonlyMap<string, readonly Placed[]>;

function knownBy(layers: readonly Placed[], part: 'counted' | 'path' | 'name'): Known {
  const known = new Map<string, Placed[]>();
  for (const layer of layers) known.set(layer[part], known.get(layer[part]) ?? []).get(layer[part])!.push(layer);
  return known;
}

/** The layer whose part of a path is the longest; undefined where there is none, or more than one. */
function longest(known: Known, parts: readonly string[]): Placed | undefined {
  const fitting = [...new Set(parts)].filter((part) => known.has(part)), length = Math.max(...fitting.map((part) => part.length));
  const best = fitting.filter((part) => part.length === length).flatMap((part) => known.get(part)!);
  return best.length === 1 ? best[0] : undefined;
}

/** Finds the batch norm layers of a model, of models in it and of wrappers such as TimeDistributed. */
function place(json: unknown, path: readonly string[], counted: string, layers: Placed[]): void {
  checkDepth('model', path.length);
  const { class_name: type, config } = Object(json) as { class_name?: unknown; config?: unknown };
  if (typeof type === 'string' && BATCH_NORM.test(type)) {
    layers.push({ ...layerOf(json), path: path.join('/'), counted });
    return;
  }
  const inner = Object(config) as { layers?: unknown; layer?: unknown };
  const numbers = new Map<string, number>();
  for (const child of [config, inner.layers].find(Array.isArray) ?? []) {
    const name = snakeCase(String(Object(child).class_name)), number = numbers.get(name) ?? 0;
    numbers.set(name, number + 1);
    place(child, [...path, nameOf(child)], `${counted}${counted && '/'}layers/${name}${number ? `_${number}` : ''}`, layers);
  }
  if (inner.layer) place(inner.layer, [...path, nameOf(inner.layer)], `${counted}${counted && '/'}layer`, layers);
}

function nameOf(json: unknown): string {
  const { name, config } = Object(json) as { name?: unknown; config?: unknown };
  return String((Object(config) as { name?: unknown }).name ?? name);
}

/** Keras' name of a class in files: BatchNormalization is batch_normalization. */
function snakeCase(name: string): string {
  return name.replace(/\W+/g, '').replace(/(.)([A-Z][a-z]+)/g, '$1_$2').replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
}
