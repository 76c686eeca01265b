/** All layers of a state dictionary of PyTorch, or of a safetensors file. */
import { describe, expect, it } from 'vitest';
import { BatchNorm, fromTorch, layersFromSafetensors, layersFromTorch, loadSafetensors, writeSafetensors } from '../../src/index.js';
import { bytesOf } from '../host.js';
import { type Entry, safetensorsOf } from './safetensors-file.js';

const norm = (name: string, channels: number, first = 1): Record<string, number[]> => {
  const of = (value: number) => Array.from({ length: channels }, (_, c) => value + c);
  return {
    [`${name}weight`]: of(first), [`${name}bias`]: of(0), [`${name}running_mean`]: of(-2), [`${name}running_var`]: of(3),
    [`${name}num_batches_tracked`]: [9],
  };
};

/** A part of a residual net: convolutions, batch norms, one of them without parameters, a classifier, and layer norm beside them. */
const NET: Record<string, number[]> = {
  'conv1.weight': [1, 2, 3, 4], ...norm('bn1.', 2), 'layer1.0.conv1.weight': [1], ...norm('layer1.0.bn1.', 3),
  'layer1.0.downsample.1.running_mean': [1], 'layer1.0.downsample.1.running_var': [1], 'layer1.0.downsample.1.num_batches_tracked': [9],
  'norm.weight': [1, 2], 'norm.bias': [1, 2], 'pool.running_mean': [1], 'fc.weight': [1, 2], 'fc.bias': [1],
};
const NAMES = ['bn1', 'layer1.0.bn1', 'layer1.0.downsample.1'];
const LEFT = ['conv1.weight', 'layer1.0.conv1.weight', 'norm.weight', 'norm.bias', 'pool.running_mean', 'fc.weight', 'fc.bias'];

const renamed = (rename: (name: string) => string) =>
  Object.fromEntries(Object.entries(NET).map(([name, values]) => [rename(name), values]));

/** The same net as a file. */
const fileOf = (state: Record<string, number[]>, dtype = 'F32') => safetensorsOf(
  Object.fromEntries(Object.entries(state).map(([name, values]): [string, Entry] => [name, [dtype, values]])),
);

type From = (state: Record<string, number[]>, config?: object, options?: object) => ReturnType<typeof layersFromTorch>;

const WAYS: [string, From][] = [
  ['a state dictionary', layersFromTorch],
  ['a Map', (state, ...rest) => layersFromTorch(new Map(Object.entries(state)), ...rest)],
  ['a safetensors file', (state, ...rest) => layersFromSafetensors(fileOf(state), ...rest)],
  ['a safetensors file in half precision', (state, ...rest) => layersFromSafetensors(fileOf(state, 'F16'), ...rest)],
];

