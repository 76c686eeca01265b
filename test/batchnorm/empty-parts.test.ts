import { describe, expect, it } from 'vitest';
import { BatchNorm, moments } from '../../src/index.js';
import { arrayOf, COMBINATIONS, normal, RUNTIMES, shapeIn } from '../setup.js';

describe.each(COMBINATIONS)('parts without values in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind], none = arrayOf(dtype, []), shape = shapeIn(layout, [0, 3, 7]);
  const make = () => new BatchNorm(3, { dtype, layout, onSingleValue: 'zero', runtime });

  it('have gradients of 0 where the whole batch has no values', () => {
    const bn = make();
    bn.forward(none, shape);
    const zero = arrayOf(dtype, [0, 0, 0]);
    expect(bn.backwardWith(bn.backwardSums(none), none)).toEqual({ dx: none, dweight: zero, dbias: zero, dresidual: null });
  });

  it.each([1, 14])('have the parameter gradients of the others in training: %i values per channel', (count) => {
    const full = shapeIn(layout, [count, 3, 1]), x = arrayOf(dtype, normal(3 * count, 1)), dy = arrayOf(dtype, normal(3 * count, 2));
    const statistics = moments(x, full, { layout, runtime }), empty = make(), other = make();
    other.forwardWith(statistics, x, full);
    const sums = other.backwardSums(dy), { dweight, dbias } = other.backwardWith(sums, dy);
    expect(dbias).toEqual(arrayOf(dtype, sums.total));
    empty.forwardWith(statistics, none, shape);
    expect(empty.context!.variance).toEqual(other.context!.variance);
    expect(empty.backwardWith(sums, none)).toEqual({ dx: none, dweight, dbias, dresidual: null });
  });

  it('have the parameter gradients of the others in eval and frozen', () => {
    const x = arrayOf(dtype, normal(42, 1)), dy = arrayOf(dtype, normal(42, 2)), full = shapeIn(layout, [2, 3, 7]);
    for (const mode of ['eval', 'freeze'] as const) {
      const bn = make();
      bn.forward(arrayOf(dtype, normal(42, 3)), full);
      bn[mode]().forward(x, full);
      const sums = bn.backwardSums(dy), { dweight, dbias } = bn.backwardWith(sums, dy);
      bn.forward(none, shape);
      expect(bn.backwardWith(sums, none)).toEqual({ dx: none, dweight, dbias, dresidual: null });
    }
  });
});
