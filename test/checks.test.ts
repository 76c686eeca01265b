import { describe, expect, it } from 'vitest';
import { BatchNorm, createRuntime, diagnose, foldInto, fromTorch, moments, recalibrate } from '../src/index.js';

const x = Float32Array.of(1, 2, 3, 4), shape = [4, 1], runtime = createRuntime();

/** A new layer that has run a forward. */
function layer(): BatchNorm {
  const bn = new BatchNorm(1);
  bn.forward(x, shape);
  return bn;
}

/** Calls that take options, by the name that their errors give. */
const CALLS: Record<string, (options: never) => unknown> = {
  BatchNorm: (options) => new BatchNorm(1, options),
  forward: (options) => layer().forward(x, shape, options),
  backward: (options) => layer().backward(x, options),
  backwardSums: (options) => layer().backwardSums(x, options),
  createRuntime,
  tensor: (options) => runtime.tensor([1], options),
  moments: (options) => moments(x, shape, options),
  diagnose: (options) => diagnose(layer(), x, shape, options),
  recalibrate: (options) => recalibrate(layer(), [{ x, shape }], options),
  foldInto: (options) => foldInto(layer(), { weight: x }, options),
  fromTorch: (options) => fromTorch({ weight: x }, options),
};

describe('an unknown option', () => {
  it.each([
    ['BatchNorm', 'epsilon', '"eps"'], ['BatchNorm', 'Eps', '"eps"'],
    ['BatchNorm', 'affine', '"weight" and "bias"'], ['BatchNorm', 'scale', '"weight"'], ['BatchNorm', 'gamma', '"weight"'],
    ['BatchNorm', 'center', '"bias"'], ['BatchNorm', 'beta', '"bias"'], ['BatchNorm', 'use_bias', '"bias"'],
    ['BatchNorm', 'track_running_stats', '"trackRunningStats"'], ['BatchNorm', 'trackStats', '"trackRunningStats"'],
    ['BatchNorm', 'axis', '"layout"'], ['BatchNorm', 'data_format', '"layout"'], ['BatchNorm', 'dataFormat', '"layout"'],
    ['BatchNorm', 'num_features', 'the first argument'], ['BatchNorm', 'channels', 'the first argument'],
    ['BatchNorm', 'running_var', 'loadStateDict()'], ['BatchNorm', 'runningMean', 'loadStateDict()'],
    ['BatchNorm', 'momentun', '"momentum"'], ['BatchNorm', 'wieght', '"weight"'], ['BatchNorm', 'training', 'train() and eval()'],
    ['forward', 'update_stats', '"updateStats"'], ['forward', 'update', '"updateStats"'], ['forward', 'masks', '"mask"'],
    ['forward', 'training', 'train() and eval()'], ['forward', 'residuals', '"residual"'], ['forward', 'output', '"out"'],
    ['backward', 'ctx', '"context"'], ['backward', 'parameter', '"parameters"'], ['backwardSums', 'Context', '"context"'],
    ['createRuntime', 'maxBytes', '"maximumBytes"'], ['createRuntime', 'maximum_bytes', '"maximumBytes"'],
    ['tensor', 'dtypes', '"dtype"'], ['moments', 'layouts', '"layout"'], ['diagnose', 'Mask', '"mask"'],
    ['recalibrate', 'estimater', '"estimator"'], ['foldInto', 'pad', '"padding"'], ['foldInto', 'group', '"groups"'],
    ['fromTorch', 'epsilon', '"eps"'],
  ])('of %s() called %s makes the error ask for %s', (name, option, likely) => {
    const call = () => CALLS[name]!({ [option]: 0.5 } as never);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(new RegExp(`^${name}\\(\\) expected options .*, got "${option}": did you mean ${likely.replace(/[()]/g, '\\$&')}\\?$`));
  });

  it.each(Object.keys(CALLS))('of %s() that is like none is named alone', (name) => {
    expect(() => CALLS[name]!({ qq: 1 } as never)).toThrow(/, got "qq"$/);
  });

  it.each(Object.keys(CALLS))('does not stand for an array where %s() takes options', (name) => {
    expect(() => CALLS[name]!([4, 1] as never)).toThrow(`${name}() expected an object of options, got Array of length 2`);
  });
});
