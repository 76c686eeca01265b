/** Folding: in eval mode a batch norm can be merged into the linear or convolution layer beside it. */
import type { BatchNorm } from '../batchnorm/batchnorm.js';
import { within, wrongKind, wrongValue } from '../checks.js';
import { slopeOf } from '../passes/formulas.js';
import type { Floats } from '../runtime/kernels.js';
import { checkKind, checkLayer, type FoldOptions, type Layer, sumsOf } from './fold-layer.js';
import type { Sums } from './weight-axes.js';

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
  const sums = sumsOf(bn, layer, options), affine = affineOf(bn), after = options.position === 'after';
  const weight = layer.weight.slice(), total = biasOf(layer, sums, affine, after);
  sums.visit((index, out, channel) => { weight[index] = layer.weight[index]! * affine.slope[after ? channel : out]!; });
  const single = (layer.bias ?? weight)[Symbol.toStringTag] === 'Float32Array';
  return { weight, bias: single ? Float32Array.from(total) : total };
}

/** A batch norm and the layer that it is folded into. */
export type FoldPair = readonly [bn: BatchNorm, layer: Layer, options?: FoldOptions];

/** A layer that replaces itself and its batch norm. */
export interface Folded {
  readonly weight: Floats;
  readonly bias: Floats;
  /** The largest `foldingError` for inputs from -1 to 1. */
  readonly error: number;
}

/**
 * Folds all batch norms of a net: `foldInto` of each pair, and what its rounding costs.
 *
 * @returns in the order of the pairs; nothing that was given changes
 * @throws {TypeError | RangeError} as `foldInto`, with the index of the pair.
 */
export function foldAll(pairs: readonly FoldPair[]): Folded[] {
  if (!Array.isArray(pairs)) throw wrongKind('pairs', 'an array of [bn, layer, options]', pairs);
  return (pairs as readonly FoldPair[]).map((pair, i) => within(`pairs[${i}]`, () => {
    if (!Array.isArray(pair)) throw wrongKind('pair', '[bn, layer, options]', pair);
    const [bn, layer, options] = pair as FoldPair;
    const folded = foldInto(bn, layer, options);
    return { ...folded, error: foldingError(bn, layer, folded, undefined, options) };
  }));
}

/**
 * The largest absolute change of an output caused by folding: the cost of rounding the folded arrays. Everything else is in f64.
 *
 * @param folded - what `foldInto` returned for the same bn, layer and options
 * @param inputs - [N, inputs of one output]: rows of a linear layer, im2col patches of a convolution; all input channels
 *   (of all groups) and kernel positions in the order in which the format has them, [in, kh, kw] or [kh, kw, in]. undefined:
 *   the largest change for any inputs from -1 to 1; for inputs from -k to k, k above 1, it is at most k times that
 * @returns NaN where an output is
 * @throws {TypeError | RangeError} as `foldInto`; inputs that do not fill whole rows.
 */
export function foldingError(
  bn: BatchNorm, layer: Layer, folded: Layer, inputs?: Floats, options: FoldOptions = {},
): number {
  const sums = sumsOf(bn, layer, options);
  checkLayer(folded, layer.weight.length, sums.out);
  if (inputs === undefined) return largestError(bn, layer, folded, sums, options.position === 'after');
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

/**
 * A change is linear in the inputs: for inputs from -1 to 1, the largest one of an output is the sum of the absolute values of
 * its coefficients.
 */
function largestError(bn: BatchNorm, layer: Layer, folded: Layer, sums: Sums, after: boolean): number {
  const affine = affineOf(bn);
  const error = biasOf(layer, sums, affine, after).map((value, o) => Math.abs(value - (folded.bias?.[o] ?? 0)));
  sums.visit((index, out, channel) => {
    error[out]! += Math.abs(layer.weight[index]! * affine.slope[after ? channel : out]! - folded.weight[index]!);
  });
  return error.reduce((largest, value) => Math.max(largest, value), 0);
}

/** The bias of the folded layer, not rounded. */
function biasOf(layer: Layer, sums: Sums, { slope, mean, beta }: Slopes, after: boolean): Float64Array {
  const total = Float64Array.from({ length: sums.out }, (_, o) => layer.bias?.[o] ?? 0);
  if (!after) return total.map((value, c) => (value - mean[c]!) * slope[c]! + beta[c]!);
  sums.visit((index, out, c) => { total[out]! += layer.weight[index]! * (beta[c]! - mean[c]! * slope[c]!); });
  return total;
}

interface Slopes {
  readonly slope: Float64Array;
  readonly mean: Floats;
  readonly beta: Floats;
}

/** y = (x - mean) * slope + beta, in f64; slope is 0 where variance and eps are both 0. */
function affineOf(bn: BatchNorm): Slopes {
  const variance = bn.runningVar!;
  const slope = Float64Array.from(variance, (value, c) => slopeOf(bn.weight?.[c] ?? 1, value, bn.eps));
  return { slope, mean: bn.runningMean!, beta: bn.bias ?? new Float64Array(bn.channels) };
}
