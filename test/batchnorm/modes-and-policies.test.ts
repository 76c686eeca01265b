import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type Floats } from '../../src/index.js';
import { differentiate } from '../oracle.js';
import { arrayOf, COMBINATIONS, distance, normal, placesOf, RUNTIMES, shapeIn, sizeOf } from '../setup.js';
import * as tolerance from '../tolerances.js';

const SHAPE = [6, 3, 5];

describe.each(COMBINATIONS)('modes in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], shape = shapeIn(layout, SHAPE), size = sizeOf(SHAPE);
  const make = (options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(3, { dtype, layout, runtime, ...options });
    bn.weight?.set([1.5, -0.5, 2]);
    bn.bias?.set([0.3, -0.2, 0.7]);
    return bn;
  };
  const data = (seed: number) => arrayOf(dtype, normal(size, seed, 2, 3));
  const places = placesOf(SHAPE, layout);

  it('frozen normalise with running statistics and leave them alone, through train and eval, until unfreeze', () => {
    const bn = make(), evaluating = make();
    for (const each of [bn, evaluating]) each.forward(data(1), shape);
    const state = bn.stateDict(), expected = evaluating.eval().forward(data(2), shape);
    const gradients = evaluating.backward(data(3));
    expect(bn.freeze()).toBe(bn);
    for (const mode of ['train', 'eval', 'train'] as const) {
      expect(bn[mode]().frozen).toBe(true);
      expect(bn.training).toBe(mode === 'train');
      expect(bn.forward(data(2), shape, { updateStats: true })).toEqual(expected);
      expect(bn.context!.mode).toBe('running');
      expect(bn.backward(data(3))).toEqual(gradients);
      expect(bn.stateDict()).toEqual(state);
    }
    expect(bn.unfreeze()).toBe(bn);
    expect(bn.frozen).toBe(false);
    bn.forward(data(2), shape);
    expect(bn.context!.mode).toBe('batch');
    expect(bn.numBatchesTracked).toBe(2);
  });

  it('cannot be frozen without running statistics', () => {
    const bn = make({ trackRunningStats: false });
    expect(() => bn.freeze())
      .toThrow(new TypeError('freeze() expected running statistics, got trackRunningStats false'));
    expect(bn.frozen).toBe(false);
  });

  const both = [true, false];
  const combinations = (['train', 'eval', 'frozen'] as const)
    .flatMap((mode) => both.flatMap((weight) => both.flatMap((bias) => both.map((trackRunningStats) =>
      ({ mode, weight, bias, trackRunningStats })))))
    .filter(({ mode, trackRunningStats }) => mode !== 'frozen' || trackRunningStats);
  const name = 'differentiate right in $mode, weight $weight, bias $bias, trackRunningStats $trackRunningStats';
  it.each(combinations)(name, ({ mode, ...options }) => {
    const bn = make(options), x = data(2), dy = data(3);
    bn.forward(data(1), shape);
    if (mode === 'eval') bn.eval();
    if (mode === 'frozen') bn.freeze();
    bn.forward(x, shape);
    const { dx, dweight, dbias } = bn.backward(dy), { mean, variance, mode: taken } = bn.context!;
    expect(taken).toBe(mode !== 'train' && options.trackRunningStats ? 'running' : 'batch');
    places.forEach((of, c) => {
      const of_ = (values: Floats) => of.map((place) => values[place]!);
      const expected = differentiate(of_(dy), of_(x), bn.weight?.[c] ?? 1, mean[c]!, variance[c]!, bn.eps, taken);
      // dy has a mean of 2 and a standard deviation of 3: about four times what the bounds assume.
      expect(distance(of_(dx), expected.dx)).toBeLessThanOrEqual(4 * tolerance.GOLDEN[dtype].dx);
      const allowed = 4 * tolerance.GOLDEN[dtype].parameters;
      if (dweight) expect(distance([dweight[c]!], [expected.dweight])).toBeLessThanOrEqual(allowed);
      if (dbias) expect(distance([dbias[c]!], [expected.dbias])).toBeLessThanOrEqual(allowed);
    });
    expect([dweight !== null, dbias !== null]).toEqual([options.weight, options.bias]);
    expect(bn.backward(dy, { parameters: false })).toEqual({ dx, dweight: null, dbias: null, dresidual: null });
  });

  it('refuse a wish for parameters that is no boolean', () => {
    const bn = make();
    bn.forward(data(1), shape);
    expect(() => bn.backward(data(2), { parameters: 1 as never }))
      .toThrow(new TypeError('"parameters" expected true or false, got number 1'));
  });

  describe('of a single value', () => {
    const x = arrayOf(dtype, [5, -6, 7e4]), dy = arrayOf(dtype, [1, -2, 3e3]), one = shapeIn(layout, [1, 3, 1]);

    it('are an error, without a change', () => {
      for (const options of [{}, { onSingleValue: 'running', trackRunningStats: false }] as const) {
        const bn = make(options), before = bn.stateDict();
        const message = `Expected more than 1 value per channel when training, got shape [${one.join(', ')}]`;
        expect(() => bn.forward(x, one)).toThrow(new RangeError(message));
        expect([bn.stateDict(), bn.context]).toEqual([before, null]);
      }
    });

    it('with running give what eval gives, and leave running statistics alone', () => {
      const bn = make({ onSingleValue: 'running' }), evaluating = make().eval(), before = bn.stateDict();
      expect(bn.forward(x, one)).toEqual(evaluating.forward(x, one));
      expect(bn.context!.mode).toBe('running');
      expect(bn.backward(dy)).toEqual(evaluating.backward(dy));
      expect(bn.stateDict()).toEqual(before);
      bn.forward(data(1), shape);
      expect([bn.context!.mode, bn.numBatchesTracked]).toEqual(['batch', 1]);
    });

    it.each([1e-5, 0])('with zero give the bias and a gradient of 0, and a variance of 0 to the running statistics, at eps %s', (eps) => {
      for (const options of [{}, { trackRunningStats: false }, { bias: false }, { activation: 'relu' }] as const) {
        const bn = make({ onSingleValue: 'zero', momentum: 0.25, eps, ...options });
        const relu = 'activation' in options, bias = arrayOf(dtype, bn.bias ?? [0, 0, 0]);
        expect(bn.forward(x, one)).toEqual(relu ? bn.bias!.map((value) => Math.max(value, 0)) : bias);
        expect(bn.context)
          .toMatchObject({ mode: 'batch', count: 1, mean: Float64Array.from(x), variance: new Float64Array(3) });
        const { dx, dweight, dbias } = bn.backward(dy);
        expect(Array.from(dx, Math.abs)).toEqual([0, 0, 0]);
        expect(Array.from(dweight!, Math.abs)).toEqual([0, 0, 0]);
        if (dbias) expect(dbias).toEqual(relu ? arrayOf(dtype, [1, 0, 3e3]) : dy);
        if (bn.runningMean) {
          expect(bn.runningMean).toEqual(x.map((value) => 0.25 * value));
          expect(bn.runningVar).toEqual(arrayOf(dtype, [0.75, 0.75, 0.75]));
          expect(bn.numBatchesTracked).toBe(1);
        }
      }
    });

    it('are those of a mask that leaves one', () => {
      const mask = new Uint8Array(30), bn = make({ onSingleValue: 'zero' });
      mask[7] = 1;
      expect(() => make().forward(data(1), shape, { mask })).toThrow('Expected more than 1 value per channel');
      const y = bn.forward(data(1), shape, { mask });
      places.forEach((of, c) => { of.forEach((place, m) => { expect(y[place]).toBe(m === 7 ? bn.bias![c] : 0); }); });
      expect(bn.backward(data(2)).dx.every((value) => value === 0)).toBe(true);
    });
  });

  describe('of values that are not finite', () => {
    const bad = (value = Number.NaN, seed = 1) => {
      const x = data(seed);
      x[places[1]![11]!] = value;
      return x;
    };

    it.each([Number.NaN, Number.POSITIVE_INFINITY])('keep %s in its own channel', (value) => {
      const bn = make(), clean = make(), y = bn.forward(bad(value), shape), expected = clean.forward(data(1), shape);
      const { dx, dweight, dbias } = bn.backward(data(2)), wanted = clean.backward(data(2));
      for (const c of [0, 2]) {
        for (const place of places[c]!) expect([y[place], dx[place]]).toEqual([expected[place], wanted.dx[place]]);
        expect([dweight![c], dbias![c]]).toEqual([wanted.dweight![c], wanted.dbias![c]]);
        expect([bn.runningMean![c], bn.runningVar![c]]).toEqual([clean.runningMean![c], clean.runningVar![c]]);
      }
      expect(places[1]!.some((place) => Number.isNaN(y[place]))).toBe(true);
      expect([bn.runningVar![1], bn.numBatchesTracked]).toEqual([Number.NaN, 1]);
    });

    it('with skip compute y and leave running statistics and counter alone', () => {
      const bn = make({ onNonFinite: 'skip' }), plain = make(), before = bn.stateDict();
      expect(bn.forward(bad(), shape)).toEqual(plain.forward(bad(), shape));
      expect(bn.backward(data(2))).toEqual(plain.backward(data(2)));
      expect(bn.stateDict()).toEqual(before);
      const clean = make();
      expect(bn.forward(data(1), shape)).toEqual(clean.forward(data(1), shape));
      expect(bn.stateDict()).toEqual(clean.stateDict());
    });

    it('with error throw before anything changes', () => {
      const bn = make({ onNonFinite: 'error' }), out = data(9), start = runtime.bytesInUse;
      bn.forward(data(3), shape);
      const gradients = bn.backward(data(4)), before = bn.stateDict();
      expect(() => bn.forward(bad(), shape, { out }))
        .toThrow(new RangeError('x expected finite batch statistics, got mean NaN and variance NaN in channel 1'));
      expect(bn.backward(data(4))).toEqual(gradients);
      const context = bn.context, x = bad();
      expect(() => bn.forward(x, shape, { out: x })).toThrow(RangeError);
      const tensor = runtime.tensor(shape, { dtype, data: bad() });
      expect(() => bn.forward(tensor)).toThrow(RangeError);
      expect(() => bn.forward(tensor, { out: tensor })).toThrow(RangeError);
      expect(tensor.data).toEqual(bad());
      tensor.dispose();
      expect([out, x, bn.stateDict()]).toEqual([data(9), bad(), before]);
      expect(bn.context).toBe(context);
      expect(bn.backward(data(4))).toEqual(gradients);
      expect(runtime.bytesInUse).toBe(start);
    });

    it('with error refuse given statistics that are not finite before anything changes', () => {
      const bn = make({ onNonFinite: 'error' }), out = data(9), before = bn.stateDict();
      const { length } = bn.runningMean!, statistics = { count: 60, mean: new Float64Array(length).fill(NaN), m2: new Float64Array(length) };
      expect(() => bn.forwardWith(statistics, data(1), shape, { out })).toThrow('expected finite batch statistics, got mean NaN');
      expect([out, bn.stateDict(), bn.context]).toEqual([data(9), before, null]);
    });

    it('with error give the same as without where all is finite, and take anything masked and in eval', () => {
      const bn = make({ onNonFinite: 'error' }), plain = make();
      expect(bn.forward(data(1), shape)).toEqual(plain.forward(data(1), shape));
      expect(bn.stateDict()).toEqual(plain.stateDict());
      const mask = new Uint8Array(30).fill(1);
      mask[11] = 0;
      expect(bn.forward(bad(), shape, { mask }).every(Number.isFinite)).toBe(true);
      expect(bn.eval().forward(bad(), shape).some(Number.isNaN)).toBe(true);
    });

    it('with error hold for arrays of several groups in the stage', () => {
      const large = [2, 3, 80_001], laidOut = shapeIn(layout, large), of = placesOf(large, layout);
      const x = arrayOf(dtype, normal(sizeOf(large), 5));
      const out = new (x.constructor as Float32ArrayConstructor)(x.length).fill(7);
      const bn = make({ onNonFinite: 'error' }), before = bn.stateDict(), plain = make();
      const kept = x[of[2]![160_001]!]!;
      x[of[2]![160_001]!] = Number.NEGATIVE_INFINITY;
      expect(() => bn.forward(x, laidOut, { out })).toThrow('in channel 2');
      expect(out.every((value) => value === 7)).toBe(true);
      expect([bn.stateDict(), bn.context]).toEqual([before, null]);
      x[of[2]![160_001]!] = kept;
      expect(distance(bn.forward(x, laidOut), plain.forward(x, laidOut))).toBe(0);
      expect(bn.stateDict()).toEqual(plain.stateDict());
    });
  });

  it.each(['train', 'eval', 'frozen'] as const)('take empty and wholly masked batches in %s: no change, y and gradients 0', (mode) => {
    const bn = make({ onNonFinite: 'error', activation: 'relu' });
    bn.forward(data(1), shape);
    if (mode === 'eval') bn.eval();
    if (mode === 'frozen') bn.freeze();
    const before = bn.stateDict(), zero = arrayOf(dtype, [0, 0, 0]);
    expect(bn.forward(arrayOf(dtype, []), shapeIn(layout, [0, 3, 5]))).toEqual(arrayOf(dtype, []));
    expect(bn.backward(arrayOf(dtype, [])))
      .toEqual({ dx: arrayOf(dtype, []), dweight: zero, dbias: zero, dresidual: null });
    const none = arrayOf(dtype, new Array<number>(size).fill(0));
    expect(bn.forward(data(2), shape, { mask: new Uint8Array(30), residual: data(3), out: data(4) })).toEqual(none);
    expect(bn.backward(data(5))).toEqual({ dx: none, dweight: zero, dbias: zero, dresidual: none });
    expect(bn.context!.count).toBe(0);
    expect(bn.stateDict()).toEqual(before);
  });

  describe('snapshots', () => {
    it('are copies, and make a batch that is run again count once', () => {
      const bn = make(), once = make();
      const before = bn.snapshot(), { runningMean, runningVar } = bn;
      for (let i = 0; i < 3; i++) {
        expect(bn.restore(before)).toBe(bn);
        bn.forward(data(1), shape);
      }
      once.forward(data(1), shape);
      bn.forward(data(1), shape, { updateStats: false });
      expect(bn.stateDict()).toEqual(once.stateDict());
      expect(before).toEqual({
        runningMean: arrayOf(dtype, [0, 0, 0]), runningVar: arrayOf(dtype, [1, 1, 1]), numBatchesTracked: 0,
      });
      bn.restore(before);
      expect([bn.runningMean, bn.runningVar]).toEqual([before.runningMean, before.runningVar]);
      expect(bn.runningMean).toBe(runningMean);
      expect(bn.runningVar).toBe(runningVar);
      bn.runningMean!.fill(9);
      expect(before.runningMean).toEqual(arrayOf(dtype, [0, 0, 0]));
    });

    it('leave parameters, mode and context alone', () => {
      const bn = make(), snapshot = bn.snapshot();
      bn.forward(data(1), shape);
      const gradients = bn.backward(data(2));
      bn.weight!.set([7, 8, 9]);
      bn.freeze().eval().restore(snapshot);
      expect([bn.weight, bn.training, bn.frozen]).toEqual([arrayOf(dtype, [7, 8, 9]), false, true]);
      expect(bn.backward(data(2))).toEqual(gradients);
    });

    it('are there without running statistics too', () => {
      const bn = make({ trackRunningStats: false }), snapshot = bn.snapshot();
      expect(snapshot).toEqual({ runningMean: null, runningVar: null, numBatchesTracked: 0 });
      expect(bn.restore(snapshot)).toBe(bn);
    });

    it.each([
      ['another module', () => make().snapshot()],
      ['one of other channels', () => new BatchNorm(2, { dtype }).snapshot()],
      ['one without running statistics', () => make({ trackRunningStats: false }).snapshot()],
      ['nothing', () => undefined], ['null', () => null], ['an object', () => ({})],
    ])('of %s are refused without a change', (_, snapshot) => {
      const bn = make();
      bn.forward(data(1), shape);
      const before = bn.stateDict();
      expect(() => bn.restore(snapshot() as never)).toThrow(TypeError);
      expect(() => bn.restore(snapshot() as never))
        .toThrow('"snapshot" expected one of this module\'s snapshot(), got ');
      expect(bn.stateDict()).toEqual(before);
    });
  });

  it('see that out is x where it is another view of it', () => {
    const bn = make(), x = data(1), dy = data(2);
    bn.forward(x, shape, { out: x.subarray(0) });
    expect(() => bn.backward(dy)).toThrow('backward() expected x to be kept');
    bn.forward(x, shape);
    const kept = x.slice();
    expect(() => bn.backward(dy, { out: x.subarray(0) })).toThrow(RangeError);
    expect(x).toEqual(kept);
  });
});
