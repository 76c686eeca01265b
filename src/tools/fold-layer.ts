/** The layer beside a batch norm: how its weight is to be read, and what fits. */
import { isTypedArray, plainView } from '../arrays.js';
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { checkOneOf, checkOptions, reading, wrongKind, wrongValue } from '../checks.js';
import { checkLength } from '../lists.js';
import type { Floats } from '../runtime/kernels.js';
import { elements, listed, readShape } from '../runtime/shape.js';
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

/** A fold whose arguments have been read once and checked. */
export interface Fold {
  readonly layer: { readonly weight: Floats; readonly bias: Floats | null };
  /** The axes of the weight. */
  readonly sums: Sums;
  readonly after: boolean;
  /** Whether the inputs of one output are in the order [in, kh, kw] rather than [kh, kw, in]. */
  readonly channelsFirst: boolean;
}

/** Checks all arguments of a fold, and reads the axes of the weight. */
export function foldOf(bn: BatchNorm, given: Layer, options: FoldOptions): Fold {
  if (!BatchNorm.is(bn)) throw wrongKind('bn', 'a BatchNorm', bn);
  if (!bn.runningMean || !bn.runningVar) throw new TypeError('"bn" expected running statistics, got a BatchNorm without');
  checkOptions('foldInto', options, ['format', 'shape', 'groups', 'position', 'padding']);
  const { format = 'OIHW', shape: asked, groups = 1, position = 'before', padding } = options;
  const dimensions = asked === undefined ? undefined : readShape(asked), layer = layerFrom(given);
  checkOneOf('format', format, ['OIHW', 'HWIO', 'HWIM', 'IOHW']);
  checkOneOf('position', position, ['before', 'after']);
  const { channels } = bn, after = position === 'after';
  if (after && bn.activation !== 'none') throw wrongValue('bn', 'no activation before a layer after', `'${bn.activation}'`);
  const shape = shapeOf(layer.weight.length, channels, format, after, dimensions);
  if (after && shape.length > 2) checkPadding(padding);
  checkGroups(groups, format, shape);
  const sums = readAxes(format, shape, groups), inputs = sums.in;
  if ((after ? inputs : sums.out) !== channels) {
    const got = after ? `${inputs} input` : `${sums.out} output`;
    throw wrongValue('shape', `${channels} channels`, `${got} channels in ${listed(shape)}`);
  }
  if (layer.bias !== null) checkLength('bias', layer.bias, sums.out);
  return { layer, sums, after, channelsFirst: format === 'OIHW' || format === 'IOHW' };
}

/** The shape of a weight of `length` elements: the one given, or where nobody gave one its output channels and the rest as inputs. */
function shapeOf(
  length: number, channels: number, format: string, after: boolean, given: readonly number[] | undefined,
): readonly number[] {
  if (!after && (length % channels !== 0 || length === 0)) {
    throw wrongValue('weight', `a length that is a multiple of ${channels} channels`, length);
  }
  if (after && format === 'IOHW') throw wrongValue('format', "'OIHW', 'HWIO' or 'HWIM' after", "'IOHW'");
  if (given === undefined && (after || format === 'IOHW')) {
    throw new TypeError(`"shape" expected the shape of the weight for ${after ? 'a layer after' : "'IOHW'"}, got undefined`);
  }
  const rest = length / channels;
  const shape = given ?? (format === 'OIHW' ? [channels, rest] : format === 'HWIO' ? [rest, channels] : [rest, channels, 1]);
  if (shape.length < 2 || elements(shape) !== length || length === 0) {
    throw wrongValue('shape', `two axes or more and ${length} elements as "weight" has`, listed(shape));
  }
  return shape;
}

function checkPadding(padding: unknown): void {
  if (typeof padding !== 'number') throw wrongKind('padding', '0 for a convolution after', padding);
  if (padding !== 0) throw wrongValue('padding', '0 for a convolution after', padding);
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

/** The arrays of a caller's layer as plain ones. @throws {TypeError} not a layer. @throws {RangeError} other lengths, where they are given. */
export function layerFrom(layer: Layer, length?: number, out?: number): Fold['layer'] {
  if (typeof layer !== 'object' || layer === null) throw wrongKind('layer', '{ weight, bias }', layer);
  const given = reading('layer', () => ({ weight: layer.weight, bias: layer.bias }));
  const weight = anyFloats('weight', given.weight), bias = given.bias == null ? null : anyFloats('bias', given.bias);
  if (length !== undefined) checkLength('weight', weight, length);
  if (out !== undefined && bias !== null) checkLength('bias', bias, out);
  return { weight, bias };
}

/** A caller's array of either dtype as a plain one. */
export function anyFloats(name: string, value: unknown): Floats {
  if (isTypedArray(value, 'Float32Array')) return plainView(value, Float32Array);
  if (isTypedArray(value, 'Float64Array')) return plainView(value, Float64Array);
  throw wrongKind(name, 'Float32Array or Float64Array', value);
}
