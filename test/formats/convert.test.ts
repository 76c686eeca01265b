import { describe, expect, it } from 'vitest';
import { CONVENTIONS } from '../../src/batchnorm/options.js';
import {
  BatchNorm, type Convention, type Converted, type ConvertOptions, fromCaffe, fromFlax, fromKeras, fromOnnx, fromTorch,
} from '../../src/index.js';
import { textOf } from '../host.js';
import { LAYOUTS } from '../setup.js';

const ARRAYS = { weight: [2, -3], bias: [0.5, 1], mean: [5, 6], variance: [4, 9] };
const X = [1, 10, 2, 30, 6, 20];      // [3, 2]: channel 0 is 1 2 6, channel 1 is 10 30 20
const BATCH = [{ mean: 3, variance: 14 / 3 }, { mean: 20, variance: 200 / 3 }];

type Config = { eps?: number; momentum?: number };
type Arrays = Partial<typeof ARRAYS>;

/** Each converter, called with arrays by role and a config in torch's words, by the names in its row of the table. */
type Convert = (names: string[], arrays: Arrays, config: Record<string, number>, options?: ConvertOptions) => Converted;
const CONVERTERS: Record<string, Convert> = {
  fromTorch: (names, arrays, config, options) => fromTorch({ ...named(names, arrays), num_batches_tracked: 0 }, config, options),
  fromKeras: (_, arrays, config, options) => {
    const { weight, bias, mean, variance } = arrays;
    const weights = [weight, bias, mean, variance].filter((values) => values !== undefined);
    const given = { ...config, scale: weight !== undefined, center: bias !== undefined, name: 'bn' };
    return fromKeras(weights, given, options);
  },
  fromOnnx: (names, arrays, config, options) => fromOnnx(named(names, arrays) as never, config, options),
  fromFlax: (names, arrays, config, options) => {
    const tree: Record<string, Record<string, number[]>> = {};
    for (const [path, values] of Object.entries(named(names, arrays))) {
      const [collection = '', name = ''] = path.split('.');
      tree[collection] = { ...tree[collection], [name]: values };
    }
    return fromFlax(tree as never, config, options);
  },
  // After so many batches that the sum of weights has reached its limit: then Caffe averages as the others do.
  fromCaffe: (_, { weight, bias, mean, variance }, { momentum, ...config }, options) => {
    const sum = momentum === undefined ? 1000 : 1 / (1 - Number(momentum));
    const times = (value: unknown) => (typeof value === 'number' ? value * sum : value);
    const sums = [mean, variance].map((values) => (typeof values === 'object' ? Array.from(values, times) : values));
    const blobs = { BatchNorm: [...sums, [Math.abs(sum)]], Scale: [weight, bias] } as never;
    return fromCaffe(blobs, momentum === undefined ? config : { ...config, moving_average_fraction: momentum }, options);
  },
};

function named(names: string[], arrays: Arrays): Record<string, number[]> {
  const roles = ['weight', 'bias', 'mean', 'variance'] as const;
  return Object.fromEntries(roles.flatMap((role, i) => (arrays[role] ? [[names[i]!, arrays[role]]] : [])));
}

const guide = await textOf('../docs/checkpoints.md');
const rows = guide.split('\n').filter((line) => /^\| `(torch|keras|onnx|flax|caffe|paper)` \|/.test(line));
const table = rows.map((row) => {
  const [convention, weighs, theirs, ours, eps, variance, names, converter] =
    row.split('|').slice(1, -1).map((cell) => cell.trim());
  const words = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
  return {
    convention: words(convention)[0] as Convention, weighs: weighs!, theirs: theirs!, ours: ours!, variance: variance!,
    epsWord: words(eps)[0] ?? '', eps: Number(/[\d.e-]+(?= here)|[\d.e-]+$/.exec(eps!)?.[0]),
    names: words(names), converter: words(converter)[0] ?? '',
  };
});
const converters = table.filter(({ converter }) => converter !== '');

/** A name without its path: running_mean of bn.running_mean. */
const lastOf = (name: string) => name.split('.').at(-1);

/** How a framework moves a running value, written down in its own convention. */
function moved(weighs: string, momentum: number, running: number, batch: number): number {
  const [ofRunning, ofBatch] = weighs === 'the new batch' ? [1 - momentum, momentum] : [momentum, 1 - momentum];
  return ofRunning * running + ofBatch * batch;
}

