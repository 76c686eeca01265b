/** All layers of models of Keras and TensorFlow.js, and what the config of a layer may hold. */
import * as core from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, expect, it } from 'vitest';
import { BatchNorm, fromKeras, layersFromKeras, type TfjsArtifacts } from '../../src/index.js';
import { distance } from '../setup.js';
import { GOLDEN } from '../tolerances.js';
import { halfOf } from './safetensors-file.js';

type Artifacts = Required<Pick<TfjsArtifacts, 'modelTopology' | 'weightSpecs'>> & { weightData: ArrayBuffer };

const WEIGHTS = [[1, 2], [0, 1], [5, 6], [4, 9]];
const [gamma, beta, moving_mean, moving_variance] = WEIGHTS as [number[], number[], number[], number[]];

/** A model with a batch norm of every kind: epsilons of its own, no scale, in a model that is a layer, on axis 1. */
function modelOf(): tf.LayersModel {
  const inner = tf.sequential({ name: 'backbone', layers: [
    tf.layers.conv2d({ name: 'conv', filters: 3, kernelSize: 1, inputShape: [2, 2, 3], useBias: false }),
    tf.layers.batchNormalization({ name: 'stem/bn', epsilon: 1e-2, momentum: 0.9 }),
  ] });
  return tf.sequential({ layers: [
    inner,
    tf.layers.batchNormalization({ name: 'bn1', scale: false }),
    tf.layers.batchNormalization({ name: 'bn2', axis: 1, center: false, epsilon: 0.5 }),
    tf.layers.layerNormalization({ name: 'ln' }),
    tf.layers.flatten(),
    tf.layers.dense({ name: 'head', units: 2 }),
  ] });
}

/** Every batch norm of a model, as tfjs computes it, by name. */
const EXPECTED = {
  'stem/bn': { eps: 1e-2, momentum: 1 - 0.9 }, bn1: { eps: 1e-3, momentum: 1 - 0.99 }, bn2: { eps: 0.5, momentum: 1 - 0.99 },
};

