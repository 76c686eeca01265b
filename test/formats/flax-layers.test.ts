/** All BatchNorm layers of the variables of a Flax net, and the fields of one. */
import { describe, expect, it } from 'vitest';
import { fromFlax, layersFromFlax } from '../../src/index.js';

const mean = [5, 6], variance = [4, 9], scale = [1, 2], bias = [0, 1];

const VARIABLES = {
  params: {
    Conv_0: { kernel: [[1], [2]] }, BatchNorm_0: { scale, bias },
    ResNetBlock_0: { Conv_0: { kernel: [1] }, BatchNorm_0: { bias }, LayerNorm_0: { scale, bias } }, Dense_0: { kernel: [1], bias: [2] },
  },
  batch_stats: {
    BatchNorm_0: { mean, var: variance },
    ResNetBlock_0: { BatchNorm_0: { mean, var: variance }, BatchNorm_1: { mean, var: variance } },
  },
};
const NAMES = ['BatchNorm_0', 'ResNetBlock_0/BatchNorm_0', 'ResNetBlock_0/BatchNorm_1'];

/** A tree as a flat object. */
function flat(tree: object, separator: string, path: readonly string[] = []): Record<string, unknown> {
  return Object.fromEntries(Object.entries(tree).flatMap(([key, value]) =>
    (Array.isArray(value) ? [[[...path, key].join(separator), value]] : Object.entries(flat(value, separator, [...path, key])))));
}

describe('the variables of a net', () => {
  it('give every layer by its path', () => {
    const { layers, taken, left, notes } = layersFromFlax(VARIABLES, { epsilon: 1e-5 });
    expect(Object.keys(layers).sort()).toEqual(NAMES);
    expect(layers.BatchNorm_0).toMatchObject({
      weight: Float32Array.of(1, 2), runningVar: Float32Array.of(4, 9), eps: 1e-5, momentum: 0.01, layout: 'channels-last',
    });
    expect(layers['ResNetBlock_0/BatchNorm_0']).toMatchObject({ weight: null, bias: Float32Array.of(0, 1) });
    expect(layers['ResNetBlock_0/BatchNorm_1']).toMatchObject({ weight: null, bias: null });
    expect(taken).toHaveLength(4 + 3 + 2);
    expect([...left].sort()).toEqual([
      'Conv_0/kernel', 'Dense_0/bias', 'Dense_0/kernel', 'ResNetBlock_0/Conv_0/kernel', 'ResNetBlock_0/LayerNorm_0/bias',
      'ResNetBlock_0/LayerNorm_0/scale',
    ].map((name) => `params/${name}`));
    expect(notes).toEqual([]);
  });

  it.each(['/', '.'])('may be flat, with names of %s', (separator) => {
    const { layers } = layersFromFlax(flat(VARIABLES, separator), { epsilon: 1e-5 });
    expect(Object.keys(layers).sort()).toEqual(NAMES);
  });

  it('may be those of nnx, where a layer has its statistics beside its parameters', () => {
    const norm = { scale: { value: scale }, bias: { value: bias }, mean: { value: mean }, var: { value: variance } };
    const { layers } = layersFromFlax({ blocks: { 0: { norm }, 1: { norm } }, head: { kernel: { value: [1] } } }, { epsilon: 1e-5 });
    expect(Object.keys(layers)).toEqual(['blocks/0/norm', 'blocks/1/norm']);
    expect(layers['blocks/1/norm']!.weight).toEqual(Float32Array.of(1, 2));
  });

  it('may be what JSON makes of typed arrays', () => {
    const typed = JSON.parse(JSON.stringify({ batch_stats: { bn: { mean: Float32Array.from(mean), var: Float32Array.from(variance) } } }));
    expect(layersFromFlax(typed, { epsilon: 1e-5 }).layers.bn!.runningMean).toEqual(Float32Array.from(mean));
  });

  it('get epsilon and momentum as values or by name, and say that nothing said them', () => {
    const { layers, notes } = layersFromFlax(VARIABLES, {
      epsilon: (name) => (name.startsWith('ResNet') ? 1e-3 : undefined), momentum: 0.9, axis: 1, dtype: 'bfloat16',
      use_running_average: true,
    });
    expect(layers['ResNetBlock_0/BatchNorm_1']).toMatchObject({ eps: 1e-3, momentum: 1 - 0.9, layout: 'channels-first', training: false });
    expect(notes).toEqual(['"BatchNorm_0": nothing says epsilon: it is the default of Flax, 0.00001']);
    expect(layersFromFlax(VARIABLES).notes).toHaveLength(1);
  });

  it('are refused where there are none, and where one does not fit, by its name', () => {
    expect(() => layersFromFlax({ params: { Dense_0: { kernel: [1] } } }))
      .toThrow('expected mean and var of a BatchNorm, got "params/Dense_0/kernel"');
    expect(() => layersFromFlax({ batch_stats: { bn: { mean, var: [1] } } })).toThrow('"bn": "var" expected length 2');
    expect(() => layersFromFlax(VARIABLES, { eps: 1 } as never)).toThrow('"config" expected "epsilon", got "eps"');
    expect(() => layersFromFlax(VARIABLES, null as never)).toThrow('"config" expected an object, got null');
  });
});

describe('the fields of a BatchNorm', () => {
  const variables = { params: { scale, bias }, batch_stats: { mean, var: variance } };

  it('without a meaning for a trained layer may be given', () => {
    const { module, notes } = fromFlax(variables, {
      use_running_average: null, axis: -1, momentum: 0.9, epsilon: 1e-3, dtype: 'float16', param_dtype: 'float32',
      use_bias: true, use_scale: true, bias_init: 'zeros', scale_init: 'ones', axis_name: null, axis_index_groups: null,
      use_fast_variance: true, force_float32_reductions: true, name: 'bn',
    });
    expect(module).toMatchObject({ eps: 1e-3, momentum: 1 - 0.9, training: true });
    expect(notes).toEqual([]);
  });

  it('set the mode by use_running_average', () => {
    expect(fromFlax(variables, { use_running_average: true }).module.training).toBe(false);
    expect(fromFlax(variables, { use_running_average: false }).module.training).toBe(true);
    expect(() => fromFlax(variables, { use_running_average: 1 as never }))
      .toThrow('"use_running_average" expected true or false, got number 1');
  });

  it('agree with the parameters, and are known', () => {
    expect(() => fromFlax(variables, { use_scale: false }))
      .toThrow(new TypeError('"params" expected no scale as use_scale is false, got one'));
    expect(() => fromFlax({ ...variables, params: { scale } }, { use_bias: true }))
      .toThrow(new TypeError('"params" expected bias as use_bias is true, got none'));
    expect(() => fromFlax(variables, { use_runing_average: true })).toThrow('got "use_runing_average"');
    expect(() => fromFlax(variables, { eps: 1 })).toThrow('"config" expected "epsilon", got "eps"');
    expect(() => fromFlax({ ...variables, params: { scale, bias, gamma: scale } as never })).toThrow('got "gamma"');
  });

  it('are missed where they do not say epsilon', () => {
    expect(fromFlax(variables).notes).toEqual(['nothing says epsilon and momentum: they are the defaults of Flax, 0.00001 and 0.99']);
    expect(fromFlax(variables, { epsilon: 1e-5 }).notes).toEqual([]);
  });
});
