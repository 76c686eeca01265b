/** Folding: in eval mode a batch norm can be merged into the linear or convolution layer beside it. */
import { isTypedArray } from '../arrays.js';
import type { BatchNorm } from '../batchnorm/batchnorm.js';
import { isArray, within, wrongKind, wrongValue } from '../checks.js';
import { listIn } from '../lists.js';
import { slopeOf } from '../passes/formulas.js';
import type { Floats } from '../runtime/kernels.js';
import { anyFloats, type Fold, type FoldOptions, foldOf, type Layer, layerFrom } from './fold-layer.js';

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
  return folded(bn, foldOf(bn, layer, options));
}

function folded(bn: BatchNorm, fold: Fold): { weight: Floats; bias: Floats } {
  const { layer, sums, after } = fold, affine = affineOf(bn);
  const weight = layer.weight.slice(), total = biasOf(fold, affine);
  sums.visit((index, out, channel) => { weight[index] = layer.weight[index]! * affine.slope[after ? channel : out]!; });
  return { weight, bias: isTypedArray(layer.bias ?? weight, 'Float32Array') ? Float32Array.from(total) : total };
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
  if (!isArray(pairs)) throw wrongKind('pairs', 'an array of [bn, layer, options]', pairs);
  return listIn('pairs', pairs).map((pair, i) => within(`pairs[${i}]`, () => {
    if (!isArray(pair)) throw wrongKind('pair', '[bn, layer, options]', pair);
    const [bn, layer, options = {}] = listIn('pair', pair) as unknown as FoldPair;
    const fold = foldOf(bn, layer, options), result = folded(bn, fold);
    return { ...result, error: largestError(bn, fold, result) };
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
  const fold = foldOf(bn, layer, options), { sums, after, channelsFirst } = fold, before = fold.layer;
  const one = layerFrom(folded, before.weight.length, sums.out);
  if (inputs === undefined) return largestError(bn, fold, one);
  const values = anyFloats('inputs', inputs), width = sums.in * sums.taps;
  if (width === 0 || values.length % width !== 0) {
    throw wrongValue('inputs', `a length that is a multiple of ${width} inputs`, values.length);
  }
  const { slope, mean, beta } = affineOf(bn);
  const normalise = (value: number, c: number) => (value - mean[c]!) * slope[c]! + beta[c]!;
  let largest = 0;
  for (let row = 0; row < values.length; row += width) {
    const apart = Float64Array.from({ length: sums.out }, (_, o) => before.bias?.[o] ?? 0);
    const together = Float64Array.from({ length: sums.out }, (_, o) => one.bias?.[o] ?? 0);
    sums.visit((index, out, channel, tap) => {
      const x = values[row + (channelsFirst ? channel * sums.taps + tap : tap * sums.in + channel)]!;
      apart[out]! += before.weight[index]! * (after ? normalise(x, channel) : x);
      together[out]! += one.weight[index]! * x;
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
function largestError(bn: BatchNorm, fold: Fold, folded: Fold['layer']): number {
  const { layer, sums, after } = fold, affine = affineOf(bn);
  const error = biasOf(fold, affine).map((value, o) => Math.abs(value - (folded.bias?.[o] ?? 0)));
  sums.visit((index, out, channel) => {
    error[out]! += Math.abs(layer.weight[index]! * affine.slope[after ? channel : out]! - folded.weight[index]!);
  });
  return error.reduce((largest, value) => Math.max(largest, value), 0);
}

/** The bias of the folded layer, not rounded. */
function biasOf({ layer, sums, after }: Fold, { slope, mean, beta }: Slopes): Float64Array {
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