describe.each(WAYS)('from %s', (_, from) => {
  it('come all layers by name, with what was taken and what was left', () => {
    const { layers, taken, left, notes } = from(NET, { eps: 1e-5, momentum: 0.1 });
    expect(Object.keys(layers)).toEqual(NAMES);
    expect(left).toEqual(LEFT);
    expect([...taken, ...left].sort()).toEqual(Object.keys(NET).sort());
    expect(taken.every((name) => NAMES.some((layer) => name.startsWith(`${layer}.`)))).toBe(true);
    expect(notes).toEqual([]);
    expect(layers['layer1.0.bn1']!.stateDict()).toEqual(new BatchNorm(3).loadStateDict({
      weight: [1, 2, 3], bias: [0, 1, 2], running_mean: [-2, -1, 0], running_var: [3, 4, 5], num_batches_tracked: 9,
    }).stateDict());
    expect(layers['layer1.0.downsample.1']).toMatchObject({ weight: null, bias: null, training: true, layout: 'channels-first' });
  });

  it('say once that nothing said eps', () => {
    expect(from(NET).notes).toEqual([
      '"bn1", "layer1.0.bn1", "layer1.0.downsample.1": nothing says eps and momentum: they are the defaults of PyTorch, 0.00001 and 0.1',
    ]);
    expect(from(NET, { eps: (name: string) => (name === 'bn1' ? 1e-3 : undefined) }).notes).toEqual([
      '"layer1.0.bn1", "layer1.0.downsample.1": nothing says eps and momentum: they are the defaults of PyTorch, 0.00001 and 0.1',
    ]);
    const many = Object.assign({}, ...Array.from({ length: 50 }, (__, i) => norm(`features.${i}.`, 1)));
    expect(from(many).notes).toEqual(['all 50 layers: nothing says eps and momentum: they are the defaults of PyTorch, 0.00001 and 0.1']);
    expect(from(many, { momentum: 0.01, eps: (name: string) => (name === 'features.7' ? 1 : undefined) }).notes)
      .toEqual(['"features.0", "features.1", "features.2" and 46 more: nothing says eps: it is the default of PyTorch, 0.00001']);
  });

  it('get eps and momentum as values or by their names', () => {
    const { layers } = from(NET, { eps: (name: string) => (name.startsWith('layer1') ? 1e-3 : 1e-5), momentum: 0.01 });
    expect(NAMES.map((name) => layers[name]!.eps)).toEqual([1e-5, 1e-3, 1e-3]);
    expect(layers.bn1!.momentum).toBe(0.01);
    const cumulative = from(NET, { eps: 0, momentum: (name: string) => (name === 'bn1' ? null : 0.5) }).layers;
    expect(NAMES.map((name) => cumulative[name]!.momentum)).toEqual([null, 0.5, 0.5]);
  });

  it.each([
    ['DataParallel', (name: string) => `module.${name}`],
    ['DataParallel twice', (name: string) => `module.module.${name}`],
    ['torch.compile', (name: string) => `_orig_mod.${name}`],
    ['torch.compile of DataParallel', (name: string) => `_orig_mod.module.${name}`],
    ['DataParallel of torch.compile', (name: string) => `module._orig_mod.${name}`],
    ['torch.compile of a part', (name: string) => name.replace('layer1.0.', 'layer1._orig_mod.0.')],
    ['FSDP', (name: string) => `_fsdp_wrapped_module.${name.replace('layer1.', 'layer1._fsdp_wrapped_module.')}`],
    ['activation checkpointing', (name: string) => name.replace('layer1.0.', 'layer1.0._checkpoint_wrapped_module.')],
  ])('come by the same names out of what %s wraps', (__, rename) => {
    const asked: string[] = [];
    const { layers, taken, left } = from(renamed(rename), { eps: (name: string) => { asked.push(name); return 1e-5; } });
    expect(Object.keys(layers)).toEqual(NAMES);
    expect(asked).toEqual(NAMES);
    expect(left).toEqual(LEFT.map(rename));
    expect(taken).toContain(rename('bn1.weight'));
  });

  it('come without module. of an average of models, which counts beside them', () => {
    expect(Object.keys(from({ n_averaged: [3], ...renamed((name) => `module.${name}`) }, { eps: 0 }).layers)).toEqual(NAMES);
  });

  it('keep what only looks like a wrapper', () => {
    expect(Object.keys(from({ ...norm('module.bn.', 1), 'fc.weight': [1] }, { eps: 0 }).layers)).toEqual(['module.bn']);
    expect(Object.keys(from({ ...norm('bn.', 1), ...norm('_orig_mod.bn.', 1) }, { eps: 0 }).layers)).toEqual(['bn', '_orig_mod.bn']);
    expect(Object.keys(from(norm('net.module.bn.', 1), { eps: 0 }).layers)).toEqual(['net.module.bn']);
  });

  it.each([
    ['backbone.', 'backbone.'], ['backbone.', 'module.backbone.'], ['module.backbone.', 'module.backbone.'],
  ])('come from below the prefix %s of names that begin with %s', (prefix, start) => {
    const state = renamed((name) => start + name), other = norm(start.replace('backbone', 'head'), 2);
    const { layers, left } = from({ ...state, ...other }, { prefix, eps: 0 });
    expect(Object.keys(layers)).toEqual(NAMES);
    expect(left).toEqual(expect.arrayContaining(Object.keys(other)));
  });

  it('are one where the net is one layer', () => {
    expect(Object.keys(from(norm('', 2), { eps: 0 }).layers)).toEqual(['']);
    expect(from(norm('', 2)).notes[0]).toContain('nothing says eps');
  });

  it('take options, count by name among them', () => {
    const { layers, notes } = from(NET, { eps: 0 }, {
      dtype: 'float64', layout: 'channels-last', runningVariance: 'biased', count: (name: string) => (name === 'bn1' ? 4 : undefined),
    });
    expect(layers.bn1).toMatchObject({ dtype: 'float64', layout: 'channels-last' });
    expect(layers.bn1!.runningVar).toEqual(Float64Array.of(3 * 0.75, 4 * 0.75));
    expect(layers['layer1.0.bn1']!.runningVar).toEqual(Float64Array.of(3, 4, 5));
    expect(notes).toEqual([expect.stringMatching(/^"layer1.0.bn1", "layer1.0.downsample.1": the running variance is unbiased/)]);
  });

  it('are refused where one does not fit, by its name', () => {
    expect(() => from({ ...NET, 'layer1.0.bn1.running_var': [1, 2, -1] }, { eps: 0 }))
      .toThrow('"layer1.0.bn1": "running_var" expected variances of 0 or more, got -1 at index 2');
    expect(() => from({ ...NET, 'bn1.bias': [1] }, { eps: 0 })).toThrow('"bn1": "bias" expected length 2 as "weight" has, got length 1');
    expect(() => from(NET, { eps: () => -1 })).toThrow('"bn1": "eps" expected a number from 0');
    const broken = () => { throw new Error('of its own'); }, other = () => { throw 'text'; };
    expect(() => from(NET, { eps: broken })).toThrow(new Error('"bn1": of its own'));
    expect(() => from(NET, { eps: other })).toThrow('text');
    expect(() => from(NET, { eps: '1e-3' })).toThrow('"bn1": "eps" expected a number, got string');
  });

  it('are refused where there are none, and where a word is misspelt', () => {
    expect(() => from({ 'fc.weight': [1] })).toThrow(/expected running_mean and running_var of a batch norm, got "fc.weight"/);
    expect(() => from(NET, { prefix: 'head.' })).toThrow(/of a batch norm after "head\.", got "conv1.weight", "bn1.weight"/);
    expect(() => from(NET, { epsilon: 1e-3 })).toThrow('got "epsilon"');
    expect(() => from(NET, { prefix: 1 })).toThrow(TypeError);
    expect(() => from(NET, {}, { eps: 1e-3 })).toThrow('got "eps"');
  });
});

