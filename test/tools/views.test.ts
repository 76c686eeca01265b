/** Batches that live in the memory of a runtime, passed to tools that make it grow. */
import { describe, expect, it } from 'vitest';
import { BatchNorm, diagnose, moments, recalibrate } from '../../src/index.js';
import { expectSame, fill, LEFT } from '../growth.js';
import { arrayOf, COMBINATIONS, makeRuntime, maskOf, normal, RUNTIMES, shapeIn, sizeOf } from '../setup.js';

const SHAPE = [8, 400, 2], CHANNELS = 400, POSITIONS = 16;
const NUMBERS = [1, 2, 3].map((seed) => normal(sizeOf(SHAPE), seed, 1, 2));

describe.each(COMBINATIONS.flatMap((combination) => LEFT.map((left) => ({ ...combination, left }))))(
  'batches in memory, $left bytes before growth, in $kind $dtype $layout',
  ({ kind, dtype, layout, left }) => {
    const shape = shapeIn(layout, SHAPE), mask = maskOf(POSITIONS, 1);
    const prepare = () => {
      const runtime = makeRuntime(kind), place = runtime.tensor([POSITIONS / 4]);
      const values = NUMBERS.map((numbers) => arrayOf(dtype, numbers));
      values[0]!.forEach((_, i) => { if (i % 7 === 0) values[0]![i] = Number.NaN; });
      const tensors = values.map((data) => runtime.tensor(shape, { dtype, data }));
      const counts = () => new Uint8Array(place.data.buffer, place.data.byteOffset, POSITIONS);
      counts().set(mask);
      fill(runtime, left);
      const bn = new BatchNorm(CHANNELS, { dtype, layout, runtime });
      return { runtime, values, tensors, counts, bn, plain: new BatchNorm(CHANNELS, { dtype, layout, runtime: RUNTIMES[kind] }) };
    };

    it('have moments', () => {
      const { runtime, values, tensors, counts } = prepare();
      const expected = moments(values[1]!, shape, { layout, mask, runtime: RUNTIMES[kind] });
      expectSame(moments(tensors[1]!.data, shape, { layout, mask: counts(), runtime }), expected);
    });

    it.each([false, true])('are diagnosed, as a tensor: %s', (asTensor) => {
      const { values, tensors, counts, bn, plain } = prepare();
      const x = asTensor ? tensors[0]! : tensors[0]!.data;
      const actual = diagnose(bn, x, shape, { mask: counts() }), expected = diagnose(plain, values[0]!, shape, { mask });
      expectSame(actual, expected);
      const { nonFinite } = diagnose(plain, values[0]!, shape);
      expect(nonFinite.some((count, c) => count > expected.nonFinite[c]!)).toBe(true);
      expect(expected.nonFinite.some((count) => count > 0)).toBe(true);
    });

    it.each(['paper', 'population'] as const)('recalibrate a layer, estimator %s', (estimator) => {
      const { values, tensors, counts, bn, plain } = prepare();
      recalibrate(bn, [{ x: tensors[1]!.data, shape, mask: counts() }, { x: tensors[2]!.data, shape }], { estimator });
      recalibrate(plain, [{ x: values[1]!, shape, mask }, { x: values[2]!, shape }], { estimator });
      expectSame(bn.stateDict(), plain.stateDict());
    });
  },
);
