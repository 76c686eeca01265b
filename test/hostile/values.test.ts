/** Values that cannot be, or are not what they were: shapes, tensors, state dictionaries, statistics. */
import { describe, expect, it } from 'vitest';
import {
  addGradientSums, BatchNorm, createRuntime, diagnose, forwardParts, maskFromLengths, mergeMoments, recalibrateFrom,
} from '../../src/index.js';
import { KINDS, makeRuntime, RUNTIMES } from '../setup.js';
import { doubles, floats, SHAPE, six, statistics, sums } from './calls.js';

describe('a shape', () => {
  it('is read once, one dimension after the other', () => {
    let reads = 0;
    const shape = Object.defineProperty([3, 2], 0, { get: () => (reads++ === 0 ? 3 : 3e6) }), bn = new BatchNorm(2);
    expect(bn.forward(six(), shape)).toEqual(new BatchNorm(2).forward(six(), SHAPE));
    expect(bn.backward(six()).dx.length).toBe(6);
    expect(reads).toBe(1);
  });

  it('that throws when it is read is named', () => {
    const bn = new BatchNorm(2), shape = Object.defineProperty([3, 2], 1, { get() { throw new Error('mine'); } });
    expect(() => bn.forward(six(), shape)).toThrow('"shape" expected what can be read, got mine');
    expect(bn.context).toBe(null);
  });
});

describe.each(KINDS)('tensors on %s', (kind) => {
  it.each([
    ['throws', { length: 3, 0: 1, get 1(): number { throw new Error('mine'); } }], ['gives a string', { length: 3, 0: 1, 1: '2', 2: 3 }],
  ])('are not made of data of which an element %s', (_, data) => {
    const runtime = makeRuntime(kind);
    expect(() => runtime.tensor([3], { data: data as never })).toThrow('"data" expected');
    expect(runtime.bytesInUse).toBe(0);
  });

  it('are made of data whose getters make memory grow', () => {
    const runtime = makeRuntime(kind);
    const data = { length: 2, 0: 7, get 1() { runtime.tensor([1e6]); return 8; } };
    expect(Array.from(runtime.tensor([2], { data }).data)).toEqual([7, 8]);
  });

  it('keep their length, shape and runtime', () => {
    const tensor = makeRuntime(kind).tensor([3, 2]), other = makeRuntime(kind);
    for (const change of [{ length: 1e6 }, { shape: [1e6, 2] }, { engine: other }, { dtype: 'float64' }]) {
      expect(() => Object.assign(tensor, change)).toThrow(TypeError);
      expect(() => Object.defineProperties(tensor, Object.getOwnPropertyDescriptors(change))).toThrow(TypeError);
    }
  });

  it.each([
    ['a proxy of one', (tensor: object) => new Proxy(tensor, {})], ['an object with its prototype', (tensor: object) => Object.create(tensor)],
  ])('are not %s', (_, impostor) => {
    const runtime = makeRuntime(kind), tensor = runtime.tensor(SHAPE, { data: six() }), bn = new BatchNorm(2, { runtime });
    const fake = impostor(tensor) as never;
    expect(() => bn.forward(fake, SHAPE)).toThrow('"x" expected Float32Array of length 6');
    expect(() => bn.forward(tensor, { out: fake })).toThrow('"out" expected a Tensor as "x" is');
    expect(bn.context).toBe(null);
  });

  it('of no elements take backward after out was x, as arrays do', () => {
    const runtime = makeRuntime(kind), bn = new BatchNorm(2, { runtime }), empty = runtime.tensor([0, 2]);
    bn.forward(empty, { out: empty });
    expect(bn.backward(empty).dx.shape).toEqual([0, 2]);
    const array = floats();
    bn.forward(array, [0, 2], { out: array });
    expect(bn.backward(array).dx.length).toBe(0);
  });

  it('have neighbours that an output over disguised bytes does not reach', () => {
    const runtime = makeRuntime(kind), [x, out, next] = [six(), [9, 9, 9, 9, 9, 9], [5, 5, 5, 5, 5, 5]].map((data) => runtime.tensor(SHAPE, { data }));
    const { buffer, byteOffset } = out!.data, bytes = new Uint8Array(buffer, byteOffset, 6);
    Object.defineProperty(bytes, Symbol.toStringTag, { value: 'Float32Array' });
    const bn = new BatchNorm(2, { runtime });
    expect(() => bn.forward(x!.data as Float32Array, SHAPE, { out: bytes as never })).toThrow('"out" expected Float32Array of length 6');
    expect([...out!.data, ...next!.data]).toEqual([9, 9, 9, 9, 9, 9, 5, 5, 5, 5, 5, 5]);
  });
});

