/** Folding the batch norms of a whole net. */
import { describe, expect, it } from 'vitest';
import { BatchNorm, type FoldPair, foldAll, foldInto, foldingError } from '../../src/index.js';
import { arrayOf, DTYPES, normal } from '../setup.js';
import { U } from '../tolerances.js';

/** A batch norm as training leaves one. */
function trained(channels: number): BatchNorm {
  const bn = new BatchNorm(channels, { dtype: 'float64' });
  bn.weight!.set(normal(channels, 11));
  bn.bias!.set(normal(channels, 12));
  bn.runningMean!.set(normal(channels, 13, 1, 2));
  bn.runningVar!.set(normal(channels, 14).map((value) => 0.1 + value ** 2));
  return bn;
}

describe.each(DTYPES)('a net of %s', (dtype) => {
  const values = (length: number, seed: number) => arrayOf(dtype, normal(length, seed));
  /** Pairs, and the inputs of a patch. */
  const NET: [FoldPair, number][] = [
    [[trained(4), { weight: values(4 * 3, 1), bias: values(4, 2) }], 3],
    [[trained(4), { weight: values(2 * 2 * 3 * 4, 3) }, { format: 'HWIO' }], 2 * 2 * 3],
    [[trained(3), { weight: values(2 * 2 * 3, 4) }, { format: 'HWIM', shape: [2, 2, 3, 1] }], 2 * 2 * 3],
    [[trained(6), { weight: values(4 * 3 * 2, 5) }, { format: 'IOHW', groups: 2, shape: [4, 3, 2] }], 4 * 2],
    [[trained(5), { weight: values(2 * 5, 6), bias: values(2, 7) }, { position: 'after', shape: [2, 5] }], 5],
  ];
  const PAIRS = NET.map(([pair]) => pair);

  it('is folded pair by pair, each as foldInto folds it', () => {
    const folded = foldAll(PAIRS);
    expect(folded.map(({ weight, bias }) => ({ weight, bias }))).toEqual(PAIRS.map(([bn, layer, options]) => foldInto(bn, layer, options)));
  });

  it.each(NET)('has an error that inputs of 1 and -1 reach and none exceeds, %#', ([bn, layer, options], width) => {
    const [{ error, ...folded }] = foldAll([[bn, layer, options]]) as [ReturnType<typeof foldAll>[0]];
    const allSigns = Float64Array.from({ length: width * 2 ** width }, (_, i) => ((Math.floor(i / width) >> (i % width)) & 1 ? 1 : -1));
    const reached = foldingError(bn, layer, folded, allSigns, options);
    // Sums of products up to 64 in f64; in float32 each of the arrays' elements is rounded once.
    expect(Math.abs(reached - error)).toBeLessThan(width * 64 * U.float64);
    expect(error).toBeLessThan((width + 1) * 64 * U[dtype]);
    folded.weight[0]! += 0.5;
    expect(foldingError(bn, layer, folded, undefined, options)).toBeGreaterThan(0.49);
    folded.bias[0]! = Number.NaN;
    expect(foldingError(bn, layer, folded, undefined, options)).toBeNaN();
  });
});

describe('a net', () => {
  const pair: FoldPair = [new BatchNorm(2), { weight: new Float32Array(4) }];

  it('of no pairs folds to none, and exact arrays to an error of 0', () => {
    expect(foldAll([])).toEqual([]);
    const bn = new BatchNorm(2, { eps: 0.25 });
    bn.loadStateDict({ weight: [1, 2], bias: [3, 4], running_mean: [5, 6], running_var: [0, 3.75] });
    expect(foldAll([[bn, { weight: Float32Array.of(1, 2, 3, 4, 5, 6), bias: Float32Array.of(1, -1) }]]))
      .toEqual([{ weight: Float32Array.of(2, 4, 6, 4, 5, 6), bias: Float32Array.of(-5, -3), error: 0 }]);
  });

  it.each([
    ['a pair that does not fit', [pair, [new BatchNorm(3), { weight: new Float32Array(4) }]],
      RangeError, '"pairs[1]": "weight" expected a length that is a multiple of 3 channels, got 4'],
    ['a pair that is none', [pair, { bn: pair[0], layer: pair[1] }],
      TypeError, '"pairs[1]": "pair" expected [bn, layer, options], got Object'],
    ['no list', { 0: pair }, TypeError, '"pairs" expected an array of [bn, layer, options], got Object'],
    ['a word misspelt', [[...pair, { formats: 'HWIO' }]], TypeError, '"pairs[0]": foldInto() expected options'],
  ])('is refused for %s', (_, pairs, error, message) => {
    expect(() => foldAll(pairs as never)).toThrow(error as typeof TypeError);
    expect(() => foldAll(pairs as never)).toThrow(message);
  });
});
