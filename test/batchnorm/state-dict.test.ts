import { describe, expect, it } from 'vitest';
import { BatchNorm, type DType } from '../../src/index.js';
import { expectRefusal } from '../refusal.js';
import { arrayOf, DTYPES, normal } from '../setup.js';

const full = (dtype: DType) => ({
  weight: arrayOf(dtype, [1, 2, 3]),
  bias: arrayOf(dtype, [4, 5, 6]),
  running_mean: arrayOf(dtype, [7, 8, 9]),
  running_var: arrayOf(dtype, [0, 11, 12]),
  num_batches_tracked: 13,
});

describe.each(DTYPES)('state dictionaries of %s', (dtype) => {
  it('go out as copies under the names of torch and come back the same', () => {
    const bn = new BatchNorm(3, { dtype });
    expect(bn.loadStateDict(full(dtype))).toBe(bn);
    const state = bn.stateDict();
    expect(state).toEqual(full(dtype));
    bn.weight!.fill(0);
    expect(state).toEqual(full(dtype));
    expect(new BatchNorm(3, { dtype }).loadStateDict(state).stateDict()).toEqual(full(dtype));
  });

  it('keep live arrays live', () => {
    const bn = new BatchNorm(3, { dtype }), { weight, runningVar } = bn;
    bn.loadStateDict(full(dtype));
    expect([bn.weight, bn.runningVar]).toEqual([weight, runningVar]);
    expect(bn.weight).toBe(weight);
    expect(bn.runningVar).toBe(runningVar);
  });

  it('hold only what a module has', () => {
    expect(Object.keys(new BatchNorm(3, { dtype, weight: false, trackRunningStats: false }).stateDict()))
      .toEqual(['bias']);
    expect(new BatchNorm(3, { dtype, bias: false }).stateDict()).not.toHaveProperty('bias');
  });

  it('take plain arrays, any typed array, and the counter as number, bigint or array of one', () => {
    const bn = new BatchNorm(3, { dtype });
    for (const counter of [5, 5n, [5], BigInt64Array.of(5n)]) {
      const state = { ...full(dtype), weight: [1, 2, 3], bias: Int8Array.of(1, 2, 3) };
      bn.loadStateDict({ ...state, num_batches_tracked: counter as never });
      expect(bn.numBatchesTracked).toBe(5);
    }
    expect(bn.bias).toEqual(arrayOf(dtype, [1, 2, 3]));
  });

  it('start the counter at 0 where a file has none', () => {
    const bn = new BatchNorm(3, { dtype });
    bn.numBatchesTracked = 4;
    const { num_batches_tracked: _, ...rest } = full(dtype);
    expect(bn.loadStateDict(rest).numBatchesTracked).toBe(0);
  });

  it('give back what a module had become, NaN included', () => {
    const bn = new BatchNorm(3, { dtype });
    bn.forward(arrayOf(dtype, [...normal(5, 1), Number.NaN]), [2, 3]);
    expect(new BatchNorm(3, { dtype }).loadStateDict(bn.stateDict()).stateDict()).toEqual(bn.stateDict());
  });

  it.each(Object.entries({
    'no object': { throws: TypeError, change: null, message: '"state" expected an object of arrays, got null' },
    'a missing name': { throws: TypeError, change: { bias: undefined },
      message: '"bias" expected an array of 3 numbers, got undefined' },
    'a name that nothing has': { throws: TypeError, change: { gamma: [1, 2, 3] },
      message: '"state" expected weight, bias, running_mean, running_var, num_batches_tracked, got "gamma"' },
    'another length': { throws: RangeError, change: { weight: [1, 2] },
      message: '"weight" expected length 3, got length 2' },
    'no numbers': { throws: TypeError, change: { running_var: ['1', '2', '3'] },
      message: '"running_var" expected numbers, got string at index 0' },
    'big integers': { throws: TypeError, change: { weight: BigInt64Array.of(1n, 2n, 3n) },
      message: '"weight" expected numbers, got bigint 1 at index 0' },
    'a number for an array': { throws: TypeError, change: { weight: 1 },
      message: '"weight" expected an array of 3 numbers, got number 1' },
    'a negative variance': { throws: RangeError, change: { running_var: [1, 1, -1e-6] },
      message: '"running_var" expected variances of 0 or more' },
    'a fractional counter': { throws: RangeError, change: { num_batches_tracked: 1.5 },
      message: '"num_batches_tracked" expected a non-negative integer, got 1.5' },
    'a counter that is none': { throws: TypeError, change: { num_batches_tracked: '3' },
      message: '"num_batches_tracked" expected a number, got string' },
  }))('are refused whole for %s', (_, { change, ...refusal }) => {
    const bn = new BatchNorm(3, { dtype }).loadStateDict(full(dtype));
    const state = change && { ...full(dtype), weight: [9, 9, 9], ...change };
    expectRefusal(() => bn.loadStateDict(state as never), refusal);
    expect(bn.stateDict()).toEqual(full(dtype));
  });

  it('are refused where a name is inherited or missing', () => {
    const bn = new BatchNorm(3, { dtype }), { weight: _, ...rest } = full(dtype);
    expect(() => bn.loadStateDict(rest)).toThrow('"state" expected "weight", got none');
    expect(() => bn.loadStateDict(Object.create(full(dtype)))).toThrow(TypeError);
  });
});
