import { describe, expect, it } from 'vitest';
import {
  addGradientSums, BatchNorm, type BatchNormOptions, backwardGhost, backwardParts, forwardGhost, forwardParts,
} from '../../src/index.js';
import { arrayOf, COMBINATIONS, makeRuntime, normal, RUNTIMES, shapeIn, sizeOf } from '../setup.js';

const SHAPE = [4, 3, 5];

describe.each(COMBINATIONS)('parameters() in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], shape = shapeIn(layout, SHAPE);
  const make = (options: BatchNormOptions = {}) => new BatchNorm(3, { dtype, layout, runtime, ...options });
  const data = (seed: number) => arrayOf(dtype, normal(sizeOf(SHAPE), seed, 2, 3));
  const gradientsOf = (bn: BatchNorm) => bn.parameters().map(({ gradient }) => gradient);

  it('are the arrays of the layer, without gradients before a backward', () => {
    const bn = make();
    bn.forward(data(1), shape);
    expect(bn.parameters()).toEqual([
      { name: 'weight', value: arrayOf(dtype, [1, 1, 1]), gradient: null },
      { name: 'bias', value: arrayOf(dtype, [0, 0, 0]), gradient: null },
    ]);
    expect(bn.parameters().map(({ value }) => value)).toEqual([bn.weight, bn.bias]);
    bn.parameters()[1]!.value[2] = 7;
    expect(bn.bias![2]).toBe(7);
  });

  it.each([
    [true, true, ['weight', 'bias']], [true, false, ['weight']], [false, true, ['bias']], [false, false, []],
  ])('with weight %s and bias %s are %j', (weight, bias, names) => {
    const bn = make({ weight, bias });
    bn.forward(data(1), shape);
    const { dweight, dbias } = bn.backward(data(2));
    expect(bn.parameters().map(({ name }) => name)).toEqual(names);
    expect(gradientsOf(bn)).toEqual([dweight, dbias].filter((gradient) => gradient !== null));
  });

  it('have the very arrays that the latest backward returned, in a list made once too', () => {
    const bn = make(), once = bn.parameters();
    for (const seed of [2, 3]) {
      bn.forward(data(1), shape);
      const { dweight, dbias } = bn.backward(data(seed));
      for (const [weight, bias] of [once, bn.parameters()]) {
        expect(weight!.gradient).toBe(dweight);
        expect(bias!.gradient).toBe(dbias);
      }
    }
  });

  it('have the gradients of the context that was differentiated last', () => {
    const bn = make();
    bn.forward(data(1), shape);
    const context = bn.context!;
    bn.forward(data(2), shape);
    bn.backward(data(4));
    const { dweight } = bn.backward(data(3), { context });
    expect(bn.parameters()[0]!.gradient).toBe(dweight);
    bn.forward(data(5), shape);
    expect(bn.parameters()[0]!.gradient).toBe(dweight);
  });

  it('have no gradients after a backward that was asked for none', () => {
    const bn = make();
    bn.forward(data(1), shape);
    bn.backward(data(2));
    bn.backward(data(2), { parameters: false });
    expect(gradientsOf(bn)).toEqual([null, null]);
  });

  it('keep their gradients where a backward throws, or sums alone are asked for', () => {
    const bn = make(), once = bn.parameters();
    bn.forward(data(1), shape);
    const { dweight } = bn.backward(data(2));
    expect(() => bn.backward(arrayOf(dtype, [1]))).toThrow(RangeError);
    expect(() => bn.backward(data(3), { parameters: 1 as never })).toThrow(TypeError);
    bn.backwardSums(data(3));
    expect(once[0]!.gradient).toBe(dweight);
  });

  it('have the gradients of the whole batch after backwardWith', () => {
    const bn = make();
    bn.forward(data(1), shape);
    const sums = addGradientSums(bn.backwardSums(data(2)), bn.backwardSums(data(3)));
    const { dweight, dbias } = bn.backwardWith(sums, data(2));
    expect(bn.parameters().map(({ gradient }) => gradient === dweight || gradient === dbias)).toEqual([true, true]);
  });

  it('have the gradients of the whole batch after backwardParts', () => {
    const bn = make(), { y, contexts } = forwardParts(bn, [1, 2].map((seed) => ({ x: data(seed), shape })));
    const { dweight, dbias } = backwardParts(bn, y, contexts);
    const [weight, bias] = bn.parameters();
    expect(weight!.gradient).toBe(dweight);
    expect(bias!.gradient).toBe(dbias);
  });

  it('have the sums over all slices after backwardGhost, and keep what they had where a slice throws', () => {
    const bn = make(), { contexts } = forwardGhost(bn, data(1), shape, 2);
    const { dweight, dbias } = backwardGhost(bn, data(2), contexts);
    const [weight, bias] = bn.parameters();
    expect(weight!.gradient).toBe(dweight);
    expect(bias!.gradient).toBe(dbias);
    const other = make();
    other.forward(data(1).subarray(0, 30), shapeIn(layout, [2, 3, 5]));
    expect(() => backwardGhost(bn, data(3), [contexts[0]!, other.context!])).toThrow(TypeError);
    expect(weight!.gradient).toBe(dweight);
  });

  it('are kept without their gradients by a layer that has been disposed', () => {
    const bn = make({ runtime: makeRuntime(kind) });
    bn.forward(data(1), shape);
    bn.backward(data(2));
    bn.dispose();
    expect(bn.parameters().map(({ value }) => value)).toEqual([bn.weight, bn.bias]);
    expect(gradientsOf(bn)).toEqual([null, null]);
  });

  it('cannot be put elsewhere by writing to them', () => {
    const [weight] = make().parameters();
    expect(() => { (weight as { gradient: unknown }).gradient = null; }).toThrow(TypeError);
  });
});
