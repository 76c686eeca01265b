/** Caffe's blobs, and all layers of a Caffe net. */
import { describe, expect, it } from 'vitest';
import { fromCaffe, layersFromCaffe } from '../../src/index.js';

describe('the three blobs of a BatchNorm layer', () => {
  it('are sums, divided by the third', () => {
    // Ten batches of mean 5 and variance 2, fraction 0.999.
    let sum = 0;
    for (let i = 0; i < 10; i++) sum = sum * 0.999 + 1;
    const { module, notes } = fromCaffe({ BatchNorm: [[5 * sum], [2 * sum], [sum]] }, {}, { dtype: 'float64' });
    expect(module.runningMean![0]).toBeCloseTo(5, 12);
    expect(module.runningVar![0]).toBeCloseTo(2, 12);
    expect(module).toMatchObject({
      weight: null, bias: null, numBatchesTracked: 10, eps: 1e-5, momentum: 0.001, training: true, layout: 'channels-first',
    });
    expect(notes).toEqual([]);
  });

  it.each([
    [1, 0.999, 1], [1.999, 0.999, 2], [999.98236, 0.999, 10_940], [1000, 0.999, 36_718], [999.98236, Math.fround(0.999), 10_392],
    [1.9, 0.9, 2], [9.99999904, 0.9, 153], [1, 0, 1], [37, 1, 37],
  ])('tell the number of batches: %d with fraction %d is %d', (sum, moving_average_fraction, batches) => {
    const { module, notes } = fromCaffe({ BatchNorm: [[sum], [sum], [sum]] }, { moving_average_fraction });
    expect(module.numBatchesTracked).toBe(batches);
    expect(module.runningMean![0]).toBe(1);
    expect(notes).toEqual([]);
  });

  it('may have grown in float32, which ends below the limit', () => {
    const fraction = Math.fround(0.999);
    let sum = 0;
    for (let i = 0; i < 100_000; i++) sum = Math.fround(Math.fround(sum * fraction) + 1);
    expect(sum).toBeLessThan(1000);
    for (const moving_average_fraction of [fraction, 0.999]) {
      const { module, notes } = fromCaffe({ BatchNorm: [[5 * sum], [2 * sum], [sum]] }, { moving_average_fraction }, { dtype: 'float64' });
      expect(notes).toEqual([]);
      module.forward(Float64Array.of(1005, 1005), [2, 1]);
      expect(module.runningMean![0]).toBeCloseTo(5 + 1000 / (sum * fraction + 1), 4);
    }
  });

  it.each([
    [1.5, 0.999, 2], [1000, 0.9, 349], [0.5, 0.999, 1], [2, 0, 1],
  ])('that no number of batches gives are noted: %d with fraction %d', (sum, moving_average_fraction, batches) => {
    const { module, notes } = fromCaffe({ BatchNorm: [[5 * sum], [sum], [sum]] }, { moving_average_fraction });
    expect(notes)
      .toEqual([expect.stringMatching(new RegExp(`^blob 2 is ${sum}, which no number of batches gives.*after ${batches} batches$`))]);
    expect(module.runningMean![0]).toBeCloseTo(5, 6);
  });

  it('of a net that has not been trained are 0, and noted; the first batch replaces them', () => {
    const { module, notes } = fromCaffe({ BatchNorm: [[7], [7], [0]] }, { eps: 0.25 });
    expect([module.runningMean![0], module.runningVar![0], module.numBatchesTracked]).toEqual([0, 0, 0]);
    expect(notes).toEqual(['blob 2 is 0, as before the first batch: mean and variance are 0, as Caffe has them']);
    expect(module.eval().forward(Float32Array.of(3), [1, 1])[0]).toBe(6);
    module.train().forward(Float32Array.of(4, 6), [2, 1]);
    expect([module.runningMean![0], module.runningVar![0]]).toEqual([5, 2]);
  });

  it('come with the blobs of a Scale layer, with or without a bias', () => {
    const BatchNorm = [[5, 6], [4, 9], [1]];
    expect(fromCaffe({ BatchNorm, Scale: [[2, 3]] }, {}).module).toMatchObject({ weight: Float32Array.of(2, 3), bias: null });
    expect(fromCaffe({ BatchNorm, Scale: [[2, 3], [0, 1]] }, {}).module.bias).toEqual(Float32Array.of(0, 1));
  });

  it('may be BlobProtos, with a shape of four axes as old files have them, and are copied', () => {
    const mean = Float32Array.of(10, 12), blob = (data: ArrayLike<number>) => ({ shape: { dim: [data.length] }, data });
    const old = { num: 1, channels: 2, height: 1, width: 1, data: [8, 18] };
    const { module } = fromCaffe({ BatchNorm: [blob(mean), old, { doubleData: [2], data: [] }] }, {});
    mean.fill(0);
    expect(module).toMatchObject({ runningMean: Float32Array.of(5, 6), runningVar: Float32Array.of(4, 9) });
    const plain = Float32Array.of(1), copied = fromCaffe({ BatchNorm: [plain, [1], [1]] }, {}).module;
    plain.fill(9);
    expect(copied.runningMean).toEqual(Float32Array.of(1));
    const json = JSON.parse(JSON.stringify([Float32Array.of(2), Float32Array.of(4), Float32Array.of(2)]));
    expect(fromCaffe({ BatchNorm: json }, {}).module.runningVar).toEqual(Float32Array.of(2));
  });

  it('take the words of batch_norm_param, in either spelling', () => {
    const blobs = { BatchNorm: [[1], [1], [1]] };
    expect(fromCaffe(blobs, { eps: 0.5, moving_average_fraction: 0.9, use_global_stats: true }).module)
      .toMatchObject({ eps: 0.5, momentum: 1 - 0.9, training: false });
    expect(fromCaffe(blobs, { movingAverageFraction: 0.75, useGlobalStats: false } as never).module)
      .toMatchObject({ momentum: 0.25, training: true });
    expect(fromCaffe(blobs, {}).notes).toEqual([]);
    expect(fromCaffe(blobs).notes)
      .toEqual(['nothing says eps and moving_average_fraction: they are the defaults of Caffe, 0.00001 and 0.999']);
  });

  it.each([
    ['two blobs', { BatchNorm: [[1], [1]] }, {}, RangeError, '"BatchNorm" expected 3 blobs, got 2'],
    ['no blobs', {}, {}, TypeError, '"BatchNorm" expected an array of numbers, got undefined'],
    ['a third blob of two', { BatchNorm: [[1], [1], [1, 1]] }, {}, RangeError, '"BatchNorm[2]" expected length 1, got length 2'],
    ['a negative third blob', { BatchNorm: [[1], [1], [-1]] }, {}, RangeError, '"BatchNorm[2]" expected a number from 0'],
    ['a third blob that is not a number', { BatchNorm: [[1], [1], [Number.NaN]] }, {}, RangeError, '"BatchNorm[2]"'],
    ['a negative variance', { BatchNorm: [[1], [-1], [1]] }, {}, RangeError, '"BatchNorm[1]" expected variances of 0 or more'],
    ['three blobs of a Scale layer', { BatchNorm: [[1], [1], [1]], Scale: [[1], [1], [1]] }, {},
      RangeError, '"Scale" expected 1 or 2 blobs, got 3'],
    ['other channels', { BatchNorm: [[1], [1], [1]], Scale: [[1, 2]] }, {},
      RangeError, '"Scale[0]" expected length 1 as "BatchNorm[0]" has, got length 2'],
    ['an unknown layer', { BatchNorm: [[1], [1], [1]], scale: [[1]] }, {}, TypeError, 'got "scale"'],
    ['an unknown word', { BatchNorm: [[1], [1], [1]] }, { momentum: 0.9 }, TypeError, 'got "momentum"'],
    ['text for a blob', { BatchNorm: [['1'], [1], [1]] }, {}, TypeError, '"BatchNorm[0]" expected numbers, got string at index 0'],
    ['a mode that is a number', { BatchNorm: [[1], [1], [1]] }, { use_global_stats: 1 },
      TypeError, '"use_global_stats" expected true or false'],
  ])('are refused: %s', (_, blobs, config, error, message) => {
    expect(() => fromCaffe(blobs as never, config as never)).toThrow(error as typeof TypeError);
    expect(() => fromCaffe(blobs as never, config as never)).toThrow(message);
  });
});

