/** What a layer and its statistics become as JSON and as structured clones, as between threads, and back. */
import { describe, expect, it } from 'vitest';
import { addGradientSums, BatchNorm, fromTorch, layersFromTorch, mergeMoments, moments } from '../../src/index.js';
import { arrayOf, DTYPES, normal } from '../setup.js';

const WAYS: [string, <T>(value: T) => T][] = [
  ['JSON', (value) => JSON.parse(JSON.stringify(value))],
  ['JSON twice', (value) => JSON.parse(JSON.stringify(JSON.parse(JSON.stringify(value))))],
  ['a structured clone', (value) => structuredClone(value)],
];

describe.each(DTYPES)('a layer of %s', (dtype) => {
  const SHAPE = [5, 12];
  const trained = () => {
    const bn = new BatchNorm(12, { dtype });
    bn.forward(arrayOf(dtype, normal(60, 1)), SHAPE);
    bn.weight!.set(normal(12, 2));
    bn.bias!.set(normal(12, 3, 0, 1e-30));
    return bn;
  };

  it.each(WAYS)('comes back from its state dictionary as %s, bit for bit', (_, way) => {
    const bn = trained(), state = way(bn.stateDict());
    expect(new BatchNorm(12, { dtype }).loadStateDict(state).stateDict()).toEqual(bn.stateDict());
    expect(fromTorch(state, { eps: 1e-5 }, { dtype })).toMatchObject({ notes: [] });
    expect(fromTorch(state, {}, { dtype }).module.stateDict()).toEqual(bn.stateDict());
  });

  it.each(WAYS)('of one channel comes back as %s', (_, way) => {
    const bn = new BatchNorm(1, { dtype });
    bn.numBatchesTracked = 7;
    expect(new BatchNorm(1, { dtype }).loadStateDict(way(bn.stateDict())).stateDict()).toEqual(bn.stateDict());
  });

  it.each(WAYS)('is found in the state dictionary of a net as %s', (_, way) => {
    const bn = trained(), state = Object.fromEntries(Object.entries(bn.stateDict()).map(([name, values]) => [`net.bn.${name}`, values]));
    expect(layersFromTorch(way(state), { eps: 1e-5 }, { dtype }).layers['net.bn']!.stateDict()).toEqual(bn.stateDict());
  });

  it('is read with a counter that a program has written as a typed array', () => {
    const { num_batches_tracked: _, ...rest } = trained().stateDict();
    const state = JSON.parse(JSON.stringify({ ...rest, num_batches_tracked: Int32Array.of(7) }));
    expect(new BatchNorm(12, { dtype }).loadStateDict(state).numBatchesTracked).toBe(7);
    expect(new BatchNorm(12, { dtype }).loadStateDict(structuredClone({ ...rest, num_batches_tracked: 7n }) as never).numBatchesTracked)
      .toBe(7);
  });

  it('is refused where JSON has lost NaN and infinities, and says where', () => {
    const bn = trained(), before = bn.stateDict();
    const broken = { ...before, running_var: arrayOf(dtype, [1, 2, Number.POSITIVE_INFINITY, ...new Array(9).fill(1)]) };
    const message = '"running_var" expected numbers, got null at index 2, as JSON writes NaN and infinity';
    expect(() => bn.loadStateDict(JSON.parse(JSON.stringify(broken)))).toThrow(new TypeError(message));
    expect(() => fromTorch(JSON.parse(JSON.stringify(broken)))).toThrow(new TypeError(message));
    expect(bn.stateDict()).toEqual(before);
    expect(bn.loadStateDict(structuredClone(broken)).runningVar![2]).toBe(Number.POSITIVE_INFINITY);
  });

  it.each([
    ['keys that do not begin at 0', { 1: 1, 2: 2 }], ['a gap', { 0: 1, 2: 2 }], ['other keys', { 0: 1, a: 2 }], ['no keys', {}],
    ['a leading zero', { 0: 1, '01': 2 }],
  ])('is refused where an object is no array: %s', (_, weight) => {
    const bn = new BatchNorm(2, { dtype });
    expect(() => bn.loadStateDict({ ...bn.stateDict(), weight } as never))
      .toThrow(new TypeError('"weight" expected an array of 2 numbers, got Object'));
  });

  it('is refused where an object has another length', () => {
    const bn = new BatchNorm(2, { dtype });
    expect(() => bn.loadStateDict({ ...bn.stateDict(), weight: { 0: 1 } } as never))
      .toThrow(new RangeError('"weight" expected length 2, got length 1'));
  });
});

describe.each(DTYPES)('statistics of parts of %s', (dtype) => {
  const SHAPES = [[4, 3], [7, 3]], parts = SHAPES.map(([n], i) => arrayOf(dtype, normal(n! * 3, 10 + i)));
  const statistics = parts.map((x, i) => moments(x, SHAPES[i]!));

  it.each(WAYS)('merge and normalise the same after they were sent as %s', (_, way) => {
    const whole = mergeMoments(...statistics);
    expect(mergeMoments(...statistics.map(way))).toEqual(whole);
    const y = new BatchNorm(3, { dtype }).forwardWith(whole, parts[0] as Float32Array, SHAPES[0]!);
    expect(new BatchNorm(3, { dtype }).forwardWith(way(whole), parts[0] as Float32Array, SHAPES[0]!)).toEqual(y);
  });

  it.each(WAYS)('have gradient sums that do so too as %s', (_, way) => {
    const whole = mergeMoments(...statistics), bn = new BatchNorm(3, { dtype });
    bn.forwardWith(whole, parts[0] as Float32Array, SHAPES[0]!);
    const sums = bn.backwardSums(parts[0] as Float32Array), total = addGradientSums(sums, sums);
    expect(addGradientSums(way(sums), way(sums))).toEqual(total);
    expect(bn.backwardWith(way(total), parts[0] as Float32Array)).toEqual(bn.backwardWith(total, parts[0] as Float32Array));
  });

  it('are refused where JSON has lost NaN, and where they hold plain arrays of nothing', () => {
    const nan = JSON.parse(JSON.stringify({ ...statistics[0], m2: Float64Array.of(1, Number.NaN, 1) }));
    expect(() => mergeMoments(nan)).toThrow('"parts.m2" expected numbers, got null at index 1, as JSON writes NaN and infinity');
    expect(() => mergeMoments({ ...statistics[0]!, mean: {} as never })).toThrow(TypeError);
    expect(() => mergeMoments(statistics[0]!, JSON.parse(JSON.stringify(moments(arrayOf(dtype, [1, 2]), [1, 2]))))).toThrow(RangeError);
  });
});
