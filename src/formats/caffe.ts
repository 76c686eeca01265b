/** BatchNorms from Caffe: the blobs of a BatchNorm layer and of the Scale layer after it. */
import { sumOfWeights } from '../batchnorm/options.js';
import { COUNTER } from '../batchnorm/state-dict.js';
import { checkBoolean, checkNumber, checkOptions, wrongValue } from '../checks.js';
import { checkLength, fromJson, listIn, numbersIn } from '../lists.js';
import { build, type Converted, type ConvertOptions, checkObject, newWeightOf, numberOf, type Part, wordsOf } from './build.js';
import { type ConvertedLayers, type ConvertLayersOptions, collect, type Found, optionsOf, someOf } from './layers.js';
import { fieldOf, listOf, type ProtobufMessage } from './protobuf.js';

/** Fields of Caffe's `batch_norm_param`. */
export interface CaffeConfig {
  eps?: number;
  /** Weight of the old value. */
  moving_average_fraction?: number;
  /** true: the BatchNorm is returned in eval mode. */
  use_global_stats?: boolean;
}

/** Numbers, or a BlobProto as a decoder of protocol buffers returns it. */
export type CaffeBlob = ArrayLike<number> | ProtobufMessage;

/** The blobs of two layers, by the types of these layers. */
export interface CaffeBlobs {
  /** Sums of means and of variances, [C], and the sum of weights, [1], by which they are divided. */
  BatchNorm: readonly CaffeBlob[];
  /** Weight, and bias where `bias_term`, [C]; absent: neither. */
  Scale?: readonly CaffeBlob[];
}

/**
 * A BatchNorm from the blobs of a Caffe BatchNorm layer, and of the Scale layer that follows it.
 *
 * Caffe's blobs are sums: it normalises with blob 0 / blob 2 and blob 1 / blob 2, or with zeros where blob 2 is 0
 * (batch_norm_layer.cpp, Forward_cpu). So do the running statistics here. The counter becomes the number of batches that
 * gives blob 2, so that training goes on with Caffe's weights.
 *
 * @param blobs - `BatchNorm`: its three blobs; `Scale`: weight, and bias if there is one. Copied
 * @param config - `eps` (1e-5), `moving_average_fraction` (0.999, weighs the old value), `use_global_stats`: the layer's
 *   batch_norm_param. What is not in it has Caffe's default; that there is none is noted
 * @returns a BatchNorm in training mode unless `use_global_stats` is true, 'channels-first' unless `options.layout` says otherwise
 * @throws {TypeError | RangeError} as `fromTorch`; another number of blobs, a third blob that is negative or not finite.
 */
export function fromCaffe(blobs: CaffeBlobs, config?: CaffeConfig, options: ConvertOptions = {}): Converted {
  checkOptions('fromCaffe', blobs, ['BatchNorm', 'Scale']);
  const given = wordsOf('fromCaffe', config ?? {}, ['eps', 'moving_average_fraction', 'use_global_stats'], ['engine']);
  const [means, variances, third] = blobsOf('BatchNorm', blobs.BatchNorm, [3]);
  const [weight, bias] = blobs.Scale === undefined ? [] : blobsOf('Scale', blobs.Scale, [1, 2]);
  checkLength('BatchNorm[2]', third!, 1);
  const sum = third![0]!, notes: string[] = [];
  checkNumber('BatchNorm[2]', sum);
  const { use_global_stats: global = false } = given;
  checkBoolean('use_global_stats', global);
  const fraction = numberOf(given, 'moving_average_fraction', 0, 1) ?? 0.999;
  const divided = (values: ArrayLike<number>) => Float64Array.from(values, (value) => (sum === 0 ? 0 : value / sum));
  const parts: Part[] = [
    ['running_mean', 'BatchNorm[0]', divided(means!)], ['running_var', 'BatchNorm[1]', divided(variances!)],
    [COUNTER, COUNTER, batchesOf(sum, fraction, notes)],
  ];
  if (weight) parts.push(['weight', 'Scale[0]', weight]);
  if (bias) parts.push(['bias', 'Scale[1]', bias]);
  const converted = build({
    framework: 'caffe', parts, notes, layout: 'channels-first',
    eps: numberOf(given, 'eps') ?? (config && 1e-5),
    momentum: newWeightOf(given, 'moving_average_fraction') ?? (config && 0.001),
  }, options);
  converted.module.train(!global);
  return converted;
}

