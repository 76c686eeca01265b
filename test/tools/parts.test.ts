import { describe, expect, it } from 'vitest';
import {
  type Batch, BatchNorm, type BatchNormOptions, backwardGhost, backwardParts, type Floats, forwardGhost, forwardParts,
} from '../../src/index.js';
import { expectRefusal, type Refusal } from '../refusal.js';
import {
  arrayOf, COMBINATIONS, concatenate, distance, everything, maskOf, normal, RUNTIMES, shapeIn, sizeOf,
} from '../setup.js';
import * as tolerance from '../tolerances.js';

const C = 3;

describe.each(COMBINATIONS)('batches in parts in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], otherDtype = dtype === 'float32' ? 'float64' : 'float32';
  const make = (options: BatchNormOptions = {}) => {
    const bn = new BatchNorm(C, { dtype, layout, runtime, ...options });
    bn.weight?.set([1.5, -0.5, 2]);
    bn.bias?.set([0.3, -0.2, 0]);
    return bn;
  };
  const data = (shape: readonly number[], seed: number) => arrayOf(dtype, normal(sizeOf(shape), seed, 2, 3));
  const bounds = {
    y: 2 * tolerance.BETWEEN * tolerance.y(dtype, 1), dx: tolerance.BETWEEN * tolerance.GOLDEN[dtype].dx,
    running: tolerance.BETWEEN * tolerance.GOLDEN[dtype].running,
    parameters: 2 * tolerance.BETWEEN * tolerance.GOLDEN[dtype].parameters,
  };

  const make3 = (counts: readonly number[], mask: boolean) => counts.map((n, i) => {
    const shape = [n, C, 7];
    return { shape: shapeIn(layout, shape), x: data(shape, 10 + i), ...(mask && { mask: maskOf(n * 7, 20 + i) }) };
  });

  it.each([
    ['unequal parts', [5, 1, 9], {}, false],
    ['one part', [6], {}, false],
    ['an empty part first', [0, 5, 2], {}, false],
    ['an empty part last', [5, 2, 0], {}, false],
    ['masks', [5, 1, 9], {}, true],
    ['a part of one value a channel', [1, 1], {}, false],
    ['a cumulative average', [5, 1, 9], { momentum: null }, false],
    ['ReLU', [5, 1, 9], { activation: 'relu' }, true],
    ['neither weight nor bias', [5, 2], { weight: false, bias: false }, false],
    ['batch renormalization', [5, 1, 9], { renorm: { rMax: 3, dMax: 5 } }, true],
    ['no running statistics', [5, 2], { trackRunningStats: false }, false],
  ] as const)('equal the batch as a whole: %s', (_, counts, options, mask) => {
    const bn = make(options), big = make(options), parts = make3(counts, mask);
    const n = parts.reduce((total, { shape }) => total + shape[0]!, 0);
    const whole = shapeIn(layout, [n, C, 7]), x = concatenate(dtype, parts.map(({ x }) => x));
    const wholeMask = Uint8Array.from(parts.flatMap((part) => Array.from(part.mask ?? [])));
    for (const mode of ['train', 'train', 'eval'] as const) {
      bn[mode]();
      big[mode]();
      const start = runtime.bytesInUse, before = bn.numBatchesTracked;
      const { y, contexts } = forwardParts(bn, parts);
      const expectedY = big.forward(x, whole, mask ? { mask: wholeMask } : {});
      expect(y.map(({ length }) => length)).toEqual(parts.map((part) => part.x.length));
      expect(distance(concatenate(dtype, y), expectedY)).toBeLessThanOrEqual(bounds.y);
      const dys = parts.map(({ x }, i) => arrayOf(dtype, normal(x.length, 30 + i)));
      const { dx, dweight, dbias } = backwardParts(bn, dys, contexts), expected = big.backward(concatenate(dtype, dys));
      expect(distance(concatenate(dtype, dx), expected.dx)).toBeLessThanOrEqual(bounds.dx);
      for (const [actual, wanted] of [[dweight, expected.dweight], [dbias, expected.dbias]]) {
        if (wanted) expect(distance(actual!, wanted)).toBeLessThanOrEqual(bounds.parameters);
        else expect(actual).toBeNull();
      }
      for (const name of ['runningMean', 'runningVar'] as const) {
        if (big[name]) expect(distance(bn[name]!, big[name])).toBeLessThanOrEqual(bounds.running);
      }
      expect(bn.numBatchesTracked).toBe(big.numBatchesTracked);
      expect(bn.numBatchesTracked - before).toBe(mode === 'train' && bn.runningMean ? 1 : 0);
      expect(runtime.bytesInUse).toBe(start);
    }
  });

  it.each(['train', 'eval'] as const)('without any values give what forward gives for such a batch, and change nothing: %s', (mode) => {
    const bn = make()[mode](), apart = make()[mode](), before = bn.stateDict(), count = 2 * C * 7;
    const parts = [
      { x: arrayOf(dtype, []), shape: shapeIn(layout, [0, C, 7]) },
      { x: data([2, C, 7], 1), shape: shapeIn(layout, [2, C, 7]), mask: new Uint8Array(14) },
    ];
    const { y, contexts } = forwardParts(bn, parts);
    expect(y).toEqual(parts.map(({ x, shape, mask }) => apart.forward(x, shape, mask ? { mask } : {})));
    expect(contexts.map(({ count, mode }) => [count, mode])).toEqual(Array(2).fill([0, mode === 'train' ? 'batch' : 'running']));
    const zero = arrayOf(dtype, [0, 0, 0]), dy = [arrayOf(dtype, []), data([2, C, 7], 2)];
    expect(backwardParts(bn, dy, contexts)).toEqual({
      dx: [arrayOf(dtype, []), arrayOf(dtype, new Array(count).fill(0))], dweight: zero, dbias: zero,
    });
    expect(bn.stateDict()).toEqual(before);
  });

  it.each(['train', 'eval'] as const)('of no values have gradients from the sums of others: %s', (mode) => {
    const bn = make(), sums = { total: Float64Array.of(1, 2, 3), dot: Float64Array.of(4, 5, 6) };
    bn.runningMean!.fill(1);
    bn.runningVar!.fill(4 - bn.eps);
    bn[mode]().forward(arrayOf(dtype, []), shapeIn(layout, [0, C, 7]));
    const { dweight, dbias } = bn.backwardWith(sums, arrayOf(dtype, []));
    // In training there are no statistics that y could depend on.
    expect(distance(dweight!, mode === 'train' ? [0, 0, 0] : [2, 2.5, 3])).toBeLessThanOrEqual(tolerance.GOLDEN[dtype].parameters);
    expect(distance(dbias!, mode === 'train' ? [0, 0, 0] : [1, 2, 3])).toBe(0);
    expect(Array.from(bn.context!.mean)).toEqual(new Array(C).fill(mode === 'train' ? Number.NaN : 1));
  });

  it('of several rounds can be differentiated in any order', () => {
    const bn = make(), parts = make3([3, 2], false), dys = parts.map(({ x }) => x);
    const first = forwardParts(bn, parts), expected = backwardParts(bn, dys, first.contexts);
    forwardParts(bn, make3([2, 4], true));
    expect(backwardParts(bn, dys, first.contexts)).toEqual(expected);
  });

  it.each(Object.entries<Refusal<[BatchNorm, (Batch & { x: Float32Array })[]]>>({
    'no module': { throws: TypeError, message: 'forwardParts() expected a BatchNorm, got Object',
      call: (_, parts) => forwardParts({} as never, parts) },
    'no array': { throws: TypeError, message: '"parts" expected an array, got undefined',
      call: (bn) => forwardParts(bn, undefined as never) },
    'no parts': { throws: RangeError, message: 'forwardParts() expected at least one part, got none',
      call: (bn) => forwardParts(bn, []) },
    'a part that is none': { throws: TypeError, message: '"parts" expected { x, shape }, got null',
      call: (bn, parts) => forwardParts(bn, [...parts, null as never]) },
    'a last part of another dtype': { throws: TypeError, message: '"x" expected Float',
      call: (bn, parts) => forwardParts(bn, [...parts, { x: arrayOf(otherDtype, [1, 2, 3]), shape: [1, C] }]) },
    'a last part of another length': { throws: RangeError, message: 'got length 2',
      call: (bn, parts) => forwardParts(bn, [...parts, { x: arrayOf(dtype, [1, 2]), shape: [1, C] }]) },
    'parts of other channels': { throws: RangeError, message: '"shape" expected 3 channels on axis 1',
      call: (bn) => forwardParts(bn, [{ x: arrayOf(dtype, [1, 2, 3, 4]), shape: [2, 2] }]) },
    'a mask of another length': { throws: RangeError, message: '"mask" expected',
      call: (bn, parts) => {
        forwardParts(bn, [...parts, { x: arrayOf(dtype, [1, 2, 3]), shape: [1, C], mask: new Uint8Array(3) }]);
      } },
    'one value in all': { throws: RangeError, message: 'Expected more than 1 value per channel',
      call: (bn) => forwardParts(bn, [{ x: arrayOf(dtype, [1, 2, 3]), shape: [1, C] }]) },
    'fewer contexts than parts': { throws: RangeError,
      message: 'backwardParts() expected as many parts as contexts, at least one, got 2 and 1',
      call: (bn, parts) => backwardParts(bn, parts.map(({ x }) => x), [bn.context!]) },
    'no contexts': { throws: TypeError, message: '"contexts" expected an array, got undefined',
      call: (bn) => backwardParts(bn, [], undefined as never) },
    'a context that is none': { throws: TypeError, message: '"context" expected',
      call: (bn, parts) => backwardParts(bn, [parts[0]!.x], [{} as never]) },
    'dy of other lengths': { throws: RangeError, message: '"dy"',
      call: (bn, parts) => backwardParts(bn, [parts[0]!.x.subarray(1)], [bn.context!]) },
  }))('throw for %s and leave everything as it was', (_, { call, ...refusal }) => {
    const bn = make(), parts = make3([5, 2], false), start = runtime.bytesInUse;
    bn.forward(data([4, C, 7], 1), shapeIn(layout, [4, C, 7]));
    const before = everything(bn);
    expectRefusal(() => call(bn, parts), refusal);
    expect(everything(bn)).toEqual(before);
    expect(runtime.bytesInUse).toBe(start);
  });

  it.each([
    ['slices of one size', 6, 3], ['a smaller last slice', 7, 3], ['a slice of all', 4, 9],
  ])('as ghosts equal separate forwards: %s', (_, n, size) => {
    for (const mode of ['train', 'eval'] as const) {
      const bn = make({ activation: 'relu' })[mode](), apart = make({ activation: 'relu' })[mode](), shape = [n, C, 7];
      const x = data(shape, 1), dy = data(shape, 2), kept = x.slice();
      const { y, contexts } = forwardGhost(bn, x, shapeIn(layout, shape), size);
      const gradients = backwardGhost(bn, dy, contexts);
      expect(contexts.length).toBe(Math.ceil(n / size));
      const dweight = new Float64Array(C), dbias = new Float64Array(C);
      for (let start = 0, i = 0; start < n; start += size, i++) {
        const end = Math.min(start + size, n), from = start * C * 7, to = end * C * 7;
        const part = (values: Floats) => values.slice(from, to) as Float32Array;
        expect(part(y)).toEqual(apart.forward(part(x), shapeIn(layout, [end - start, C, 7])));
        expect({ ...contexts[i], mean: contexts[i]!.mean }).toEqual({ ...apart.context, mean: apart.context!.mean });
        const expected = apart.backward(part(dy));
        expect(part(gradients.dx)).toEqual(expected.dx);
        expected.dweight!.forEach((value, c) => { dweight[c]! += value; });
        expected.dbias!.forEach((value, c) => { dbias[c]! += value; });
      }
      expect(distance(gradients.dweight!, dweight)).toBeLessThanOrEqual(4 * tolerance.U[dtype]);
      expect(distance(gradients.dbias!, dbias)).toBeLessThanOrEqual(4 * tolerance.U[dtype]);
      expect(bn.stateDict()).toEqual(apart.stateDict());
      expect(bn.numBatchesTracked).toBe(mode === 'train' ? contexts.length : 0);
      expect(x).toEqual(kept);
    }
  });

  it('as ghosts take a batch without samples as forward does', () => {
    const bn = make(), before = bn.stateDict();
    const { y, contexts } = forwardGhost(bn, arrayOf(dtype, []), shapeIn(layout, [0, C, 7]), 2);
    expect([y.length, contexts.length, contexts[0]!.count]).toEqual([0, 1, 0]);
    const zero = arrayOf(dtype, [0, 0, 0]);
    expect(backwardGhost(bn, arrayOf(dtype, []), contexts))
      .toEqual({ dx: arrayOf(dtype, []), dweight: zero, dbias: zero, dresidual: null });
    expect(bn.stateDict()).toEqual(before);
  });

  it.each(Object.entries<Refusal<[BatchNorm, Float32Array]>>({
    'no module': { throws: TypeError, message: 'forwardGhost() expected a BatchNorm, got null',
      call: (_, x) => forwardGhost(null as never, x, [5, C], 2) },
    'no array': { throws: TypeError, message: '"x" expected Float',
      call: (bn) => forwardGhost(bn, undefined as never, [5, C], 2) },
    'a shorter array': { throws: RangeError, message: 'of length 15 (5x3), got length 14',
      call: (bn, x) => forwardGhost(bn, x.subarray(1), [5, C], 2) },
    'a longer array': { throws: RangeError, message: 'of length 12 (4x3), got length 15',
      call: (bn, x) => forwardGhost(bn, x, [4, C], 2) },
    'a size of 0': { throws: RangeError, message: '"size" expected a positive integer, got number 0',
      call: (bn, x) => forwardGhost(bn, x, [5, C], 0) },
    'a size that is none': { throws: RangeError, message: 'got undefined',
      call: (bn, x) => forwardGhost(bn, x, [5, C], undefined as never) },
    'a last slice of one value': { throws: RangeError,
      message: 'Expected more than 1 value per channel when training, got shape [1, 3]',
      call: (bn, x) => forwardGhost(bn, x, [5, C], 2) },
    'no contexts': { throws: RangeError, message: 'backwardGhost() expected at least one context, got none',
      call: (bn, x) => backwardGhost(bn, x, []) },
    'a context that is none': { throws: TypeError, message: '"contexts" expected those of forwardGhost(), got null',
      call: (bn, x) => backwardGhost(bn, x, [null as never]) },
    'a longer dy': { throws: RangeError, message: 'of length 84 (84), got length 85',
      call: (bn) => backwardGhost(bn, arrayOf(dtype, new Array<number>(85).fill(1)), [bn.context!]) },
    'no dy': { throws: TypeError, message: '"dy" expected Float',
      call: (bn) => backwardGhost(bn, undefined as never, [bn.context!]) },
  }))('as ghosts throw for %s and leave everything as it was', (_, { call, ...refusal }) => {
    const bn = make(), x = data([5, C], 3);
    bn.forward(data([4, C, 7], 1), shapeIn(layout, [4, C, 7]));
    const before = everything(bn), gradients = bn.backward(data([4, C, 7], 2));
    expectRefusal(() => call(bn, x), refusal);
    expect(everything(bn)).toEqual(before);
    expect(bn.backward(data([4, C, 7], 2))).toEqual(gradients);
  });

  it('as ghosts and parts leave everything as it was where a later one is not finite', () => {
    const bn = make({ onNonFinite: 'error' }), x = data([6, C], 3);
    bn.forward(data([4, C, 7], 1), shapeIn(layout, [4, C, 7]));
    const gradients = bn.backward(data([4, C, 7], 2)), before = bn.stateDict();
    x[16] = Number.NaN;
    expect(() => forwardGhost(bn, x, [6, C], 2)).toThrow(RangeError);
    expect(() => forwardParts(bn, [{ x: x.subarray(0, 12), shape: [4, C] }, { x: x.subarray(12), shape: [2, C] }]))
      .toThrow(RangeError);
    expect(bn.backward(data([4, C, 7], 2))).toEqual(gradients);
    expect(bn.stateDict()).toEqual(before);
  });
});