describe('the table of conventions in docs/checkpoints.md', () => {
  it('has a line for every preset and every converter', () => {
    expect(table.map(({ convention }) => convention)).toEqual(Object.keys(CONVENTIONS));
    expect(converters.map(({ converter }) => converter)).toEqual(Object.keys(CONVERTERS));
  });

  it.each(table)('says of $convention what the preset does', ({ convention, weighs, theirs, ours, eps, variance }) => {
    const preset = CONVENTIONS[convention];
    expect(String(preset.momentum)).toBe(ours);
    expect(preset.eps).toBe(eps);
    expect(preset.runningVariance).toBe(variance);
    if (preset.momentum === null) expect([weighs, theirs]).toEqual(['nothing: plain average', '']);
    else expect(weighs === 'the new batch' ? Number(theirs) : 1 - Number(theirs)).toBeCloseTo(preset.momentum, 15);
  });
});

describe.each(converters)('$converter', ({ convention, weighs, theirs, ours, epsWord, eps, variance, names, converter }) => {
  const convert = (arrays: Arrays, config: Config = {}, options?: ConvertOptions) => {
    const words: Record<string, number> = {};
    if (config.eps !== undefined) words[epsWord] = config.eps;
    if (config.momentum !== undefined) words.momentum = config.momentum;
    return CONVERTERS[converter]!(names, arrays, words, options);
  };

  const momentumWord = converter === 'fromCaffe' ? 'moving_average_fraction' : 'momentum';

  it('takes arrays by the names and in the order of the table', () => {
    const { module, notes } = convert(ARRAYS, { eps });
    expect(module.stateDict()).toEqual({
      weight: Float32Array.from(ARRAYS.weight), bias: Float32Array.from(ARRAYS.bias),
      running_mean: Float32Array.from(ARRAYS.mean), running_var: Float32Array.from(ARRAYS.variance),
      num_batches_tracked: converter === 'fromCaffe' ? 36_718 : 0,
    });
    expect(notes).toEqual([]);
  });

  it('takes the defaults of its framework, and its words', () => {
    expect(convert(ARRAYS).module).toMatchObject({ eps, momentum: Number(ours) });
    expect(convert(ARRAYS, { momentum: Number(theirs) }).module.momentum).toBeCloseTo(Number(ours), 15);
    expect(convert(ARRAYS, { eps: 0.25, momentum: 0.75 }).module).toMatchObject({
      eps: 0.25, momentum: weighs === 'the new batch' ? 0.75 : 0.25,
    });
  });

  it.each(LAYOUTS)('gives a module that evaluates and goes on training as its framework would, %s', (layout) => {
    const { module } = convert(ARRAYS, { eps: 0.5, momentum: 0.75 }, { dtype: 'float64', layout });
    expect(module.layout).toBe(layout);
    const y = module.eval().forward(Float64Array.from(X), [3, 2]);
    X.forEach((x, i) => {
      const c = i % 2;
      const std = Math.sqrt(ARRAYS.variance[c]! + 0.5);
      const expected = ((x - ARRAYS.mean[c]!) / std) * ARRAYS.weight[c]! + ARRAYS.bias[c]!;
      expect(y[i]).toBeCloseTo(expected, 12);
    });
    module.train().forward(Float64Array.from(X), [3, 2]);
    BATCH.forEach((batch, c) => {
      expect(module.runningMean![c]).toBeCloseTo(moved(weighs, 0.75, ARRAYS.mean[c]!, batch.mean), 12);
      const entering = variance === 'unbiased' ? batch.variance * 1.5 : batch.variance;
      expect(module.runningVar![c]).toBeCloseTo(moved(weighs, 0.75, ARRAYS.variance[c]!, entering), 12);
    });
  });

  it('copies', () => {
    const mean = Float64Array.from(ARRAYS.mean);
    const { module } = convert({ ...ARRAYS, mean } as never, {}, { dtype: 'float64' });
    mean.fill(0);
    expect(module.runningMean).toEqual(Float64Array.from(ARRAYS.mean));
  });

  it('says so where the variance cannot be converted, and converts it where n is known', () => {
    const other = variance === 'unbiased' ? 'biased' : 'unbiased';
    const unknown = convert(ARRAYS, { eps }, { runningVariance: other, dtype: 'float64' });
    expect(unknown.notes).toEqual([expect.stringMatching(new RegExp(`running variance is ${variance} .*"count"`))]);
    expect(unknown.module.runningVar).toEqual(Float64Array.from(ARRAYS.variance));
    const known = convert(ARRAYS, { eps }, { runningVariance: other, count: 5, dtype: 'float64' });
    expect(known.notes).toEqual([]);
    const ratio = other === 'unbiased' ? 5 / 4 : 4 / 5;
    known.module.runningVar!.forEach((value, c) => { expect(value).toBeCloseTo(ARRAYS.variance[c]! * ratio, 12); });
    known.module.loadStateDict({ ...known.module.stateDict(), running_var: [0, 0] });
    known.module.train().forward(Float64Array.from(X), [3, 2]);
    const factor = other === 'unbiased' ? 1.5 : 1;
    expect(known.module.runningVar![0]).toBeCloseTo(Number(ours) * factor * BATCH[0]!.variance, 12);
  });

  it('converts nothing where the file holds what is asked for', () => {
    const other = variance === 'unbiased' ? 'biased' : 'unbiased';
    for (const options of [
      { savedVariance: other }, { savedVariance: other, runningVariance: other, count: 3 },
    ] as const) {
      const { module, notes } = convert(ARRAYS, { eps }, options);
      expect([module.runningVar, notes]).toEqual([Float32Array.from(ARRAYS.variance), []]);
    }
  });

  it.each([
    [{ ...ARRAYS, variance: [1] }, {}, {}, RangeError, `"${lastOf(names[3]!)}" expected length 2`],
    [{ ...ARRAYS, variance: [1, -1] }, {}, {}, RangeError,
      `"${lastOf(names[3]!)}" expected variances of 0 or more, got -1 at index 1`],
    [{ ...ARRAYS, mean: ['1', '2'] }, {}, {}, TypeError,
      `"${lastOf(names[2]!)}" expected numbers, got string at index 0`],
    [{ ...ARRAYS, mean: 3 }, {}, {}, TypeError, `"${lastOf(names[2]!)}" expected an array of numbers, got number 3`],
    [ARRAYS, { eps: -1 }, {}, RangeError, `"${epsWord}" expected a number from 0`],
    [ARRAYS, { momentum: 1.5 }, {}, RangeError, `"${momentumWord}" expected a number from 0 to 1, got 1.5`],
    [ARRAYS, { momentum: '0.1' }, {}, TypeError, `"${momentumWord}" expected a number, got string`],
    [ARRAYS, {}, { savedVariance: 'sample' }, RangeError, '"savedVariance"'],
    [ARRAYS, {}, { runningVariance: 1 }, TypeError, '"runningVariance"'],
    [ARRAYS, {}, { count: 1 }, RangeError, '"count" expected a number from 2'],
    [ARRAYS, {}, { count: '8' }, TypeError, '"count" expected a number, got string'],
    [ARRAYS, {}, { eps: 1 }, TypeError, `${converter}() expected options dtype`],
  ])('refuses %j %j %j', (arrays, config, options, error, message) => {
    expect(() => convert(arrays as never, config as never, options as never)).toThrow(error as typeof TypeError);
    expect(() => convert(arrays as never, config as never, options as never)).toThrow(message);
  });

  it('knows its convention when asked for a module without a file', () => {
    expect(new BatchNorm(2, { convention })).toMatchObject({ eps, momentum: Number(ours) });
  });
});