describe('a model of TensorFlow.js', () => {
  let artifacts: Artifacts, model: tf.LayersModel;

  beforeAll(async () => {
    await core.setBackend('cpu');
    await core.ready();
    model = modelOf();
    let seed = 1;
    model.setWeights(model.getWeights().map(({ shape }) => core.randomUniform(shape, 0.5, 2, 'float32', seed++)));
    await model.save({ save: async (saved) => {
      artifacts = saved as Artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    } });
  });

  const layerOf = (name: string) => {
    const find = (layers: readonly { name: string }[]): { name: string } | undefined => {
      for (const layer of layers) {
        const found = layer.name === name ? layer : find((layer as unknown as tf.LayersModel).layers ?? []);
        if (found) return found;
      }
      return undefined;
    };
    return find(model.layers) as unknown as { apply(x: core.Tensor): core.Tensor };
  };

  it('gives every layer by its name, with the config that the file has', () => {
    const { layers, notes, taken, left } = layersFromKeras(artifacts);
    expect(Object.keys(layers)).toEqual(Object.keys(EXPECTED));
    expect(layers).toMatchObject(EXPECTED);
    expect(layers.bn1!.weight).toBeNull();
    expect(layers.bn2).toMatchObject({ bias: null, layout: 'channels-first' });
    expect(notes).toEqual([]);
    expect(taken).toHaveLength(4 + 3 + 3);
    expect([...taken, ...left].sort()).toEqual(artifacts.weightSpecs.map(({ name }) => name).sort());
  });

  it('gives layers that compute what TensorFlow.js computes', () => {
    // Its own kernels are wrong on any axis but the last.
    const layers = Object.entries(layersFromKeras(artifacts).layers).filter(([, bn]) => bn.layout === 'channels-last');
    expect(layers).toHaveLength(2);
    for (const [name, bn] of layers) {
      const shape = [2, 3, 3, bn.channels];
      const x = core.randomNormal(shape, 1, 2, 'float32', 7), y = layerOf(name).apply(x).dataSync();
      expect(distance(bn.eval().forward(Float32Array.from(x.dataSync()), shape), y)).toBeLessThan(GOLDEN.float32.y);
    }
  });

  it.each([
    ['several shards', ({ weightData, ...rest }: Artifacts) => ({
      ...rest, weightData: [weightData.slice(0, 10), new Uint8Array(weightData, 10)],
    })],
    ['a view at an odd place', ({ weightData, ...rest }: Artifacts) => {
      const bytes = new Uint8Array(weightData.byteLength + 3);
      bytes.set(new Uint8Array(weightData), 3);
      return { ...rest, weightData: bytes.subarray(3) };
    }],
    ['a model.json beside its bytes', ({ modelTopology, weightSpecs, weightData }: Artifacts) => ({
      ...JSON.parse(JSON.stringify({ format: 'layers-model', modelTopology, weightsManifest: [
        { paths: ['a.bin'], weights: weightSpecs.slice(0, 3) }, { paths: ['b.bin'], weights: weightSpecs.slice(3) },
      ] })), weightData,
    })],
    ['a topology as Keras writes it', ({ modelTopology, ...rest }: Artifacts) => ({
      ...rest, modelTopology: { keras_version: '2.15.0', backend: 'tensorflow', model_config: modelTopology },
    })],
  ])('is read from %s too', (_, change) => {
    const expected = layersFromKeras(artifacts), { layers, notes } = layersFromKeras(change(artifacts));
    expect(notes).toEqual([]);
    for (const [name, bn] of Object.entries(expected.layers)) expect(layers[name]!.stateDict()).toEqual(bn.stateDict());
  });

  it('is read where weights were stored in 8 or 16 bits, beside integers, truth values and strings', () => {
    const f16 = (values: number[]) => new Uint8Array(Uint16Array.from(values, halfOf).buffer);
    const parts: [object, Uint8Array][] = [
      [{ name: 'words', dtype: 'string', shape: [2] }, Uint8Array.of(3, 0, 0, 0, 97, 98, 99, 0, 0, 0, 0)],
      [{ name: 'flag', dtype: 'bool', shape: [3] }, Uint8Array.of(1, 0, 1)],
      [{ name: 'bn/gamma', dtype: 'float32', shape: [2], quantization: { dtype: 'float16', original_dtype: 'float32' } }, f16([1.5, -2])],
      [{ name: 'step', dtype: 'int32', shape: [] }, new Uint8Array(4)],
      [{ name: 'bn/beta', dtype: 'float32', shape: [2], quantization: { dtype: 'uint8', scale: 0.5, min: -1 } }, Uint8Array.of(0, 4)],
      [{ name: 'bn/moving_mean', dtype: 'float32', shape: [2], quantization: { dtype: 'uint16', scale: 0.25, min: 2 } },
        new Uint8Array(Uint16Array.of(0, 1000).buffer)],
      [{ name: 'bn/moving_variance', dtype: 'float32', shape: [2] }, new Uint8Array(Float32Array.of(3, 4).buffer)],
    ];
    const given = { weightSpecs: parts.map(([spec]) => spec) as never, weightData: parts.map(([, bytes]) => bytes) };
    const { layers, left } = layersFromKeras(given, { epsilon: 1e-3 });
    expect(layers.bn!.stateDict()).toEqual(new BatchNorm(2).loadStateDict({
      weight: [1.5, -2], bias: [-1, 1], running_mean: [2, 252], running_var: [3, 4],
    }).stateDict());
    expect(left).toEqual(['words', 'flag', 'step']);
  });

  it('is refused where bytes are missing, too many, or of an unknown dtype', () => {
    const { weightSpecs, weightData, modelTopology } = artifacts;
    expect(() => layersFromKeras({ modelTopology, weightSpecs })).toThrow('"weightData" expected the bytes of the weights, got undefined');
    expect(() => layersFromKeras({ weightSpecs, weightData: weightData.slice(4) })).toThrow(RangeError);
    expect(() => layersFromKeras({ weightSpecs: weightSpecs.slice(1), weightData }))
      .toThrow(/"weightData" expected \d+ bytes, as the specs say/);
    expect(() => layersFromKeras({ weightSpecs: [{ name: 'a', dtype: 'float8', shape: [1] }], weightData: new ArrayBuffer(1) }))
      .toThrow('"a" expected dtype');
    const strings = { weightSpecs: [{ name: 'a', dtype: 'string', shape: [2] }], weightData: Uint8Array.of(255, 255, 255, 255) };
    expect(() => layersFromKeras(strings)).toThrow(RangeError);
    expect(() => layersFromKeras({ ...strings, weightData: Uint8Array.of(3, 0, 0, 0, 97, 98, 99) }))
      .toThrow(new RangeError('"weightData" expected 11 bytes or more, as "a" ends there, got 7'));
    expect(() => layersFromKeras({ weightSpecs: [{ name: 'a', dtype: 'float32', shape: [-1] }], weightData: new ArrayBuffer(0) }))
      .toThrow('"a": "shape"');
    expect(() => layersFromKeras({ modelTopology: { node: [] }, weightSpecs, weightData }))
      .toThrow('"model" expected the JSON of layers, got a graph model');
  });

  it('converts a layer of its own config, in camelCase, and of its JSON', () => {
    const layer = tf.layers.batchNormalization({ name: 'bn', epsilon: 0.25, inputShape: [2] }), config = layer.getConfig();
    const json = JSON.parse(JSON.stringify(artifacts.modelTopology)) as { config: { layers: { class_name: string; config: object }[] } };
    expect(fromKeras(WEIGHTS, config)).toMatchObject({ notes: [], module: { eps: 0.25 } });
    const bn2 = json.config.layers.find((one) => one.class_name === 'BatchNormalization' && (one.config as { axis?: number }).axis === 1)!;
    expect(fromKeras([gamma, moving_mean, moving_variance], bn2 as never))
      .toMatchObject({ notes: [], module: { eps: 0.5, layout: 'channels-first' } });
  });
});

