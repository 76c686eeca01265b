/** The layer beside a batch norm: how its weight is to be read, and what fits. */
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { checkLength, checkOneOf, checkOptions, wrongKind, wrongValue } from '../checks.js';
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

/** Checks all arguments of a fold, and reads the axes of the weight. */
export function sumsOf(bn: BatchNorm, layer: Layer, options: FoldOptions): Sums {
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

export function checkLayer(layer: Layer, length?: number, out?: number): void {
  if (typeof layer !== 'object' || layer === null) throw wrongKind('layer', '{ weight, bias }', layer);
  checkKind('weight', layer.weight);
  const { weight, bias } = layer;
  if (length !== undefined) checkLength('weight', weight, length);
  if (bias === undefined || bias === null) return;
  checkKind('bias', bias);
  if (out !== undefined) checkLength('bias', bias, out);
}

/** The tag instead of instanceof: arrays of another realm are welcome. */
export function checkKind(name: string, value: unknown): asserts value is Floats {
  if (!ArrayBuffer.isView(value) || !/^Float(32|64)Array$/.test((value as Floats)[Symbol.toStringTag])) {
    throw wrongKind(name, 'Float32Array or Float64Array', value);
  }
}
