import { describe, expect, it } from 'vitest';
import { BatchNorm } from '../../src/index.js';

describe('options', () => {
  it.each([
    ['torch', 1e-5, 0.1, 'unbiased'],
    ['keras', 1e-3, 0.01, 'biased'],
    ['onnx', 1e-5, 0.1, 'biased'],
    ['flax', 1e-5, 0.01, 'biased'],
    ['paper', 1e-5, null, 'unbiased'],
  ] as const)('take the defaults of %s', (convention, eps, momentum, runningVariance) => {
    const bn = new BatchNorm(1, { convention, dtype: 'float64' });
    expect(bn).toMatchObject({ eps, momentum });
    bn.forward(Float64Array.of(1, 2, 3, 4), [4, 1]);
    const factor = momentum ?? 1, variance = runningVariance === 'biased' ? 1.25 : 5 / 3;
    expect(bn.runningVar![0]).toBeCloseTo(1 - factor + factor * variance, 12);
  });

  it('win over their convention where given', () => {
    expect(new BatchNorm(1, { convention: 'keras', eps: 0, momentum: 0.5 })).toMatchObject({ eps: 0, momentum: 0.5 });
    expect(new BatchNorm(1, { convention: 'keras', momentum: null }).momentum).toBeNull();
    const bn = new BatchNorm(1, { convention: 'keras', momentum: 1, runningVariance: 'unbiased', dtype: 'float64' });
    bn.forward(Float64Array.of(1, 2, 3, 4), [4, 1]);
    expect(bn.runningVar![0]).toBeCloseTo(5 / 3, 12);
  });

  it.each([
    [{ eps: -1 }, RangeError, '"eps" expected a number from 0'],
    [{ eps: Number.POSITIVE_INFINITY }, RangeError, '"eps"'],
    [{ eps: Number.NaN }, RangeError, '"eps"'],
    [{ eps: '1e-5' }, TypeError, '"eps" expected a number, got string'],
    [{ eps: null }, TypeError, '"eps" expected a number, got null'],
    [{ momentum: 1.1 }, RangeError, '"momentum" expected a number from 0 to 1, got 1.1'],
    [{ momentum: '0.1' }, TypeError, '"momentum"'],
    [{ dtype: 'float16' }, RangeError, '"dtype" expected \'float32\' or \'float64\', got \'float16\''],
    [{ dtype: 32 }, TypeError, '"dtype"'],
    [{ layout: 'NCHW' }, RangeError, '"layout"'],
    [{ convention: 'tensorflow' }, RangeError, '"convention"'],
    [{ convention: 'constructor' }, RangeError, '"convention"'],
    [{ runningVariance: 'sample' }, RangeError, '"runningVariance"'],
    [{ weight: 1 }, TypeError, '"weight" expected true or false, got number 1'],
    [{ bias: null }, TypeError, '"bias"'],
    [{ trackRunningStats: 'yes' }, TypeError, '"trackRunningStats"'],
    [{ runtime: {} }, TypeError, '"runtime" expected what createRuntime() returns'],
    [{ epsilon: 1e-3 }, TypeError, 'got "epsilon"'],
    [null, TypeError, 'expected an object of options, got null'],
  ])('refuse %j', (options, error, message) => {
    expect(() => new BatchNorm(1, options as never)).toThrow(error as typeof TypeError);
    expect(() => new BatchNorm(1, options as never)).toThrow(message);
  });

  it.each([
    [0, RangeError], [-1, RangeError], [1.5, RangeError], [Number.NaN, RangeError],
    ['3', TypeError], [undefined, TypeError],
  ])('refuse %s channels', (channels, error) => {
    expect(() => new BatchNorm(channels as never)).toThrow(error as typeof TypeError);
  });
});
