import { beforeAll, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { BACKENDS, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;

const stock = tf.layers.batchNormalization, names = [tf.layers.batchNormalization().name, tf.layers.add().name];
/** Vite makes the namespace of tfjs' layers one that cannot be written, like that of an ES module. */
const writable = Object.getOwnPropertyDescriptor(tf.layers, 'batchNormalization')!.writable === true;
const kept = registerBatchNorm(tf, { replace: false });
const afterKeeping = tf.layers.batchNormalization;
const { batchNormalization } = registerBatchNorm(tf);
const classOf = (layer: object) => layer.constructor;

describe('registerBatchNorm', () => {
  it('makes tf.layers.batchNormalization its own where that can be written, unless told not to', () => {
    expect(afterKeeping).toBe(stock);
    expect(classOf(kept.batchNormalization())).toBe(classOf(batchNormalization()));
    const own = writable ? batchNormalization : stock;
    expect(classOf(tf.layers.batchNormalization({ axis: 1 }))).toBe(classOf(own()));
    expect(classOf(stock())).not.toBe(classOf(batchNormalization()));
    registerBatchNorm(tf, { replace: false });
    expect(classOf(tf.layers.batchNormalization())).toBe(classOf(own()));
  });

  it('does so in a copy of a namespace, and leaves one that is frozen alone', () => {
    const copy = { ...tf, layers: { ...tf.layers, batchNormalization: stock } };
    const { batchNormalization: again } = registerBatchNorm(copy, { replace: true });
    expect(classOf(copy.layers.batchNormalization())).toBe(classOf(batchNormalization()));
    expect(classOf(again())).toBe(classOf(batchNormalization()));
    const frozen = { ...tf, layers: Object.freeze({ ...tf.layers, batchNormalization: stock }) };
    for (const options of [{}, { replace: true }]) {
      expect(classOf(registerBatchNorm(frozen, options).batchNormalization())).toBe(classOf(batchNormalization()));
      expect(frozen.layers.batchNormalization).toBe(stock);
    }
  });

  it('makes one class of layer, however often it is called, and takes none of the names that tfjs counts', () => {
    expect(classOf(registerBatchNorm(tf).batchNormalization())).toBe(classOf(batchNormalization()));
    const number = (name: string) => Number(name.match(/\d+$/)![0]);
    expect(number(tf.layers.add().name)).toBe(number(names[1]!) + 1);
  });

  it.each([
    ['no tfjs', () => registerBatchNorm(undefined),
      /expected tf: the namespace of @tensorflow\/tfjs, or \{ \.\.\.core, \.\.\.layers \}.*got undefined$/],
    ['null', () => registerBatchNorm(null), /expected tf.*got null$/],
    ['another object', () => registerBatchNorm({ layers: {} }), /expected tf.*got Object without "engine"$/],
    ['a misspelt option', () => registerBatchNorm(tf, { replaces: true } as never),
      /registerBatchNorm\(\) expected options replace, got "replaces"/],
    ['an option of another kind', () => registerBatchNorm(tf, { replace: 1 } as never), /"replace" expected true or false, got number 1/],
    ['options that are none', () => registerBatchNorm(tf, true as never), /expected an object of options, got true/],
  ])('throws a TypeError for %s, saying what it expects', (_, action, message) => {
    expect(action).toThrow(TypeError);
    expect(action).toThrow(message);
  });
});

describe.each(BACKENDS)('a model of another writer on %s', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });

  it.each([
    'BatchNormalization', 'BatchNormalizationV1', 'BatchNormalizationV2', 'SyncBatchNormalization',
  ])('is loaded with the layer for %s', async (class_name) => {
    const config = {
      name: 'bn', trainable: true, batch_input_shape: [null, 2, 3], dtype: 'float32',
      axis: [2], momentum: 0.9, epsilon: 0.002, center: true, scale: false,
      beta_initializer: { class_name: 'Zeros', config: {} }, moving_mean_initializer: { class_name: 'Zeros', config: {} },
      moving_variance_initializer: { class_name: 'Ones', config: {} }, beta_regularizer: null, gamma_regularizer: null,
    };
    const modelTopology = {
      keras_version: '2.2.4-tf', backend: 'tensorflow',
      model_config: { class_name: 'Sequential', config: { name: 'outer', layers: [{ class_name, config }] } },
    };
    const names = ['beta', 'moving_mean', 'moving_variance'];
    const weightSpecs = names.map((name) => ({ name: `bn/${name}`, shape: [3], dtype: 'float32' as const }));
    const weightData = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9).buffer;
    const model = await tf.loadLayersModel({ load: async () => ({ modelTopology, weightSpecs, weightData }) });
    const [layer] = model.layers;
    expect(classOf(layer!)).toBe(classOf(batchNormalization()));
    expect(layer!.getConfig()).toMatchObject({ axis: 2, momentum: 0.9, epsilon: 0.002, scale: false });
    expect(Array.from((model.predict(tf.tensor([4, 5, 6, 4, 5, 6], [1, 2, 3])) as Tensor).dataSync())).toEqual([1, 2, 3, 1, 2, 3]);
    // What it saves has the name that tfjs knows, and is loaded again.
    const saved = model.toJSON(null, false) as unknown as { config: { layers: { class_name: string }[] } };
    expect(saved.config.layers.map((layer) => layer.class_name)).toEqual(['BatchNormalization']);
    const again = await tf.models.modelFromJSON(JSON.parse(JSON.stringify(saved)));
    expect(classOf(again.layers[0]!)).toBe(classOf(layer!));
  });
});