describe('what a checkpoint leaves out, the module does not have', () => {
  const { weight, bias, mean, variance } = ARRAYS;

  it('in torch: affine and running statistics', () => {
    const state = { weight, bias, running_mean: mean, running_var: variance, num_batches_tracked: 7n };
    expect(fromTorch(state).module.numBatchesTracked).toBe(7);
    const plain = fromTorch({ running_mean: mean, running_var: variance }).module;
    expect([plain.weight, plain.bias]).toEqual([null, null]);
    const untracked = fromTorch({ weight, bias }).module;
    expect([untracked.runningMean, untracked.runningVar]).toEqual([null, null]);
    expect(fromTorch({ weight, bias }, { eps: 0 }, { runningVariance: 'biased' }).notes).toEqual([]);
    expect(fromTorch(state, { momentum: null }).module.momentum).toBeNull();
  });

  it('in Keras: scale and center', () => {
    expect(fromKeras([bias, mean, variance], { scale: false }).module)
      .toMatchObject({ weight: null, bias: Float32Array.from(bias) });
    expect(fromKeras([weight, mean, variance], { center: false }).module)
      .toMatchObject({ bias: null, weight: Float32Array.from(weight) });
    expect(() => fromKeras([mean, variance]))
      .toThrow(new RangeError('"weights" expected 4 arrays (gamma, beta, moving_mean, moving_variance), got 2'));
    expect(() => fromKeras([weight, mean, variance], { center: 'no' as never })).toThrow(TypeError);
    expect(() => fromKeras({} as never)).toThrow(TypeError);
  });

  it('in Flax: scale and bias', () => {
    const batch_stats = { mean, var: variance };
    expect(fromFlax({ batch_stats }).module).toMatchObject({ weight: null, bias: null });
    expect(fromFlax({ params: { bias }, batch_stats }).module)
      .toMatchObject({ weight: null, bias: Float32Array.from(bias) });
    expect(() => fromFlax({ params: {} } as never)).toThrow(TypeError);
    expect(() => fromFlax({ batch_stats: { mean } } as never))
      .toThrow('"var" expected an array of numbers, got undefined');
  });
});

