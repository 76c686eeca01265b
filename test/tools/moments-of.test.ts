import { describe, expect, it } from 'vitest';
import {
  BatchNorm, type BatchNormOptions, decodeMoments, encodeMoments, type Moments, moments, momentsOf, recalibrate, recalibrateFrom,
} from '../../src/index.js';
import { arrayOf, COMBINATIONS, maskOf, normal, RUNTIMES, SHAPES, shapeIn, sizeOf } from '../setup.js';

describe.each(COMBINATIONS)('moments of a forward in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const make = (options: BatchNormOptions = {}) => new BatchNorm(3, { dtype, layout, runtime, ...options });
  const data = (n: number, seed: number) => arrayOf(dtype, normal(n, seed, 2, 3));
  const shape = shapeIn(layout, [5, 3, 7]);

  it('are the bits of moments', () => {
    SHAPES.forEach((each, i) => {
      const bn = new BatchNorm(each[1]!, { dtype, layout, runtime, onSingleValue: 'zero' }), at = shapeIn(layout, each), x = data(sizeOf(each), i);
      bn.forward(x as Float32Array, at, { updateStats: false });
      expect(momentsOf(bn.context!)).toEqual(moments(x, at, { layout, runtime }));
    });
  });

  it('count what a mask leaves, and nothing where it leaves nothing', () => {
    const x = data(105, 1), zero = { count: 0, mean: new Float64Array(3), m2: new Float64Array(3) };
    for (const mask of [maskOf(35, 2), new Uint8Array(35)]) {
      const bn = make();
      bn.forward(x, shape, { mask });
      expect(momentsOf(bn.context!)).toEqual(moments(x, shape, { layout, runtime, mask }));
    }
    const bn = make();
    bn.forward(data(0, 1), shapeIn(layout, [0, 3, 7]));
    expect(momentsOf(bn.context!)).toEqual(zero);
  });

  it('stay what they are when the layer goes on', () => {
    const bn = make();
    bn.forward(data(105, 1), shape);
    const context = bn.context!, before = momentsOf(context);
    bn.forward(data(105, 2), shape);
    expect(momentsOf(context)).toEqual(before);
  });

  it.each(['paper', 'population'] as const)('give the bits of recalibrate, through bytes too: %s', (estimator) => {
    const batches = [5, 2, 0, 9].map((n, i) => ({ x: data(n * 21, i), shape: shapeIn(layout, [n, 3, 7]) }));
    const wanted = make(), bn = make();
    recalibrate(wanted, batches, { estimator });
    const rows = batches.map(({ x, shape }) => {
      const other = make();
      other.forward(x, shape, { updateStats: false });
      return [momentsOf(other.context!)];
    });
    recalibrateFrom(bn, decodeMoments(encodeMoments(rows)).map(([first]) => first!), { estimator });
    expect(bn.stateDict()).toEqual(wanted.stateDict());
    expect(bn.numBatchesTracked).toBe(3);
  });

  const part = (): Moments => ({ count: 2, mean: Float64Array.of(1, 2, 3), m2: Float64Array.of(1, 0, 1) });
  it.each([
    ['nothing', RangeError, (bn: BatchNorm) => recalibrateFrom(bn, []), 'recalibrateFrom() expected at least one batch with values, got none'],
    ['moments in place of a list', TypeError, (bn: BatchNorm) => recalibrateFrom(bn, part() as never), '"batches" expected an iterable of { count, mean, m2 }, got Object'],
    ['a batch that is none', TypeError, (bn: BatchNorm) => recalibrateFrom(bn, [part(), null as never]), '"batches" expected { count, mean: Float64Array, m2: Float64Array }, got null'],
    ['a batch of other channels', RangeError, (bn: BatchNorm) => recalibrateFrom(bn, [part(), moments(Float32Array.of(1, 2), [1, 2])]), '"batches" expected mean and m2 of 3 channels, got 2 and 2'],
    ['a batch of one value', RangeError, (bn: BatchNorm) => recalibrateFrom(bn, [part(), { ...part(), count: 1 }]), 'recalibrateFrom() expected more than 1 value per channel in a batch, got 1'],
    ['a misspelt option', TypeError, (bn: BatchNorm) => recalibrateFrom(bn, [part()], { estimate: 'paper' } as never), 'got "estimate"'],
    ['an estimator that is none', RangeError, (bn: BatchNorm) => recalibrateFrom(bn, [part()], { estimator: 'mean' as never }), "got 'mean'"],
    ['no module', TypeError, () => recalibrateFrom({} as never, [part()]), 'recalibrateFrom() expected a BatchNorm, got Object'],
    ['a module without running statistics', TypeError, () => recalibrateFrom(make({ trackRunningStats: false }), [part()]), 'recalibrateFrom() expected a module with running statistics'],
    ['a context that is none', TypeError, () => momentsOf({ mode: 'batch', count: 1 } as never), '"context" expected that of a forward(), got Object'],
    ['a forward with running statistics', RangeError, (bn: BatchNorm) => {
      bn.eval().forward(data(105, 1), shape);
      momentsOf(bn.context!);
    }, "\"context\" expected one of mode 'batch', got 'running'"],
  ] as const)('throw for %s and change nothing', (_, error, action, message) => {
    const bn = make(), before = bn.stateDict();
    expect(() => action(bn)).toThrow(error);
    expect(() => action(bn)).toThrow(message);
    expect(bn.stateDict()).toEqual(before);
  });
});
