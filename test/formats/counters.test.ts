/** num_batches_tracked as files have it: of any dtype, overflowed, or missing. */
import { describe, expect, it } from 'vitest';
import { BatchNorm, fromTorch, layersFromSafetensors, loadSafetensors, readSafetensors, writeSafetensors } from '../../src/index.js';
import { type Entry, safetensorsOf } from './safetensors-file.js';

const DTYPES = ['F64', 'F32', 'F16', 'BF16', 'I64', 'U64', 'I32', 'U32', 'I16', 'U16', 'I8', 'U8'];

const layer = (counter?: Entry, dtype = 'F32'): Record<string, Entry> => ({
  'bn.weight': [dtype, [1, 2]], 'bn.bias': [dtype, [0, 1]], 'bn.running_mean': [dtype, [5, 6]], 'bn.running_var': [dtype, [4, 9]],
  ...(counter && { 'bn.num_batches_tracked': counter }),
});

const arrays = { running_mean: [5, 6], running_var: [4, 9] };

describe.each(DTYPES)('a counter of %s', (dtype) => {
  it.each([[[1]], [[]]])('of shape %j is taken', (shape) => {
    const bn = new BatchNorm(2), bytes = safetensorsOf(layer([dtype, [100], shape]));
    expect(loadSafetensors({ bn }, bytes)).toEqual({ notes: [] });
    expect(bn.numBatchesTracked).toBe(100);
    expect(layersFromSafetensors(bytes, { eps: 1e-5 })).toMatchObject({ notes: [], layers: { bn: { numBatchesTracked: 100 } } });
  });

  it('is read into the array of its dtype, and can be passed on', () => {
    const values = readSafetensors(safetensorsOf(layer([dtype, [100]]))).get('bn.num_batches_tracked')!.read();
    expect(fromTorch({ ...arrays, num_batches_tracked: values }, { eps: 1e-5 }))
      .toMatchObject({ notes: [], module: { numBatchesTracked: 100 } });
    expect(new BatchNorm(2, { weight: false, bias: false }).loadStateDict({ ...arrays, num_batches_tracked: values }).numBatchesTracked)
      .toBe(100);
  });
});

describe('a whole file in half precision', () => {
  it.each(['F16', 'BF16'])('of %s loads, its counter too', (dtype) => {
    const bn = new BatchNorm(2);
    loadSafetensors({ bn }, safetensorsOf(layer([dtype, [64], []], dtype)));
    expect(bn.stateDict()).toEqual(new BatchNorm(2).loadStateDict({
      weight: [1, 2], bias: [0, 1], running_mean: [5, 6], running_var: [4, 9], num_batches_tracked: 64,
    }).stateDict());
  });

  it('whose counter has overflowed loads, with a note', () => {
    const bn = new BatchNorm(2), bytes = safetensorsOf(layer(['F16', [70_000], []], 'F16'));
    bn.numBatchesTracked = 3;
    expect(loadSafetensors({ bn }, bytes).notes).toEqual(['"bn.num_batches_tracked" overflowed to infinity: it is taken as 0']);
    expect(bn.numBatchesTracked).toBe(0);
    expect(bn.runningMean).toEqual(Float32Array.of(5, 6));
    const { layers, notes } = layersFromSafetensors(bytes, { eps: 1e-5 });
    expect(notes).toEqual(['"bn": num_batches_tracked overflowed to infinity or is null: it is taken as 0']);
    expect(layers.bn!.runningMean).toEqual(Float32Array.of(5, 6));
  });

  it('whose variance has overflowed says so', () => {
    const entries = { ...layer(['F16', [64], []], 'F16'), 'bn.running_var': ['F16', [1, 1e5]] as Entry };
    const { layers, notes } = layersFromSafetensors(safetensorsOf(entries), { eps: 1e-5 });
    expect(notes).toEqual(['"bn": running_var holds 1 of 2 values that are not finite, the first at index 1']);
    expect(layers.bn!.runningVar![1]).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a counter that is not known', () => {
  const { notes: missing, module } = fromTorch(arrays, { eps: 1e-5 });

  it('because it is missing becomes 0, with a note', () => {
    expect(missing).toEqual(['num_batches_tracked is missing: it is taken as 0']);
    expect(module.numBatchesTracked).toBe(0);
    expect(loadSafetensors({ bn: new BatchNorm(2) }, safetensorsOf(layer())).notes)
      .toEqual(['"bn.num_batches_tracked" is missing: it is taken as 0']);
  });

  it.each([
    ['Infinity', Number.POSITIVE_INFINITY], ['[Infinity]', Float32Array.of(Number.POSITIVE_INFINITY)], ['null', null], ['[null]', [null]],
  ])('because it is %s becomes 0, with a note', (_, counter) => {
    const converted = fromTorch({ ...arrays, num_batches_tracked: counter as never }, { eps: 1e-5 });
    expect(converted.notes).toEqual(['num_batches_tracked overflowed to infinity or is null: it is taken as 0']);
    expect(converted.module.numBatchesTracked).toBe(0);
    const bn = new BatchNorm(2, { weight: false, bias: false });
    expect(bn.loadStateDict({ ...arrays, num_batches_tracked: counter as never }).numBatchesTracked).toBe(0);
  });

  it('is not missed where there are no running statistics', () => {
    expect(fromTorch({ weight: [1, 2] }, { eps: 1e-5 }).notes).toEqual([]);
    const bn = new BatchNorm(2, { trackRunningStats: false });
    expect(loadSafetensors({ bn }, writeSafetensors({ bn })).notes).toEqual([]);
  });
});

describe('a counter that counts nothing', () => {
  it.each([
    ['a fraction', 1.5], ['a negative number', -1], ['not a number', Number.NaN], ['minus infinity', Number.NEGATIVE_INFINITY],
  ])('is refused: %s', (_, counter) => {
    const message = `"num_batches_tracked" expected a non-negative integer, got ${counter}`;
    expect(() => fromTorch({ ...arrays, num_batches_tracked: Float32Array.of(counter) }, {})).toThrow(new RangeError(message));
    const first = new BatchNorm(2), before = first.stateDict();
    expect(() => loadSafetensors({ bn: first }, safetensorsOf(layer(['F32', [counter]])))).toThrow(`"bn.": ${message}`);
    expect(first.stateDict()).toEqual(before);
  });

  it('is refused where it is two numbers, or of a dtype that is not read', () => {
    const bn = new BatchNorm(2);
    expect(() => loadSafetensors({ bn }, safetensorsOf(layer(['F32', [1, 2]]))))
      .toThrow('"bn.num_batches_tracked" expected shape [], got [2]');
    expect(() => fromTorch({ ...arrays, num_batches_tracked: [1, 2] })).toThrow(TypeError);
  });
});
