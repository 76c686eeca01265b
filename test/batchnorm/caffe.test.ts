/** Caffe's running statistics: weighted sums, and the sum of their weights. */
import { describe, expect, it } from 'vitest';
import { BatchNorm, fromCaffe, recalibrate } from '../../src/index.js';
import { arrayOf, COMBINATIONS, normal, permute, RUNTIMES, shapeIn } from '../setup.js';
import { GOLDEN, U } from '../tolerances.js';

const SHAPE = [4, 2, 3];

/** A channel of a batch of the shape. */
function channelOf(x: readonly number[], c: number): number[] {
  return x.filter((_, i) => Math.floor(i / 3) % 2 === c);
}

/** Caffe's BatchNorm layer in training, one channel in double precision: its three blobs after each batch. */
function blobsAfter(batches: readonly number[][], fraction: number): [mean: number, variance: number, sum: number] {
  const blobs: [number, number, number] = [0, 0, 0];
  for (const batch of batches) {
    const m = batch.length, mean = batch.reduce((a, b) => a + b) / m;
    const variance = batch.reduce((sum, value) => sum + (value - mean) ** 2, 0) / m;
    blobs[2] = blobs[2] * fraction + 1;
    blobs[0] = mean + fraction * blobs[0];
    blobs[1] = (m > 1 ? m / (m - 1) : 1) * variance + fraction * blobs[1];
  }
  return blobs;
}

describe.each(COMBINATIONS)('convention caffe on $kind $dtype $layout', ({ kind, dtype, layout }) => {
  // The statistics of a batch are right to the first; ten batches round the running ones twice each.
  const bound = GOLDEN[dtype].running + 20 * U[dtype], runtime = RUNTIMES[kind];
  const batches = Array.from({ length: 10 }, (_, i) => normal(24, 100 + i, 5, 2));
  const train = (bn: BatchNorm, x: readonly number[]) =>
    bn.train().forward(arrayOf(dtype, permute(x, SHAPE, layout)), shapeIn(layout, SHAPE));

  it.each([undefined, 0.9, 0.5, 0, 1])('tracks what Caffe normalises with in test mode after every batch, fraction %s', (fraction) => {
    const momentum = fraction === undefined ? {} : { momentum: 1 - fraction };
    const bn = new BatchNorm(2, { convention: 'caffe', dtype, layout, runtime, ...momentum });
    batches.forEach((x, i) => {
      train(bn, x);
      for (const c of [0, 1]) {
        const [mean, variance, sum] = blobsAfter(batches.slice(0, i + 1).map((batch) => channelOf(batch, c)), fraction ?? 0.999);
        expect(Math.abs(bn.runningMean![c]! - mean / sum) / 5).toBeLessThan(bound);
        expect(Math.abs(bn.runningVar![c]! - variance / sum) / 4).toBeLessThan(bound);
      }
    });
    expect(bn.numBatchesTracked).toBe(10);
  });

  it('goes on from a state dictionary, and from blobs, as if training had not stopped', () => {
    const straight = new BatchNorm(2, { convention: 'caffe', momentum: 0.1, dtype, layout, runtime });
    for (const x of batches) train(straight, x);
    const first = new BatchNorm(2, { convention: 'caffe', momentum: 0.1, dtype, layout, runtime });
    for (const x of batches.slice(0, 4)) train(first, x);
    const second = new BatchNorm(2, { convention: 'caffe', momentum: 0.1, dtype, layout, runtime }).loadStateDict(first.stateDict());
    const blobs = [0, 1].map((c) => blobsAfter(batches.slice(0, 4).map((x) => channelOf(x, c)), 0.9));
    const BatchNormBlobs = [blobs.map(([mean]) => mean), blobs.map(([, variance]) => variance), [blobs[0]![2]]];
    const third = fromCaffe({ BatchNorm: BatchNormBlobs }, { moving_average_fraction: 0.9 }, { dtype, layout, runtime }).module;
    expect(third.numBatchesTracked).toBe(4);
    for (const bn of [second, third]) {
      for (const x of batches.slice(4)) train(bn, x);
      for (const c of [0, 1]) {
        expect(Math.abs(bn.runningMean![c]! - straight.runningMean![c]!) / 5).toBeLessThan(bound);
        expect(Math.abs(bn.runningVar![c]! - straight.runningVar![c]!) / 4).toBeLessThan(bound);
      }
    }
  });
});

describe('convention caffe', () => {
  it('forgets the start at the first batch, which a moving average keeps', () => {
    const x = Float64Array.of(4, 6), options = { convention: 'caffe', dtype: 'float64' } as const;
    const bn = new BatchNorm(1, options);
    bn.forward(x, [2, 1]);
    expect([bn.runningMean![0], bn.runningVar![0]]).toEqual([5, 2]);
    const moving = new BatchNorm(1, { dtype: 'float64', momentum: 0.001 });
    moving.forward(x, [2, 1]);
    expect(moving.runningMean![0]).toBeCloseTo(0.005, 12);
  });

  it('averages all batches alike with momentum 0, and counts as the paper with null', () => {
    for (const momentum of [0, null]) {
      const bn = new BatchNorm(1, { convention: 'caffe', dtype: 'float64', momentum });
      for (const value of [1, 2, 6]) bn.forward(Float64Array.of(value, value), [2, 1]);
      expect(bn.runningMean![0]).toBeCloseTo(3, 12);
    }
  });

  it('starts anew after resetRunningStats, and goes on after recalibrate and restore', () => {
    const bn = new BatchNorm(1, { convention: 'caffe', dtype: 'float64', momentum: 0.5 });
    const batch = (value: number) => bn.forward(Float64Array.of(value, value), [2, 1]);
    batch(1);
    const before = bn.snapshot();
    batch(7);
    expect(bn.runningMean![0]).toBeCloseTo((0.5 * 1 + 7) / 1.5, 12);
    bn.restore(before);
    batch(4);
    expect(bn.runningMean![0]).toBeCloseTo((0.5 * 1 + 4) / 1.5, 12);
    bn.resetRunningStats();
    batch(9);
    expect(bn.runningMean![0]).toBeCloseTo(9, 12);
    recalibrate(bn, [2, 4].map((value) => ({ x: Float64Array.of(value, value), shape: [2, 1] })));
    batch(10);
    expect(bn.runningMean![0]).toBeCloseTo(3 + (10 - 3) / 1.75, 12);
  });

  it('holds after a million batches', () => {
    const bn = new BatchNorm(1, { convention: 'caffe', dtype: 'float64' });
    bn.numBatchesTracked = 1e6;
    bn.forward(Float64Array.of(5, 5), [2, 1]);
    expect(bn.runningMean![0]).toBeCloseTo(0.005, 15);
  });
});