const layerJson = (name: string, config: object = {}) => ({ class_name: 'BatchNormalization', config: { name, ...config } });

describe('weights by the names of Keras', () => {
  const weights = (start: string, end = '') => Object.fromEntries(
    ['gamma', 'beta', 'moving_mean', 'moving_variance'].map((word, i) => [`${start}/${word}${end}`, WEIGHTS[i]!]),
  );

  it.each([
    ['bn1', 'bn1', ''], ['bn1', 'bn1', ':0'], ['model/bn1', 'model/bn1', ':0'], ['bn1/bn1', 'bn1', ':0'],
    ['model_weights/bn1/bn1', 'bn1', ':0'],
    ['/model_weights/block/bn/block/bn', 'block/bn', ':0'], ['layer_with_weights-1', 'layer_with_weights-1', '/.ATTRIBUTES/VARIABLE_VALUE'],
  ])('%s are those of %s', (start, name, end) => {
    const given = { ...weights(start, end), 'dense/kernel:0': [1] };
    const { layers, taken, left, notes } = layersFromKeras(given);
    expect(Object.keys(layers)).toEqual([name]);
    expect(layers[name]).toMatchObject({ eps: 1e-3, layout: 'channels-last', runningVar: Float32Array.of(4, 9) });
    expect(taken).toEqual(Object.keys(weights(start, end)));
    expect(left).toEqual(['dense/kernel:0']);
    expect(notes).toEqual([`"${name}": nothing says epsilon and momentum: they are the defaults of Keras, 0.001 and 0.99`]);
  });

  it('may be nested, in a Map, or what JSON makes of typed arrays', () => {
    const expected = layersFromKeras(weights('model/bn1', ':0')).layers['model/bn1']!.stateDict();
    const bn1 = { 'gamma:0': gamma, 'beta:0': beta, 'moving_mean:0': moving_mean, 'moving_variance:0': moving_variance };
    const nested = { model: { bn1 } };
    const typed = Object.fromEntries(Object.entries(weights('model/bn1')).map(([name, values]) => [name, Float32Array.from(values)]));
    for (const given of [nested, new Map(Object.entries(weights('model/bn1'))), typed, JSON.parse(JSON.stringify(typed))]) {
      expect(layersFromKeras(given).layers['model/bn1']!.stateDict()).toEqual(expected);
    }
  });

  it.each([
    ['a Functional model', (layers: object[]) => ({ class_name: 'Functional', config: { name: 'model', layers } })],
    ['a Sequential of Keras 1', (layers: object[]) => ({ class_name: 'Sequential', config: layers })],
    ['a modelTopology', (layers: object[]) => ({ modelTopology: { model_config: { class_name: 'Model', config: { layers } } } })],
  ])('take the configs of their layers from %s', (_, model) => {
    const layers = [
      { class_name: 'InputLayer', config: { name: 'input' } }, layerJson('bn1', { epsilon: 0.25, momentum: 0.5 }),
      layerJson('bn10', { epsilon: 0.5, axis: [1] }),
    ];
    const result = layersFromKeras({ ...weights('bn1/bn1', ':0'), ...weights('bn10/bn10', ':0') }, { model: model(layers) });
    expect(result.layers)
      .toMatchObject({ bn1: { eps: 0.25, momentum: 0.5, layout: 'channels-last' }, bn10: { eps: 0.5, layout: 'channels-first' } });
    expect(result.notes).toEqual([]);
    const said = layersFromKeras(weights('bn1/bn1', ':0'), { model: model(layers), epsilon: 0.125 }).layers.bn1;
    expect(said).toMatchObject({ eps: 0.125, momentum: 0.5 });
  });

  it('of two models with a layer of one name go by their paths', () => {
    const part = (name: string, epsilon: number) =>
      ({ class_name: 'Functional', config: { name, layers: [layerJson('bn', { epsilon, momentum: 0.9 })] } });
    const model = { class_name: 'Functional', config: { layers: [part('a', 0.25), part('b', 0.5)] } };
    const { layers, notes } = layersFromKeras({ ...weights('a/bn'), ...weights('b/bn') }, { model });
    expect(layers).toMatchObject({ 'a/bn': { eps: 0.25 }, 'b/bn': { eps: 0.5 } });
    expect(notes).toEqual([]);
    expect(layersFromKeras(weights('bn'), { model }).notes).toEqual([expect.stringMatching(/nothing says epsilon/)]);
  });

  it('go to layers that a wrapper holds', () => {
    const each = { class_name: 'TimeDistributed', config: { name: 'each', layer: layerJson('bn', { epsilon: 0.25 }) } };
    const model = { class_name: 'Sequential', config: { layers: [each] } };
    expect(layersFromKeras(weights('each/bn'), { model }).layers).toMatchObject({ bn: { eps: 0.25 } });
  });

  it('are counted in Keras 3, in the order of the model', () => {
    const of = (path: string, values: number[][]) => Object.fromEntries(values.map((array, i) => [`${path}/vars/${i}`, array]));
    const model = { class_name: 'Functional', config: { layers: [
      { class_name: 'Conv2D', config: { name: 'conv2d_7' } }, layerJson('batch_normalization_1', { epsilon: 0.25 }),
      layerJson('other', { epsilon: 0.5, scale: false }),
      { class_name: 'Functional', config: { name: 'inner', layers: [layerJson('deep', { epsilon: 0.75 })] } },
    ] } };
    const file = {
      ...of('layers/conv2d', [[1], [2]]), ...of('layers/batch_normalization', WEIGHTS),
      ...of('layers/batch_normalization_1', WEIGHTS.slice(1)),
      ...of('layers/functional/layers/batch_normalization', WEIGHTS),
    };
    const { layers, left } = layersFromKeras(file, { model });
    expect(layers).toMatchObject({ batch_normalization_1: { eps: 0.25 }, other: { eps: 0.5, weight: null }, deep: { eps: 0.75 } });
    expect(layers.other!.runningMean).toEqual(Float32Array.of(5, 6));
    expect(left).toEqual(['layers/conv2d/vars/0', 'layers/conv2d/vars/1']);
    const alone = layersFromKeras(file);
    expect(Object.keys(alone.layers)).toEqual(['layers/batch_normalization', 'layers/functional/layers/batch_normalization']);
    expect(alone.left).toContain('layers/batch_normalization_1/vars/0');
  });

  it('get epsilon, momentum and axis as values or by name', () => {
    const given = { ...weights('a'), ...weights('b') };
    const { layers, notes } = layersFromKeras(given, { epsilon: (name) => (name === 'a' ? 0.25 : 0.5), momentum: 0.9, axis: 1 });
    expect(layers).toMatchObject({ a: { eps: 0.25, momentum: 1 - 0.9, layout: 'channels-first' }, b: { eps: 0.5 } });
    expect(notes).toEqual([]);
  });

  it('are refused where the model says that there are others, where there are none, and for words that are not theirs', () => {
    const model = { class_name: 'Functional', config: { layers: [layerJson('bn', { scale: false })] } };
    expect(() => layersFromKeras(weights('bn'), { model })).toThrow(
      '"bn": The weights expected beta, moving_mean, moving_variance, as the layer\'s config says, got gamma, beta, moving_mean,',
    );
    expect(() => layersFromKeras({ 'dense/kernel:0': [1] }))
      .toThrow('expected moving_mean and moving_variance of a layer, got "dense/kernel:0"');
    expect(() => layersFromKeras(weights('bn'), { eps: 1 } as never)).toThrow('"config" expected "epsilon", got "eps"');
    expect(() => layersFromKeras(weights('bn'), { scale: false } as never)).toThrow('got "scale"');
  });
});

