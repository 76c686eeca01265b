/** Arrays that live in the memory of a runtime, passed to calls that make it grow: results are those of arrays outside. */
import { describe, expect, it } from 'vitest';
import {
  BatchNorm, type BatchNormOptions, backwardGhost, backwardParts, type DType, forwardGhost, forwardParts, type Layout, moments,
  type Runtime, type Tensor,
} from '../../src/index.js';
import { expectSame, fill, LEFT, outlivesGrowth } from '../growth.js';
import { arrayOf, COMBINATIONS, type Kind, makeRuntime, maskOf, normal, RUNTIMES, shapeIn, sizeOf } from '../setup.js';

/** Of enough channels for their numbers to be allocated. */
const SHAPE = [8, 400, 2], CHANNELS = 400, POSITIONS = 16;

/** What a test works with: arrays outside, their like in a memory that is full but for `left` bytes, and both as views. */
interface Setting {
  readonly kind: Kind;
  readonly dtype: DType;
  readonly layout: Layout;
  /** Whether the arrays live in the memory of the layer's runtime or of another one, which is full as well. */
  readonly of: 'its own' | 'another';
  readonly left: number;
}

const SETTINGS: Setting[] = COMBINATIONS.flatMap((combination) => [
  ...LEFT.map((left) => ({ ...combination, of: 'its own' as const, left })), { ...combination, of: 'another' as const, left: 0 },
]);

/** The tests are written for one dtype, and run for both. */
type Array32 = Float32Array;

type Name = 'x' | 'residual' | 'dy' | 'out' | 'dx';
const record = <T>(make: (name: Name, i: number) => T) =>
  Object.fromEntries((['x', 'residual', 'dy', 'out', 'dx'] as const).map((name, i) => [name, make(name, i)])) as Record<Name, T>;
const NUMBERS = record((_, i) => normal(sizeOf(SHAPE), i + 3, 1, 2));

function prepare({ kind, dtype, layout, of, left }: Setting, options: BatchNormOptions = {}) {
  const own = makeRuntime(kind), home = of === 'its own' ? own : makeRuntime(kind), shape = shapeIn(layout, SHAPE);
  const make = (runtime: Runtime) => {
    const bn = new BatchNorm(CHANNELS, { dtype, layout, runtime, ...options });
    bn.weight!.set(normal(CHANNELS, 1, 1, 0.3));
    bn.bias!.set(normal(CHANNELS, 2));
    return bn;
  };
  const arrays = record((name) => arrayOf(dtype, NUMBERS[name]) as Array32);
  const tensors = record((name) => home.tensor(shape, { dtype, data: NUMBERS[name] }));
  const mask = maskOf(POSITIONS, 9), place = home.tensor([POSITIONS / 4]);
  bytesOf(place).set(mask);
  /** Growth, from within or without. */
  const grow = () => { for (const runtime of [own, home]) runtime.tensor([runtime.tensor([1]).data.buffer.byteLength / 4]); };
  const numbers = home.tensor([2, CHANNELS], { dtype: 'float64' });
  const statisticsIn = (...rows: [Float64Array, Float64Array]) => rows.map((row, i) => {
    const { data } = numbers, view = data.subarray(CHANNELS * i, CHANNELS * (i + 1)) as Float64Array;
    view.set(row);
    return view;
  }) as [Float64Array, Float64Array];
  const refill = () => { for (const runtime of new Set([own, home])) fill(runtime, left); };
  refill();
  const view = (name: Name) => tensors[name].data as Array32;
  const maskView = () => bytesOf(place);
  return { of, shape, arrays, tensors, view, mask, maskView, statisticsIn, refill, grow, plain: make(RUNTIMES[kind]), bn: make(own) };
}

const bytesOf = ({ data }: Tensor) => new Uint8Array(data.buffer, data.byteOffset, POSITIONS);

