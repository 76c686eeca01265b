/** Folding: in eval mode a batch norm can be merged into the linear or convolution layer beside it. */
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { checkLength, checkOneOf, checkOptions, wrongKind, wrongValue } from '../checks.js';
import { slopeOf } from '../passes/formulas.js';
import type { Floats } from '../runtime/kernels.js';
import { checkShape, elements, listed } from '../runtime/shape.js';
import { channelAxes, readAxes, type Sums } from './weight-axes.js';

/** A linear or convolution layer: y = weight * x + bias, arrays flat and row-major. */
export interface Layer {
  weight: Floats;
  /** [out]; absent or null: 0. */
  bias?: Floats | null;
}

/** How to read a layer's weight. Any number of kernel axes (H, W), none for a linear layer. */
export interface FoldOptions {
  /**
   * Order of the weight's axes, I counting the input channels of one group. 'OIHW' (default): PyTorch, [out, in] for a
   * linear layer. 'HWIO': Keras, [in, out]. 'HWIM': Keras depthwise, M outputs for each channel. 'IOHW': transposed of
   * PyTorch, O counting the output channels of one group.
   */
  format?: 'OIHW' | 'HWIO' | 'HWIM' | 'IOHW';
  /** Shape of the weight. Needed for 'IOHW' and after; otherwise all that is not the channels counts as inputs. */
  shape?: readonly number[];
  /** Default 1. */
  groups?: number;
  /** Where the layer is; default 'before' the batch norm. */
  position?: 'before' | 'after';
  /** Padding of a convolution after the batch norm: must be given, and 0. */
  padding?: number;
}

/**
 * The layer that replaces itself and the batch norm, with the current running statistics.
 *
 * Before: weight * a and (bias - mean) * a + beta, where a = gamma / sqrt(variance + eps) of the output channel. After:
 * weight * a of the input channel, and bias + sum of weight * (beta - mean * a). Ioffe & Szegedy 2015, Alg. 2 line 11;
 * in f64, rounded once. An activation of `bn` is not folded: apply it after the folded layer. A layer after the batch norm
 * cannot be folded if there is an activation in between, or padding (its zeros would have to be beta - mean * a), or if it
 * is a transposed convolution (its borders sum fewer inputs).
 *
 * @param layer - 'OIHW' unless `options.format` says otherwise
 * @returns new arrays of the types of the layer's (a bias that was absent: of the weight's); bn and layer stay as they are
 * @throws {TypeError} bn has no running statistics, a value is of the wrong kind, or a shape or padding is needed and missing.
 * @throws {RangeError} lengths, shape or groups do not fit the channels, or padding is not 0.
 */
export function foldInto(bn: BatchNorm, layer: Layer, options: FoldOptions = {}): { weight: Floats; bias: Floats } {
  const sums = sumsOf(bn, layer, options);
  const { slope, mean, beta } = affineOf(bn);
  const after = options.position === 'after';
  const weight = layer.weight.slice();
  const total = Float64Array.from({ length: sums.out }, (_, o) => layer.bias?.[o] ?? 0);
  sums.visit((index, out, channel) => {
    const value = layer.weight[index]!, c = after ? channel : out;
    weight[index] = value * slope[c]!;
    if (after) total[out]! += value * (beta[c]! - mean[c]! * slope[c]!);
  });
  if (!after) total.forEach((value, c) => { total[c] = (value - mean[c]!) * slope[c]! + beta[c]!; });
  const single = (layer.bias ?? weight)[Symbol.toStringTag] === 'Float32Array';
  return { weight, bias: single ? Float32Array.from(total) : total };
}

/**
 * The largest absolute change of an output caused by folding, on given inputs: the cost of rounding the folded arrays.
 * Everything else is in f64.
 *
 * @param folded - what `foldInto` returned for the same bn, layer and options
 * @param inputs - [N, inputs of one output]: rows of a linear layer, im2col patches of a convolution; all input channels
 *   (of all groups) and kernel positions in the order in which the format has them, [in, kh, kw] or [kh, kw, in]
 * @returns NaN where an output is
 * @throws {TypeError | RangeError} as `foldInto`; inputs that do not fill whole rows.
 */
export function foldingError(
  bn: BatchNorm, layer: Layer, folded: Layer, inputs: Floats, options: FoldOptions = {},
): number {
  const sums = sumsOf(bn, layer, options);
  checkLayer(folded, layer.weight.length, sums.out);
  checkKind('inputs', inputs);
  const width = sums.in * sums.taps;
  if (width === 0 || inputs.length % width !== 0) {
    throw wrongValue('inputs', `a length that is a multiple of ${width} inputs`, inputs.length);
  }
  const { slope, mean, beta } = affineOf(bn);
  const after = options.position === 'after';
  const normalise = (value: number, c: number) => (value - mean[c]!) * slope[c]! + beta[c]!;
  const channelsFirst = options.format === undefined || options.format === 'OIHW' || options.format === 'IOHW';
  let largest = 0;
  for (let row = 0; row < inputs.length; row += width) {
    const apart = Float64Array.from({ length: sums.out }, (_, o) => layer.bias?.[o] ?? 0);
    const together = Float64Array.from({ length: sums.out }, (_, o) => folded.bias?.[o] ?? 0);
    sums.visit((index, out, channel, tap) => {
      const x = inputs[row + (channelsFirst ? channel * sums.taps + tap : tap * sums.in + channel)]!;
      apart[out]! += layer.weight[index]! * (after ? normalise(x, channel) : x);
      together[out]! += folded.weight[index]! * x;
    });
    apart.forEach((value, o) => {
      largest = Math.max(largest, Math.abs((after ? value : normalise(value, o)) - together[o]!));
    });
  }
  return largest;
}

