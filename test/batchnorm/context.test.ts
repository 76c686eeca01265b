import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions } from '../../src/index.js';
import { arrayOf, COMBINATIONS, RUNTIMES, shapeIn } from '../setup.js';

describe.each(COMBINATIONS)('contexts of batches that are hard to measure in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const make = (channels: number, options: BatchNormOptions = {}) => new BatchNorm(channels, { dtype, layout, runtime: RUNTIMES[kind], ...options });
  /** Batches without a value that counts: none at all, or all of them masked. */
  const NOTHING = {
    empty: (bn: BatchNorm) => bn.forward(arrayOf(dtype, []), shapeIn(layout, [0, 2, 3])),
    masked: (bn: BatchNorm) => bn.forward(arrayOf(dtype, [1, 2, 3, 4]), [2, 2], { mask: new Uint8Array(2) }),
  };

  it.each(Object.entries(NOTHING))('hold NaN for the statistics of a batch that has none, not those of the batch before: %s', (_, forward) => {
    const bn = make(2), none = Float64Array.of(Number.NaN, Number.NaN);
    for (const first of [true, false]) {
      if (!first) bn.forward(arrayOf(dtype, [1, 7, 3, 9]), [2, 2]);
      forward(bn);
      expect(bn.context).toMatchObject({ mode: 'batch', count: 0, mean: none, variance: none });
    }
  });

  it.each(Object.entries(NOTHING))('hold the running statistics in eval, also where nothing is normalised with them: %s', (_, forward) => {
    const bn = make(2).eval();
    bn.runningMean!.set([3, -4]);
    bn.runningVar!.set([0.5, 8]);
    forward(bn);
    expect(bn.context).toMatchObject({ mode: 'running', count: 0, mean: Float64Array.of(3, -4), variance: Float64Array.of(0.5, 8) });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('keep %s of a first batch of one channel out of running statistics that skip it', (value) => {
    const bn = make(1, { onNonFinite: 'skip' }), before = bn.stateDict();
    bn.forward(arrayOf(dtype, [1, value, 3]), [3, 1]);
    expect(bn.context!.variance[0]).toBeNaN();
    expect(bn.stateDict()).toEqual(before);
    bn.forward(arrayOf(dtype, [1, 2, 3]), [3, 1]);
    expect(bn.numBatchesTracked).toBe(1);
  });

  it('of a first batch of one channel enter running statistics that skip what is not finite', () => {
    const bn = make(1, { onNonFinite: 'skip' });
    bn.forward(arrayOf(dtype, [1, 2, 3]), [3, 1]);
    expect(bn.numBatchesTracked).toBe(1);
    expect(bn.runningMean![0]).toBeCloseTo(0.2, 6);
  });
});
