import { describe, expect, it } from 'vitest';
import { type Batch, BatchNorm, type BatchNormOptions, type Floats, recalibrate } from '../../src/index.js';
import { normalise } from '../oracle.js';
import { expectRefusal, type Refusal } from '../refusal.js';
import {
  arrayOf, COMBINATIONS, distance, makeRuntime, maskOf, normal, permute, placesOf, RUNTIMES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

const SHAPES = [[5, 3, 7], [2, 3, 7], [9, 3, 7]];

describe.each(COMBINATIONS)('recalibration in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const make = (options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(3, { dtype, layout, runtime, ...options });
    bn.weight!.set([1.5, -0.5, 2]);
    bn.numBatchesTracked = 77;
    return bn;
  };
  const batches: Batch[] = SHAPES.map((shape, i) => ({
    x: arrayOf(dtype, permute(normal(sizeOf(shape), i, i, 1 + i), shape, layout)), shape: shapeIn(layout, shape),
  }));
  const empty: Batch = { x: arrayOf(dtype, []), shape: shapeIn(layout, [0, 3, 7]) };
  /** Values of each channel that count, by batch: [channel][batch]. */
  const valuesOf = (all: readonly Batch[]) => [0, 1, 2].map((c) => all.map(({ x, mask }, i) =>
    placesOf(SHAPES[i]!, layout)[c]!.filter((_, m) => !mask || mask[m]).map((place) => x[place]!)));
  const masked = batches.map((batch, i) => ({ ...batch, mask: maskOf(SHAPES[i]![0]! * 7, 50 + i) }));
  const bound = tolerance.BETWEEN * tolerance.GOLDEN[dtype].running;
  const mean = (values: readonly number[]) => values.reduce((total, value) => total + value, 0) / values.length;

  const kinds = [['plain', batches], ['masked', masked]] as const;
  it.each(kinds)('by the paper is the mean of the batch means and of the unbiased batch variances: %s', (_, all) => {
    for (const options of [{}, { estimator: 'paper' }] as const) {
      const bn = make();
      recalibrate(bn, all, options);
      valuesOf(all).forEach((of, c) => {
        const each = of.map((values) => ({ ...normalise(values, 1, 0, 1), n: values.length }));
        expect(distance([bn.runningMean![c]!], [mean(each.map((batch) => batch.mean))])).toBeLessThanOrEqual(bound);
        expect(distance([bn.runningVar![c]!], [mean(each.map(({ variance, n }) => (variance * n) / (n - 1)))]))
          .toBeLessThanOrEqual(bound);
      });
      expect(bn.numBatchesTracked).toBe(3);
    }
  });

  it.each(kinds)('of the population is exact over all values: %s', (_, all) => {
    const bn = make();
    recalibrate(bn, all, { estimator: 'population' });
    valuesOf(all).forEach((of, c) => {
      const whole = normalise(of.flat(), 1, 0, 1);
      expect(distance([bn.runningMean![c]!], [whole.mean])).toBeLessThanOrEqual(bound);
      expect(distance([bn.runningVar![c]!], [whole.variance])).toBeLessThanOrEqual(bound);
    });
    expect(bn.numBatchesTracked).toBe(3);
  });

  it.each([
    'paper', 'population',
  ] as const)('takes each batch of a generator once, and leaves out those without values: %s', (estimator) => {
    const bn = make(), expected = make(), seen: number[] = [];
    recalibrate(expected, batches, { estimator });
    recalibrate(bn, (function* () {
      yield empty;
      for (const [i, batch] of batches.entries()) {
        seen.push(i);
        yield batch;
      }
      yield { ...batches[0]!, mask: new Uint8Array(35) };
    })(), { estimator });
    expect(seen).toEqual([0, 1, 2]);
    expect(bn.stateDict()).toEqual(expected.stateDict());
  });

  it('leaves parameters, mode and context alone, whatever the mode, and keeps arrays live', () => {
    for (const mode of ['train', 'eval', 'frozen'] as const) {
      const bn = make(), { x, shape } = batches[0]!;
      bn.forward(x as Float32Array, shape);
      if (mode === 'eval') bn.eval();
      if (mode === 'frozen') bn.freeze();
      const { weight, bias, context, runningMean, runningVar } = bn;
      const kept = [weight!.slice(), bias!.slice(), bn.backward(x as Float32Array)];
      recalibrate(bn, batches);
      expect([weight, bias, bn.backward(x as Float32Array)]).toEqual(kept);
      expect([bn.context === context, bn.runningMean === runningMean, bn.runningVar === runningVar, bn.training])
        .toEqual([true, true, true, mode !== 'eval']);
    }
  });

  it.each(Object.entries<Refusal<[BatchNorm]>>({
    'nothing': { throws: RangeError, message: 'recalibrate() expected at least one batch with values, got none',
      call: (bn) => recalibrate(bn, []) },
    'batches without values': { throws: RangeError, message: 'got none',
      call: (bn) => recalibrate(bn, [empty], { estimator: 'population' }) },
    'a batch of another length in the middle': { throws: RangeError, message: 'got length 1',
      call: (bn) => recalibrate(bn, [batches[0]!, { ...batches[1]!, x: arrayOf(dtype, [1]) }, batches[2]!]) },
    'a batch of other channels in the middle': { throws: RangeError,
      message: 'recalibrate() expected batches of 3 channels, got shape [2, 2]',
      call: (bn) => recalibrate(bn, [batches[0]!, { x: arrayOf(dtype, [1, 2, 3, 4]), shape: [2, 2] }], {
        estimator: 'population',
      }) },
    'a batch of one value': { throws: RangeError,
      message: 'recalibrate() expected more than 1 value per channel in a batch, got 1',
      call: (bn) => recalibrate(bn, [batches[0]!, { x: arrayOf(dtype, [1, 2, 3]), shape: [1, 3] }]) },
    'no array': { throws: TypeError, message: '"x" expected',
      call: (bn) => recalibrate(bn, [batches[0]!, { shape: [2, 3] } as never]) },
    'a batch that is none': { throws: TypeError, message: '"batches" expected { x, shape }, got null',
      call: (bn) => recalibrate(bn, [batches[0]!, null as never]) },
    'a mask of another length': { throws: RangeError, message: '"mask" expected',
      call: (bn) => recalibrate(bn, [{ ...batches[0]!, mask: new Uint8Array(1) }]) },
    'no batches': { throws: TypeError, message: '"batches" expected an iterable of { x, shape }, got undefined',
      call: (bn) => recalibrate(bn, undefined as never) },
    'one batch for many': { throws: TypeError, message: '"batches" expected an iterable',
      call: (bn) => recalibrate(bn, batches[0]! as never) },
    'an estimator that is none': { throws: RangeError,
      message: '"estimator" expected \'paper\' or \'population\', got \'torch\'',
      call: (bn) => recalibrate(bn, batches, { estimator: 'torch' as never }) },
    'a misspelt option': { throws: TypeError, message: 'got "estimate"',
      call: (bn) => recalibrate(bn, batches, { estimate: 'paper' } as never) },
    'a runtime that is none': { throws: TypeError, message: '"runtime" expected',
      call: (bn) => recalibrate(bn, batches, { runtime: 1 as never }) },
    'an error of the generator': { throws: RangeError, message: 'lost',
      call: (bn) => recalibrate(bn, (function* () { yield batches[0]!; throw new RangeError('lost'); })()) },
    'no module': { throws: TypeError, message: 'recalibrate() expected a BatchNorm, got Object',
      call: () => recalibrate({ channels: 3 } as never, batches) },
  }))('throws for %s and changes nothing', (_, { call, ...refusal }) => {
    const bn = make(), before = bn.stateDict(), start = runtime.bytesInUse;
    expectRefusal(() => call(bn), refusal);
    expect(bn.stateDict()).toEqual(before);
    expect(runtime.bytesInUse).toBe(start);
  });

  describe.each([['NaN', Number.NaN], ['infinity', Number.POSITIVE_INFINITY]])('of a batch with %s in one channel', (_, value) => {
    const broken = { ...batches[1]!, x: batches[1]!.x.slice() as Floats };
    broken.x[placesOf(SHAPES[1]!, layout)[2]![3]!] = value;
    const all = [batches[0]!, broken, batches[2]!], without = [batches[0]!, batches[2]!];

    it.each(['paper', 'population'] as const)("leaves that batch out where onNonFinite is 'skip': %s", (estimator) => {
      const bn = make({ onNonFinite: 'skip' }), expected = make();
      recalibrate(bn, all, { estimator });
      recalibrate(expected, without, { estimator });
      expect(bn.stateDict()).toEqual(expected.stateDict());
    });

    it("refuses it where onNonFinite is 'error', and changes nothing", () => {
      const bn = make({ onNonFinite: 'error' }), before = bn.stateDict();
      expect(() => recalibrate(bn, all)).toThrow(/^x expected finite batch statistics, got mean .* in channel 2$/);
      expect(bn.stateDict()).toEqual(before);
    });

    it('takes it like any other by default, in that channel only', () => {
      const bn = make();
      recalibrate(bn, all);
      expect([bn.runningVar![2], bn.numBatchesTracked]).toEqual([Number.NaN, 3]);
      expect([...bn.runningVar!.subarray(0, 2)].every(Number.isFinite)).toBe(true);
    });

    it('throws where every batch is left out, and changes nothing', () => {
      const bn = make({ onNonFinite: 'skip' }), before = bn.stateDict();
      expect(() => recalibrate(bn, [broken])).toThrow(new RangeError('recalibrate() expected at least one batch with finite values, got none'));
      expect(bn.stateDict()).toEqual(before);
    });
  });

  it.each(['paper', 'population'] as const)('awaits batches that come later, and gives the same: %s', async (estimator) => {
    const bn = make(), expected = make(), before = bn.stateDict();
    recalibrate(expected, masked, { estimator });
    const later = recalibrate(bn, (async function* () {
      for (const batch of masked) {
        await Promise.resolve();
        yield batch;
      }
    })(), { estimator });
    expect(bn.stateDict()).toEqual(before);
    await later;
    expect(bn.stateDict()).toEqual(expected.stateDict());
  });

  it('rejects where a batch that comes later is bad, closes its generator and changes nothing', async () => {
    const bn = make(), before = bn.stateDict(), start = runtime.bytesInUse;
    let closed = false;
    await expect(recalibrate(bn, (async function* () {
      try {
        yield batches[0]!;
        yield { x: arrayOf(dtype, [1]), shape: [2, 3] };
      } finally {
        closed = true;
      }
    })())).rejects.toThrow('got length 1');
    await expect(recalibrate(bn, (async function* () {})())).rejects.toThrow('at least one batch');
    expect([closed, bn.stateDict(), runtime.bytesInUse]).toEqual([true, before, start]);
  });

  it('closes the generator of a batch that is bad', () => {
    let closed = false;
    expect(() => recalibrate(make(), (function* () {
      try {
        yield { x: arrayOf(dtype, [1]), shape: [2, 3] };
      } finally {
        closed = true;
      }
    })())).toThrow(RangeError);
    expect(closed).toBe(true);
  });

  it('throws without running statistics, before it takes a batch', () => {
    let taken = false;
    const bn = make({ trackRunningStats: false });
    expect(() => recalibrate(bn, (function* () { taken = true; yield batches[0]!; })()))
      .toThrow(new TypeError('recalibrate() expected a module with running statistics, got trackRunningStats false'));
    expect(taken).toBe(false);
  });

  it('computes where the module does', () => {
    const own = makeRuntime(kind), bn = make({ runtime: own });
    own.dispose();
    expect(() => recalibrate(bn, batches)).toThrow('runtime expected to be in use');
    recalibrate(bn, batches, { runtime });
    expect(bn.numBatchesTracked).toBe(3);
  });
});