/** y = (x - mean) * slope + beta, in f64; slope is 0 where variance and eps are both 0. */
function affineOf(bn: BatchNorm): { slope: Float64Array; mean: Floats; beta: Floats } {
  const variance = bn.runningVar!;
  const slope = Float64Array.from(variance, (value, c) => slopeOf(bn.weight?.[c] ?? 1, value, bn.eps));
  return { slope, mean: bn.runningMean!, beta: bn.bias ?? new Float64Array(bn.channels) };
}

/** Checks all arguments of a fold, and reads the axes of the weight. */
function sumsOf(bn: BatchNorm, layer: Layer, options: FoldOptions): Sums {
  if (!(bn instanceof BatchNorm)) throw wrongKind('bn', 'a BatchNorm', bn);
  if (!bn.runningMean || !bn.runningVar) throw new TypeError('"bn" expected running statistics, got a BatchNorm without');
  checkOptions('foldInto', options, ['format', 'shape', 'groups', 'position', 'padding']);
  checkOneOf('format', options.format, ['OIHW', 'HWIO', 'HWIM', 'IOHW']);
  checkOneOf('position', options.position, ['before', 'after']);
  const { format = 'OIHW', groups = 1, position = 'before' } = options;
  const { channels } = bn, after = position === 'after';
  if (after && bn.activation !== 'none') throw wrongValue('bn', 'no activation before a layer after', `'${bn.activation}'`);
  checkLayer(layer);
  const shape = shapeOf(layer.weight.length, channels, format, after, options);
  checkGroups(groups, format, shape);
  const sums = readAxes(format, shape, groups), inputs = sums.in;
  if ((after ? inputs : sums.out) !== channels) {
    const got = after ? `${inputs} input` : `${sums.out} output`;
    throw wrongValue('shape', `${channels} channels`, `${got} channels in ${listed(shape)}`);
  }
  checkLayer(layer, layer.weight.length, sums.out);
  return sums;
}

/** The shape of a weight of `length` elements: the one given, or where nobody gave one its output channels and the rest as inputs. */
function shapeOf(
  length: number, channels: number, format: string, after: boolean, options: FoldOptions,
): readonly number[] {
  if (!after && (length % channels !== 0 || length === 0)) {
    throw wrongValue('weight', `a length that is a multiple of ${channels} channels`, length);
  }
  if (after && format === 'IOHW') throw wrongValue('format', "'OIHW', 'HWIO' or 'HWIM' after", "'IOHW'");
  if (options.shape === undefined && (after || format === 'IOHW')) {
    throw new TypeError(`"shape" expected the shape of the weight for ${after ? 'a layer after' : "'IOHW'"}, got undefined`);
  }
  const rest = length / channels;
  const shape = options.shape ?? (format === 'OIHW' ? [channels, rest] : format === 'HWIO' ? [rest, channels] : [rest, channels, 1]);
  checkShape(shape);
  if (shape.length < 2 || elements(shape) !== length || length === 0) {
    throw wrongValue('shape', `two axes or more and ${length} elements as "weight" has`, listed(shape));
  }
  const { padding } = options;
  if (after && shape.length > 2) {
    if (typeof padding !== 'number') throw wrongKind('padding', '0 for a convolution after', padding);
    if (padding !== 0) throw wrongValue('padding', '0 for a convolution after', padding);
  }
  return shape;
}

/** Groups divide the axis that holds all channels of its side. A depthwise weight says its groups by its shape. */
function checkGroups(groups: unknown, format: string, shape: readonly number[]): asserts groups is number {
  if (typeof groups !== 'number') throw wrongKind('groups', 'a number', groups);
  const [a, b] = channelAxes(format, shape);
  const divided = format === 'HWIM' ? 1 : format === 'HWIO' ? b : a;
  if (!Number.isSafeInteger(groups) || groups < 1 || divided % groups !== 0) {
    throw wrongValue('groups', `a divisor of ${divided}`, groups);
  }
}

function checkLayer(layer: Layer, length?: number, out?: number): void {
  if (typeof layer !== 'object' || layer === null) throw wrongKind('layer', '{ weight, bias }', layer);
  checkKind('weight', layer.weight);
  const { weight, bias } = layer;
  if (length !== undefined) checkLength('weight', weight, length);
  if (bias === undefined || bias === null) return;
  checkKind('bias', bias);
  if (out !== undefined) checkLength('bias', bias, out);
}

/** The tag instead of instanceof: arrays of another realm are welcome. */
function checkKind(name: string, value: unknown): asserts value is Floats {
  if (!ArrayBuffer.isView(value) || !/^Float(32|64)Array$/.test((value as Floats)[Symbol.toStringTag])) {
    throw wrongKind(name, 'Float32Array or Float64Array', value);
  }
}