it('one layer is found by its prefix behind what wraps the net, or as it stands', () => {
  for (const wrap of ['', 'module.', '_orig_mod.', 'module._orig_mod.']) {
    const state = renamed((name) => wrap + name);
    for (const prefix of new Set(['bn1.', `${wrap}bn1.`])) {
      expect(fromTorch(state, { prefix, eps: 0 })).toMatchObject({ notes: [], module: { channels: 2, numBatchesTracked: 9 } });
    }
    expect(() => fromTorch(state, { prefix: 'bn.' })).toThrow('"state" expected names that start with "bn.", got none');
  }
  expect(fromTorch(norm('module.', 2), { eps: 0 }).module.weight).toEqual(Float32Array.of(1, 2));
});

it('one layer is found by its prefix where something wraps a part of it', () => {
  const inPart = (name: string) => (name.includes('running') ? name.replace('bn1.', 'bn1._fsdp_wrapped_module.') : name);
  const stateOf = (state: typeof NET) => fromTorch(state, { prefix: 'bn1.', eps: 0 }).module.stateDict();
  expect(stateOf(renamed(inPart))).toEqual(stateOf(NET));
});

it('a checkpoint that holds the state dictionary says what it holds', () => {
  expect(() => layersFromTorch({ epoch: 3, state_dict: NET } as never)).toThrow(/got "epoch", "state_dict"/);
  expect(() => layersFromTorch(null as never)).toThrow('"state" expected an object, got null');
});

describe('files of layers', () => {
  it('are written with the names under which they came, and loaded by them with or without a dot', async () => {
    const bytes = await bytesOf('fixtures/layers.safetensors');
    const { layers, left } = layersFromSafetensors(bytes, { eps: 1e-5 });
    expect(Object.keys(layers).sort()).toEqual(['layer1.0.bn1', 'layer1.0.bn2', 'tête.bn']);
    expect(left).toEqual([]);
    expect(layersFromSafetensors(writeSafetensors(layers), { eps: 1e-5 }).layers['tête.bn']!.stateDict())
      .toEqual(layers['tête.bn']!.stateDict());
    const bn = new BatchNorm(3);
    for (const name of ['layer1.0.bn1', 'layer1.0.bn1.']) {
      bn.resetRunningStats();
      loadSafetensors({ [name]: bn }, bytes);
      expect(bn.stateDict()).toEqual(layers['layer1.0.bn1']!.stateDict());
    }
  });

  it('are loaded by names that lack what wraps them there; the exact name comes first', () => {
    const bn = new BatchNorm(2), wrapped = norm('module._orig_mod.bn.', 2, 5);
    loadSafetensors({ bn }, fileOf(wrapped));
    expect(bn.weight).toEqual(Float32Array.of(5, 6));
    loadSafetensors({ 'module._orig_mod.bn': bn }, fileOf(wrapped));
    loadSafetensors({ bn }, fileOf({ ...wrapped, ...norm('bn.', 2, 7) }));
    expect(bn.weight).toEqual(Float32Array.of(7, 8));
    expect(() => loadSafetensors({ other: bn }, fileOf(wrapped))).toThrow(new TypeError('The file expected "other.weight", got none'));
  });

  it('have each name once', () => {
    const bn = new BatchNorm(1);
    expect(() => writeSafetensors({ bn, 'bn.': bn })).toThrow(new RangeError('"layers" expected every name once, got "bn" and "bn."'));
    expect(() => writeSafetensors({ '': bn, bn })).not.toThrow();
  });

  it('are refused where a tensor has another rank or holds integers', () => {
    const entries = (change: Record<string, Entry>) =>
      safetensorsOf({ 'a.running_mean': ['F32', [1, 2]], 'a.running_var': ['F32', [1, 2]], ...change });
    expect(() => layersFromSafetensors(entries({ 'a.weight': ['F32', [1, 2], [2, 1]] })))
      .toThrow('"a": "a.weight" expected shape [C], got [2, 1]');
    expect(() => layersFromSafetensors(entries({ 'a.weight': ['I32', [1, 2]] })))
      .toThrow('"a": "a.weight" expected dtype F32, F64, F16, BF16, got I32');
    expect(layersFromSafetensors(entries({ 'b.weight': ['I32', [1, 2]] }), { eps: 0 }).left).toEqual(['b.weight']);
  });
});