describe('names, axes and modes', () => {
  const state = { running_mean: [1], running_var: [2] };
  const prefixed = {
    'a.bn.running_mean': [1], 'a.bn.running_var': [2], 'a.bn2.weight': [1, 2], 'a.conv.weight': [3, 4],
  };

  it('of torch: only names with the prefix count, and each of them does', () => {
    expect(fromTorch(prefixed, { prefix: 'a.bn.' }).module.runningVar).toEqual(Float32Array.of(2));
    expect(() => fromTorch(prefixed, { prefix: 'b.' }))
      .toThrow(new TypeError('"state" expected names that start with "b.", got none'));
    expect(() => fromTorch(prefixed, { prefix: 'a.bn' })).toThrow('after "a.bn", got "a.bn.running_mean"');
    expect(() => fromTorch(prefixed)).toThrow(TypeError);
    expect(() => fromTorch(state, { prefix: 1 as never })).toThrow(TypeError);
    expect(() => fromTorch(state, { epsilon: 1 } as never)).toThrow('got "epsilon"');
    expect(() => fromTorch({ running_mean: [1] })).toThrow('"running_var"');
    expect(() => fromTorch({ num_batches_tracked: 3 })).toThrow('expected weight, bias or running statistics');
    expect(() => fromTorch(null as never)).toThrow(TypeError);
  });

  it.each([
    [undefined, 'channels-last', 0], [-1, 'channels-last', 0], [[-1], 'channels-last', 0], [1, 'channels-first', 0],
    [[1], 'channels-first', 0], [3, 'channels-last', 1], [[3], 'channels-last', 1],
  ] as const)('of Keras and Flax: axis %j is %s', (axis, layout, notes) => {
    for (const { module, notes: said } of [
      fromKeras([[1], [2]], { axis, scale: false, center: false, epsilon: 0 }),
      fromFlax({ batch_stats: { mean: [1], var: [2] } }, { axis, epsilon: 0 }),
    ]) {
      expect(module.layout).toBe(layout);
      expect(said.length).toBe(notes);
    }
  });

  it.each([
    [0, RangeError], [-2, RangeError], [1.5, RangeError], [[1, 2], TypeError], ['last', TypeError],
  ])('of Keras: axis %j is refused', (axis, error) => {
    expect(() => fromKeras([[1], [2]], { axis: axis as never, scale: false, center: false }))
      .toThrow(error as typeof TypeError);
  });

  it('of ONNX: training_mode sets the mode, and per-activation statistics are refused', () => {
    const inputs = { scale: [1], B: [0], input_mean: [0], input_var: [1] };
    expect(fromOnnx(inputs).module.training).toBe(false);
    expect(fromOnnx(inputs, { training_mode: 1 }).module).toMatchObject({ training: true, layout: 'channels-first' });
    expect(() => fromOnnx(inputs, { training_mode: 2 })).toThrow(RangeError);
    expect(() => fromOnnx(inputs, { training_mode: true as never })).toThrow(TypeError);
    expect(() => fromOnnx(inputs, { spatial: 0 })).toThrow('"spatial" expected 1, got 0');
    expect(() => fromOnnx({ ...inputs, mean: [0] } as never)).toThrow(TypeError);
    expect(() => fromOnnx({ scale: [1], B: [0] } as never))
      .toThrow('"input_mean" expected an array of numbers, got undefined');
  });

  it('of all that say epsilon: eps is no word of theirs', () => {
    expect(() => fromKeras([[1], [2], [3], [4]], { eps: 1e-5 })).toThrow('"config" expected "epsilon", got "eps"');
    expect(() => fromOnnx({ scale: [1], B: [0], input_mean: [0], input_var: [1] }, { eps: 1e-5 } as never)).toThrow(TypeError);
  });
});
