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

describe('momentum', () => {
  const after = (momentum: number | null, change: (bn: BatchNorm) => void) => {
    const bn = new BatchNorm(1, { momentum });
    bn.forward(Float32Array.of(1, 3), [2, 1]);
    change(bn);
    bn.forward(Float32Array.of(7, 9), [2, 1]);
    return bn;
  };

  it.each([0, 0.5, 1, null])('of %s holds from the next batch on where it is set', (momentum) => {
    const bn = after(0.25, (bn) => { bn.momentum = momentum; });
    expect(bn.momentum).toBe(momentum);
    const factor = momentum ?? 1 / 2;
    expect(bn.runningMean![0]).toBeCloseTo(0.5 * (1 - factor) + 8 * factor, 6);
  });

  it.each([
    ['abc', TypeError, '"momentum" expected a number or null, got string'],
    [undefined, TypeError, '"momentum" expected a number or null, got undefined'],
    [2, RangeError, '"momentum" expected a number from 0 to 1, got 2'],
    [Number.NaN, RangeError, '"momentum"'],
  ])('is refused where it is set to %s, and stays', (momentum, error, message) => {
    const bn = new BatchNorm(1);
    const set = () => { bn.momentum = momentum as never; };
    expect(set).toThrow(error as typeof TypeError);
    expect(set).toThrow(message);
    expect(bn.momentum).toBe(0.1);
  });
});

it.each([
  ['abc', TypeError], [-1, RangeError], [1.5, RangeError],
])('numBatchesTracked is refused where it is set to %s, and stays', (value, error) => {
  const bn = new BatchNorm(1);
  expect(() => { bn.numBatchesTracked = value as never; }).toThrow(error as typeof TypeError);
  expect(bn.numBatchesTracked).toBe(0);
});

it.each(['channels', 'eps', 'layout', 'dtype', 'weight', 'bias', 'runningMean', 'runningVar', 'training', 'activation', 'context'])(
  '%s cannot be written', (name) => {
    const bn = new BatchNorm(1);
    expect(() => { (bn as unknown as Record<string, unknown>)[name] = 0.5; }).toThrow(TypeError);
  },
);