describe('a state dictionary', () => {
  const state = () => ({ weight: [1, 2], bias: [3, 4], running_mean: [5, 6], running_var: [7, 8], num_batches_tracked: 9 });

  it('is loaded by its elements, whatever its iterators give', () => {
    const bn = new BatchNorm(2), longer = Object.assign([5, 6], { [Symbol.iterator]: () => [1, 2, 3][Symbol.iterator]() });
    bn.loadStateDict({ ...state(), running_mean: longer });
    expect(bn.stateDict()).toEqual({ weight: floats(1, 2), bias: floats(3, 4), running_mean: floats(5, 6), running_var: floats(7, 8), num_batches_tracked: 9 });
  });

  it.each(['weight', 'running_var', 'num_batches_tracked'])('changes nothing where %s throws when it is read', (name) => {
    const bn = new BatchNorm(2), before = bn.stateDict();
    const broken = Object.defineProperty(state(), name, { get() { throw new Error('mine'); } });
    expect(() => bn.loadStateDict(broken)).toThrow(`"${name}" expected what can be read, got mine`);
    expect(bn.stateDict()).toEqual(before);
  });
});

describe('what cannot be', () => {
  const runtime = RUNTIMES.javascript, bn = new BatchNorm(2);

  it.each<[string, () => unknown, string]>([
    ['a layer of 2^40 channels', () => new BatchNorm(2 ** 40), '"channels" expected a number that there is memory for, got 1099511627776'],
    ['a mask of 2^45 positions', () => maskFromLengths([1], 2 ** 45), '"positions" expected a number that there is memory for, got 35184372088832'],
    ['a list of NaN lengths', () => maskFromLengths({ length: Number.NaN }, 2), '"lengths" expected an array of numbers, got Object of length NaN'],
    ['data of a length that is NaN', () => runtime.tensor([0], { data: { length: Number.NaN } }), '"data" expected an array of 0 numbers, got Object of length NaN'],
    ['a weight of a negative length', () => bn.loadStateDict({ weight: { length: -1 } }), '"weight" expected an array of 2 numbers, got Object of length -1'],
    ['parts that are a proxy that cannot be read', () => {
      const { proxy, revoke } = Proxy.revocable([], {});
      revoke();
      return forwardParts(bn, proxy);
    }, '"parts" expected an array, got an object that cannot be read'],
    ['moments that throw', () => mergeMoments({ get count(): number { throw new Error('mine'); }, mean: doubles(1), m2: doubles(1) }), '"parts" expected what can be read, got mine'],
    ['sums that throw', () => addGradientSums({ get total(): Float64Array { throw new Error('mine'); }, dot: doubles(1) }), '"sums" expected what can be read, got mine'],
    ['limits that throw', () => new BatchNorm(2, { renorm: { get rMax(): number { throw new Error('mine'); }, dMax: 1 } }), '"renorm" expected what can be read, got mine'],
    ['a proxy of a layer', () => diagnose(new Proxy(bn, {}), six(), SHAPE), 'diagnose() expected a BatchNorm, got Object'],
    ['a proxy of a context', () => {
      bn.forward(six(), SHAPE);
      return bn.backward(six(), { context: new Proxy(bn.context!, {}) });
    }, '"context" expected one of this module\'s forward(), got Object'],
    ['a module that is tagged as bytes', () => createRuntime({ module: { [Symbol.toStringTag]: 'ArrayBuffer' } as never }), '"module" expected a WebAssembly.Module or its bytes'],
  ])('is refused by what it is: %s', (_, call, message) => {
    expect(call).toThrow(message);
  });

  it('limits of batch renormalization are read once per forward', () => {
    let reads = 0;
    const renorm = { get rMax() { return ++reads > 2 ? 0.5 : 3; }, dMax: 5 }, own = new BatchNorm(2, { renorm });
    own.forward(six(), SHAPE);
    expect(reads).toBe(2);
    expect(() => own.forward(six(), SHAPE)).toThrow('"rMax" expected a number from 1');
    expect(own.numBatchesTracked).toBe(1);
  });

  it('statistics are copied before options are read', () => {
    const plain = new BatchNorm(2), given = statistics(), own = new BatchNorm(2);
    const options = { get updateStats() { given.mean.fill(1e6); return true; } };
    expect(own.forwardWith(given, six(), SHAPE, options)).toEqual(plain.forwardWith(statistics(), six(), SHAPE));
    const given2 = sums(), later = { get parameters() { given2.dot.fill(1e6); return true; } };
    expect(own.backwardWith(given2, six(), later)).toEqual(plain.backwardWith(sums(), six()));
  });

  it('moments from anywhere are read once', () => {
    let reads = 0;
    const part = { count: 3, get mean() { reads++; return doubles(7, 14); }, m2: doubles(120, 500) };
    recalibrateFrom(new BatchNorm(2), [part]);
    expect(reads).toBe(1);
  });
});