describe('the config of a Keras layer', () => {
  const KERAS_2 = {
    name: 'bn', trainable: true, dtype: 'float32', batch_input_shape: [null, 4, 4, 2], axis: [3], momentum: 0.5, epsilon: 0.25,
    center: true, scale: true,
    beta_initializer: { class_name: 'Zeros', config: {} }, gamma_initializer: { class_name: 'Ones', config: {} },
    moving_mean_initializer: { class_name: 'Zeros', config: {} }, moving_variance_initializer: { class_name: 'Ones', config: {} },
    beta_regularizer: null, gamma_regularizer: null, beta_constraint: null, gamma_constraint: null,
  };
  const KERAS_3 = {
    module: 'keras.layers', class_name: 'BatchNormalization', registered_name: null, name: 'bn', inbound_nodes: [],
    build_config: { input_shape: [null, 4, 4, 2] },
    config: {
      ...KERAS_2, axis: 3, synchronized: false,
      dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null },
    },
  };

  it.each([
    ['of Keras 2', KERAS_2], ['of Keras 3', KERAS_3], ['of tf.keras, with keys of its own', {
      ...KERAS_2, fused: null, renorm: false, virtual_batch_size: null, adjustment: null,
    }],
    ['of Keras 1', { ...KERAS_2, mode: 0, beta_init: 'zero', gamma_init: 'one', input_dtype: 'float32' }],
    ['in the JSON of a layer', { class_name: 'BatchNormalization', config: KERAS_2 }],
    ['in the JSON of a layer of TensorFlow 1', { class_name: 'BatchNormalizationV1', config: KERAS_2 }],
    ['in the JSON of a synchronized layer', { class_name: 'SyncBatchNormalization', config: KERAS_2 }],
  ])('%s is read whole', (_, config) => {
    expect(fromKeras(WEIGHTS, config as never)).toMatchObject({ notes: [], module: { eps: 0.25, momentum: 0.5, layout: 'channels-last' } });
  });

  it('of another layer, or of no layer, is refused', () => {
    expect(() => fromKeras(WEIGHTS, { class_name: 'LayerNormalization', config: KERAS_2 }))
      .toThrow(new RangeError('"config" expected that of a BatchNormalization layer, got that of LayerNormalization'));
    expect(() => fromKeras(WEIGHTS, { class_name: 'BatchNormalization' }))
      .toThrow(new TypeError('"config" expected an object, got undefined'));
    expect(() => fromKeras(WEIGHTS, { class_name: 5 })).toThrow(RangeError);
    expect(() => fromKeras(WEIGHTS, JSON.stringify(KERAS_2) as never)).toThrow(new TypeError('"config" expected an object, got string'));
  });

  it.each(['espilon', 'Epsilon', 'weights', 'eps', 'layers'])('with the unknown key "%s" is refused', (key) => {
    expect(() => fromKeras(WEIGHTS, { epsilon: 1e-3, [key]: 1 })).toThrow(TypeError);
    expect(() => fromKeras(WEIGHTS, { class_name: 'BatchNormalization', config: { epsilon: 1e-3, [key]: 1 } })).toThrow(TypeError);
  });

  it.each([
    [{ renorm: true, renorm_clipping: { rmax: 3 }, renorm_momentum: 0.9 }, 'renorm is true'],
    [{ virtual_batch_size: 32 }, 'virtual_batch_size is 32'],
  ])('that trains otherwise is noted: %j', (change, note) => {
    const weights = 'renorm' in change ? [...WEIGHTS, [1, 1], [1, 1], [1, 1]] : WEIGHTS;
    const { module, notes } = fromKeras(weights, { ...KERAS_2, ...change });
    expect(notes).toEqual([`${note} and is not converted: it changes training, not inference`]);
    expect(module.runningVar).toEqual(Float32Array.of(4, 9));
  });

  it('that is not trainable freezes the module, and says so', () => {
    const { module, notes } = fromKeras(WEIGHTS, { ...KERAS_2, trainable: false });
    expect(module.frozen).toBe(true);
    expect(notes).toEqual(['trainable is false: the module is frozen, as Keras would have it, until unfreeze()']);
  });

  it('that says fused holds the unbiased variance', () => {
    expect(fromKeras(WEIGHTS, { ...KERAS_2, fused: true }, { runningVariance: 'unbiased' }).notes).toEqual([]);
    expect(fromKeras(WEIGHTS, KERAS_2, { runningVariance: 'unbiased' }).notes).toHaveLength(1);
  });

  it('that tells the rank of the input decides whether an axis is the last', () => {
    const of = (axis: number, rank: number) => fromKeras(WEIGHTS, { epsilon: 0, axis, batch_input_shape: new Array(rank).fill(null) });
    expect(of(3, 4)).toMatchObject({ notes: [], module: { layout: 'channels-last' } });
    expect(of(1, 2)).toMatchObject({ notes: [], module: { layout: 'channels-last' } });
    expect(of(1, 4)).toMatchObject({ notes: [], module: { layout: 'channels-first' } });
    expect(() => of(2, 4)).toThrow('"axis" expected 1, -1 or the last axis, got 2');
  });

  it('without an epsilon is noted, and so is none', () => {
    for (const config of [undefined, {}, { name: 'bn' }, layerJson('bn')]) {
      expect(fromKeras(WEIGHTS, config).notes)
        .toEqual(['nothing says epsilon and momentum: they are the defaults of Keras, 0.001 and 0.99']);
    }
    expect(fromKeras(WEIGHTS, { epsilon: 1e-3 }).notes).toEqual([]);
    expect(fromKeras(WEIGHTS, { momentum: 0.9 }).notes).toEqual(['nothing says epsilon: it is the default of Keras, 0.001']);
  });

  it('names the moving variance in Keras\' word where one is negative', () => {
    expect(() => fromKeras([gamma, beta, moving_mean, [4, -9]], { epsilon: 1e-3 }))
      .toThrow('"moving_variance" expected variances of 0 or more, got -9 at index 1');
  });
});