describe('a net', () => {
  const blob = (...data: number[]) => ({ data });
  const statistics = [blob(10, 12), blob(8, 18), blob(2)];
  const conv = { name: 'conv1', type: 'Convolution', bottom: ['data'], top: ['conv1'], blobs: [blob(1)] };
  const bn = {
    name: 'bn1', type: 'BatchNorm', bottom: ['conv1'], top: ['conv1'], blobs: statistics,
    batchNormParam: { eps: 0.5, movingAverageFraction: 0.5 },
  };
  const scale = { name: 'scale1', type: 'Scale', bottom: ['conv1'], top: ['conv1'], blobs: [blob(2, 3), blob(0, 1)] };
  const relu = { name: 'relu1', type: 'ReLU', bottom: ['conv1'], top: ['conv1'] };

  it.each([
    ['a NetParameter', (layer: object[]) => ({ name: 'net', layer })], ['a list of layers', (layer: object[]) => layer as never],
    ['JSON', (layer: object[]) => JSON.parse(JSON.stringify({ layer }))],
  ])('gives every layer with its Scale layer, from %s', (_, net) => {
    const { layers, taken, left, notes } = layersFromCaffe(net([conv, bn, scale, relu]));
    expect(Object.keys(layers)).toEqual(['bn1']);
    expect(layers.bn1).toMatchObject({
      eps: 0.5, momentum: 0.5, weight: Float32Array.of(2, 3), bias: Float32Array.of(0, 1),
      runningMean: Float32Array.of(5, 6), runningVar: Float32Array.of(4, 9),
    });
    expect([taken, left, notes]).toEqual([['bn1', 'scale1'], ['conv1'], []]);
  });

  it('whose layers do not write in place is paired by its connections', () => {
    const other = { ...bn, name: 'bn2', bottom: ['conv2'], top: ['normalised2'] };
    const apart = { ...scale, bottom: ['normalised1'], top: ['scaled1'] };
    const { layers, taken } = layersFromCaffe([{ ...bn, top: ['normalised1'] }, other, apart] as never);
    expect(layers.bn1!.weight).toEqual(Float32Array.of(2, 3));
    expect(layers.bn2!.weight).toBeNull();
    expect(taken).toEqual(['bn1', 'scale1', 'bn2']);
  });

  it('whose Scale layer is not next, or not alone, keeps it apart', () => {
    expect(layersFromCaffe([bn, relu, scale]).layers.bn1!.weight).toBeNull();
    const taker = { name: 'pool', type: 'Pooling', bottom: ['n'], top: ['p'] };
    const { layers, left } = layersFromCaffe([{ ...bn, top: ['n'] }, { ...scale, bottom: ['n'], top: ['s'] }, taker]);
    expect(layers.bn1!.weight).toBeNull();
    expect(left).toEqual(['scale1']);
  });

  it('without connections is paired by its order', () => {
    const alone = ({ bottom: _, top: __, ...layer }: Record<string, unknown>) => layer;
    expect(layersFromCaffe([bn, scale, { ...bn, name: 'bn2' }].map(alone)).layers)
      .toMatchObject({ bn1: { weight: Float32Array.of(2, 3) }, bn2: { weight: null } });
  });

  it('is refused where it has no such layer, and where one does not fit, by its name', () => {
    expect(() => layersFromCaffe([conv, relu])).toThrow('layersFromCaffe() expected layers of type BatchNorm, got "Convolution", "ReLU"');
    expect(() => layersFromCaffe([{ ...bn, blobs: [] }])).toThrow('"bn1": "BatchNorm" expected 3 blobs, got 0');
    expect(() => layersFromCaffe(5 as never)).toThrow('"net" expected an object, got number 5');
  });
});