/**
 * All BatchNorm layers of a Caffe net, each with the Scale layer that takes its output.
 *
 * @param net - a NetParameter, or its list of layers, as a decoder of protocol buffers returns them from a .caffemodel (keys in
 *   snake_case or camelCase); a layer's batch_norm_param says eps and moving_average_fraction
 * @returns layers by the names of their BatchNorm layers
 * @throws {TypeError} there is no such layer. @throws {TypeError | RangeError} as `fromCaffe`, naming the layer.
 */
export function layersFromCaffe(net: ProtobufMessage | readonly ProtobufMessage[], options: ConvertLayersOptions = {}): ConvertedLayers {
  checkObject('net', net);
  const layers = (Array.isArray(net) ? net : listOf(net as ProtobufMessage, 'layer')) as readonly ProtobufMessage[];
  const scales = scalesAfter(layers);
  const found = layers.flatMap((layer, i): Found[] => {
    if (fieldOf(layer, 'type') !== 'BatchNorm') return [];
    const scale = scales[i], name = nameOf(layer);
    return [{
      name, path: `${name}/${i}`, tensors: scale ? [name, nameOf(scale)] : [name],
      convert(of) {
        const blobs = { BatchNorm: listOf(layer, 'blobs'), ...(scale && { Scale: listOf(scale, 'blobs') }) };
        const config = Object(fieldOf(layer, 'batch_norm_param')) as CaffeConfig;
        return fromCaffe(blobs as CaffeBlobs, config, optionsOf(options, of));
      },
    }];
  });
  if (found.length === 0) {
    const types = layers.map((layer) => String(fieldOf(layer, 'type')));
    throw new TypeError(`layersFromCaffe() expected layers of type BatchNorm, got ${someOf(types)}`);
  }
  return collect(found, layers.filter((layer) => listOf(layer, 'blobs').length > 0).map(nameOf));
}

function nameOf(layer: ProtobufMessage): string {
  return String(fieldOf(layer, 'name'));
}

/**
 * For each layer the Scale layer that alone takes its output; in a list without connections, the one right after it. From the last
 * layer to the first, with those that take each blob until it is written over: one pass, however many layers there are.
 */
function scalesAfter(layers: readonly ProtobufMessage[]): (ProtobufMessage | undefined)[] {
  const takers = new Map<unknown, ProtobufMessage[]>(), scales: (ProtobufMessage | undefined)[] = [];
  for (let i = layers.length - 1; i >= 0; i--) {
    const layer = layers[i]!, tops = listOf(layer, 'top');
    const [taker, another] = tops.length === 0 ? [layers[i + 1]] : takers.get(tops[0]) ?? [];
    scales[i] = taker && another === undefined && fieldOf(taker, 'type') === 'Scale' ? taker : undefined;
    for (const top of tops) takers.set(top, []);
    for (const bottom of new Set(listOf(layer, 'bottom'))) takers.set(bottom, [layer, ...takers.get(bottom) ?? []].slice(0, 2));
  }
  return scales;
}

/** Numbers of each blob. @throws {TypeError} a blob that holds none. @throws {RangeError} another number of blobs. */
function blobsOf(layer: string, blobs: unknown, counts: readonly number[]): ArrayLike<number>[] {
  const list = listIn(layer, blobs);
  if (!counts.includes(list.length)) throw wrongValue(layer, `${counts.join(' or ')} blobs`, list.length);
  return list.map((blob, i) => {
    const message = Object(blob) as ProtobufMessage, data = fieldOf(message, 'data') as ArrayLike<number> | undefined;
    const isMessage = data !== undefined || fieldOf(message, 'double_data') !== undefined;
    return numbersIn(`${layer}[${i}]`, fromJson(isMessage ? (data?.length ? data : fieldOf(message, 'double_data')) : blob));
  });
}

/**
 * The number of batches after which Caffe's third blob comes nearest to this sum of weights: (1 - f^n) / (1 - f) for the
 * fraction f. The sum ends below 1 / (1 - f), in float32 a little below.
 */
function batchesOf(sum: number, fraction: number, notes: string[]): number {
  if (sum === 0) {
    notes.push('blob 2 is 0, as before the first batch: mean and variance are 0, as Caffe has them');
    return 0;
  }
  const power = Math.max(1 - sum * (1 - fraction), 2 ** -53);
  const exact = fraction === 1 ? sum : fraction === 0 ? 1 : Math.log(power) / Math.log(fraction);
  const batches = Math.max(1, Math.round(exact)), nearest = sumOfWeights(fraction, batches);
  if (Math.abs(nearest - sum) > 1e-3 * sum) {
    notes.push(
      `blob 2 is ${sum}, which no number of batches gives with moving_average_fraction ${fraction}: mean and variance are ` +
        `right, and training goes on as after ${batches} batches`,
    );
  }
  return batches;
}