describe.each(SETTINGS)('views of the memory of $of runtime, $left bytes before growth, in $kind $dtype $layout', (setting) => {
  const { kind } = setting;

  it('are x, residual, mask and out of a forward, and what is returned is out', () => {
    const { bn, plain, shape, arrays, view, mask, maskView, tensors } = prepare(setting);
    const { x, residual, out } = arrays, y = plain.forward(x, shape, { residual, mask, out });
    const given = view('out'), result = bn.forward(view('x'), shape, { residual: view('residual'), mask: maskView(), out: given });
    expectSame(result, y);
    expectSame(tensors.out.data, y);
    if (!outlivesGrowth(given)) expect(result.buffer).toBe(tensors.out.data.buffer);
    expect(result.byteOffset).toBe(tensors.out.data.byteOffset);
    expect(result === given).toBe(given.length > 0);
    expectSame(bn.stateDict(), plain.stateDict());
    expectSame(tensors.x.data, x);
  });

  it.each(['relu', 'none'] as const)('are what a backward needs: x, y, dy and out, activation %s', (activation) => {
    const { bn, plain, shape, arrays, view, mask, maskView, tensors, grow } = prepare(setting, { activation });
    const { x, residual, dy, out } = arrays;
    plain.forward(x, shape, { residual, mask, out });
    const expected = plain.backward(dy);
    bn.forward(view('x'), shape, { residual: view('residual'), mask: maskView(), out: view('out') });
    const before = bn.context!;
    grow();
    const given = view('dx'), actual = bn.backward(view('dy'), { out: given });
    expectSame(actual, expected);
    expectSame(tensors.dx.data, expected.dx);
    expect(actual.dx === given).toBe(given.length > 0);
    grow();
    expectSame(bn.backward(view('dy'), { context: before }), expected);
  });

  it('are x alone, of a forward whose backward comes after growth', () => {
    const { bn, plain, shape, arrays, view, grow } = prepare(setting), { x, dy } = arrays;
    expectSame(bn.forward(view('x'), shape), plain.forward(x, shape));
    grow();
    expectSame(bn.backward(dy), plain.backward(dy));
    expectSame(bn.backwardSums(view('dy')), plain.backwardSums(dy));
  });

  it('are the tensors of a forward beside a mask', () => {
    const { bn, plain, shape, arrays, tensors, mask, maskView, grow } = prepare({ ...setting, of: 'its own' });
    const y = bn.forward(tensors.x, { residual: tensors.residual, mask: maskView() });
    expectSame(y.data, plain.forward(arrays.x, shape, { residual: arrays.residual, mask }));
    grow();
    const { dx, dresidual } = bn.backward(tensors.dy), expected = plain.backward(arrays.dy);
    expectSame([dx.data, dresidual!.data], [expected.dx, expected.dresidual]);
  });

  it('are statistics and gradient sums of a whole batch', () => {
    const { bn, plain, shape, arrays, view, tensors, statisticsIn, refill, of } = prepare(setting), { x, dy } = arrays;
    const { count, mean, m2 } = moments(x, shape, { layout: bn.layout });
    const expected = plain.forwardWith({ count, mean, m2 }, x, shape), sums = plain.backwardSums(dy);
    const inMemory = () => {
      refill();
      const [first, second] = statisticsIn(mean, m2);
      return { count, mean: first, m2: second };
    };
    expectSame(bn.forwardWith(inMemory(), view('x'), shape), expected);
    expectSame(bn.stateDict(), plain.stateDict());
    refill();
    const [total, dot] = statisticsIn(sums.total, sums.dot);
    const { dx, dweight, dbias } = plain.backwardWith(sums, dy);
    expectSame(bn.backwardWith({ total, dot }, view('dy')), { dx, dweight, dbias, dresidual: null });
    if (of === 'another') return;
    expectSame(bn.forwardWith(inMemory(), tensors.x).data, expected);
    refill();
    const [again, dots] = statisticsIn(sums.total, sums.dot);
    expectSame(bn.backwardWith({ total: again, dot: dots }, tensors.dy).dx.data, dx);
  });

  it('are parts of batches, each of which makes memory grow', () => {
    const { bn, plain, shape, arrays, mask, maskView, view, refill } = prepare(setting), { x, dy, residual, dx } = arrays;
    const expected = forwardParts(plain, [{ x, shape }, { x: residual, shape, mask }]);
    const actual = forwardParts(bn, [{ x: view('x'), shape }, { x: view('residual'), shape, mask: maskView() }]);
    expectSame(actual.y, expected.y);
    refill();
    expectSame(backwardParts(bn, [view('dy'), view('dx')], actual.contexts), backwardParts(plain, [dy, dx], expected.contexts));
  });

  it('are ghost batches', () => {
    const { bn, plain, shape, arrays, view } = prepare(setting), { x, dy } = arrays;
    const expected = forwardGhost(plain, x, shape, 3), actual = forwardGhost(bn, view('x'), shape, 3);
    expectSame(actual.y, expected.y);
    expectSame(backwardGhost(bn, view('dy'), actual.contexts), backwardGhost(plain, dy, expected.contexts));
  });

  it('are a mask of a kind whose slice() is no copy, as that of a Node Buffer is none', () => {
    class Sharing extends Uint8Array<ArrayBuffer> {
      override slice(start?: number, end?: number) { return this.subarray(start, end); }
    }
    const { bn, plain, shape, arrays, mask, maskView, tensors } = prepare({ ...setting, of: 'its own' });
    const { buffer, byteOffset, length } = maskView();
    const y = bn.forward(tensors.x, { mask: new Sharing(buffer as ArrayBuffer, byteOffset, length) });
    expectSame(y.data, plain.forward(arrays.x, shape, { mask }));
  });

  it('are told apart by their place in memory, whatever has grown', () => {
    const { bn, shape, view, grow } = prepare(setting);
    const shifted = () => {
      const x = view('x');
      return new (x.constructor as typeof Float32Array)(x.buffer as ArrayBuffer, x.byteOffset + 64, x.length);
    };
    expect(() => bn.forward(view('x'), shape, { out: shifted() })).toThrow(/"out" expected to be "x" itself or apart from it/);
    bn.forward(view('x'), shape);
    grow();
    expect(() => bn.backward(view('dy'), { out: shifted() })).toThrow(/"out" expected to be "x" itself or apart from it/);
    expect(() => bn.backward(view('dy'), { out: view('x') })).toThrow(/"out" expected to be apart from x/);
    const x = view('x');
    bn.forward(x, shape, { out: x.subarray(0) });
    grow();
    expect(() => bn.backward(view('dy'))).toThrow(/"?backward\(\) expected x to be kept/);
  });

  it('are refused with the reason once growth has emptied them, and good where threads share the memory', () => {
    const { bn, shape, view, grow, maskView } = prepare(setting), x = view('x'), mask = maskView(), state = bn.stateDict();
    grow();
    if (outlivesGrowth(x)) {
      expectSame(bn.forward(x, shape, { mask, updateStats: false }), bn.forward(view('x'), shape, { mask: maskView(), updateStats: false }));
      return;
    }
    const reason = /got length 0 \(detached: read a tensor's data again once memory may have grown\)/;
    expect(x.length).toBe(0);
    expect(() => bn.forward(x, shape)).toThrow(reason);
    expect(() => bn.forward(view('x'), shape, { mask })).toThrow(reason);
    expect(() => bn.forward(view('x'), shape, { out: x })).toThrow(reason);
    expect(() => makeRuntime(kind).tensor(shape, { data: x })).toThrow(reason);
    expectSame(bn.stateDict(), state);
  });
});
