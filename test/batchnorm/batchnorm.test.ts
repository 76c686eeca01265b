import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, moments, type Tensor } from '../../src/index.js';
import { BROWSER } from '../host.js';
import type { Refusal } from '../refusal.js';
import { arrayOf, COMBINATIONS, everything, KINDS, makeRuntime, normal, RUNTIMES, shapeIn, sizeOf } from '../setup.js';

const SHAPE = [4, 3, 5];

describe.each(COMBINATIONS)('BatchNorm in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const shape = shapeIn(layout, SHAPE), size = sizeOf(SHAPE);
  const make = (options: BatchNormOptions = {}) => new BatchNorm(3, { dtype, layout, runtime, ...options });
  const data = (seed: number) => arrayOf(dtype, normal(size, seed, 2, 3));

  it('starts as torch does', () => {
    const bn = make();
    expect(bn).toMatchObject({
      channels: 3, eps: 1e-5, momentum: 0.1, layout, dtype, training: true, numBatchesTracked: 0, context: null,
    });
    expect(bn.weight).toEqual(arrayOf(dtype, [1, 1, 1]));
    expect(bn.bias).toEqual(arrayOf(dtype, [0, 0, 0]));
    expect(bn.runningMean).toEqual(arrayOf(dtype, [0, 0, 0]));
    expect(bn.runningVar).toEqual(arrayOf(dtype, [1, 1, 1]));
  });

  it('moves running statistics by the momentum, with the unbiased variance', () => {
    const bn = make({ momentum: 0.25 }), n = size / 3;
    bn.forward(data(1), shape);
    const { mean, variance } = bn.context!;
    bn.runningMean!.forEach((value, c) => { expect(value).toBeCloseTo(0.25 * mean[c]!, 5); });
    bn.runningVar!.forEach((value, c) => { expect(value).toBeCloseTo(0.75 + (0.25 * variance[c]! * n) / (n - 1), 5); });
    expect(bn.numBatchesTracked).toBe(1);
  });

  it('averages all batches alike where momentum is null', () => {
    const bn = make({ momentum: null, runningVariance: 'biased' });
    const contexts = [1, 2, 3].map((seed) => {
      bn.forward(data(seed), shape);
      return bn.context!;
    });
    const average = (pick: 'mean' | 'variance', c: number) =>
      contexts.reduce((total, each) => total + each[pick][c]!, 0) / 3;
    bn.runningMean!.forEach((value, c) => { expect(value).toBeCloseTo(average('mean', c), 5); });
    bn.runningVar!.forEach((value, c) => { expect(value).toBeCloseTo(average('variance', c), 5); });
    expect(bn.numBatchesTracked).toBe(3);
  });

  it('normalises a training batch alike whatever the momentum and the running statistics', () => {
    const other = make({ momentum: 1 });
    other.runningMean!.fill(50);
    expect(other.forward(data(1), shape)).toEqual(make({ momentum: 0 }).forward(data(1), shape));
  });

  it('leaves running statistics alone in eval and with updateStats false', () => {
    const bn = make();
    bn.forward(data(1), shape);
    const before = bn.stateDict();
    bn.forward(data(2), shape, { updateStats: false });
    bn.eval().forward(data(3), shape);
    bn.eval().forward(data(3), shape, { updateStats: true });
    expect(bn.stateDict()).toEqual(before);
  });

  it('takes batch statistics in eval too where none are tracked', () => {
    const bn = make({ trackRunningStats: false });
    expect([bn.runningMean, bn.runningVar]).toEqual([null, null]);
    const y = bn.forward(data(1), shape);
    expect(bn.eval().forward(data(1), shape)).toEqual(y);
    expect(bn.context!.mode).toBe('batch');
    expect(bn.numBatchesTracked).toBe(0);
  });

  it.each([
    [true, true], [true, false], [false, true], [false, false],
  ])('has weight %s and bias %s apart from each other', (weight, bias) => {
    const bn = make({ weight, bias }), full = make();
    for (const mode of ['train', 'eval'] as const) {
      expect(bn[mode]().forward(data(1), shape)).toEqual(full[mode]().forward(data(1), shape));
      const gradients = bn.backward(data(2)), expected = full.backward(data(2));
      expect(gradients)
        .toEqual({ ...expected, dweight: weight ? expected.dweight : null, dbias: bias ? expected.dbias : null });
    }
  });

  it('differentiates two forwards in either order, whatever the mode has become', () => {
    const bn = make();
    bn.weight!.set([2, 3, 4]);
    const first = data(1), second = data(2), dy = data(3);
    const alone = [first, second].map((x) => {
      bn.forward(x, shape, { updateStats: false });
      return bn.backward(dy);
    });
    bn.forward(first, shape, { updateStats: false });
    const contextOfFirst = bn.context!;
    bn.forward(second, shape, { updateStats: false });
    const contextOfSecond = bn.context!;
    bn.eval().forward(data(4), shape);
    bn.weight!.set([9, 9, 9]);
    expect(bn.backward(dy, { context: contextOfSecond })).toEqual(alone[1]);
    expect(bn.backward(dy, { context: contextOfFirst })).toEqual(alone[0]);
    expect(bn.backward(dy, { context: contextOfFirst })).toEqual(alone[0]);
  });

  it('differentiates the latest forward that went well, after one that ran out of memory', () => {
    const runtime = makeRuntime(kind, { maximumBytes: 4 * 65536 });
    const bn = make({ runtime }), dy = data(2), big = arrayOf(dtype, new Array(3 * 40000).fill(1));
    bn.forward(data(1), shape);
    const expected = bn.backward(dy);
    expect(() => bn.forward(big, shapeIn(layout, [1, 3, 40000]))).toThrow(RangeError);
    expect(bn.backward(dy)).toEqual(expected);
  });

  it('keeps the statistics of eval in its context, apart from later updates', () => {
    const bn = make();
    bn.forward(data(1), shape);
    bn.eval().forward(data(2), shape);
    const context = bn.context!, dy = data(3), expected = bn.backward(dy);
    expect(context.mode).toBe('running');
    expect(arrayOf(dtype, context.mean)).toEqual(bn.runningMean);
    bn.train().forward(data(4), shape);
    bn.resetRunningStats();
    expect(bn.backward(dy, { context })).toEqual(expected);
  });

  it('reports mode, mean, biased variance and count in a context that cannot be changed', () => {
    const bn = make();
    bn.forward(data(1), shape);
    const context = bn.context!;
    expect(context).toMatchObject({ mode: 'batch', count: size / 3 });
    expect([context.mean.length, context.variance.length]).toEqual([3, 3]);
    expect(() => { (context as { count: number }).count = 1; }).toThrow(TypeError);
  });

  it('gives tensors and arrays the same bits', () => {
    const ofArrays = make(), ofTensors = make(), start = runtime.bytesInUse;
    const x = runtime.tensor(shape, { dtype, data: data(1) }), dy = runtime.tensor(shape, { dtype, data: data(2) });
    for (const mode of ['train', 'eval'] as const) {
      const y = ofTensors[mode]().forward(x);
      expect(y.shape).toEqual(shape);
      expect(y.data).toEqual(ofArrays[mode]().forward(data(1), shape));
      const gradients = ofTensors.backward(dy), expected = ofArrays.backward(data(2));
      expect({ ...gradients, dx: gradients.dx.data }).toEqual(expected);
      y.dispose();
      gradients.dx.dispose();
    }
    x.dispose();
    dy.dispose();
    expect(runtime.bytesInUse).toBe(start);
  });

  it('writes into out and returns it, in place too', () => {
    const bn = make(), x = data(1), y = data(9), dy = data(2), dx = data(9);
    const expected = make().forward(x, shape);
    expect(bn.forward(x, shape, { out: y })).toBe(y);
    expect(y).toEqual(expected);
    const gradients = bn.backward(dy);
    expect(bn.backward(dy, { out: dx }).dx).toBe(dx);
    expect(dx).toEqual(gradients.dx);
    expect(bn.backward(dy, { out: dy }).dx).toBe(dy);
    expect(dy).toEqual(gradients.dx);
    expect(bn.forward(x, shape, { out: x })).toBe(x);
    expect(x).toEqual(expected);
    const tensor = runtime.tensor(shape, { dtype, data: data(1) });
    expect(bn.forward(tensor, { out: tensor })).toBe(tensor);
    expect(tensor.data).toEqual(expected);
    tensor.dispose();
  });

  it('leaves x, dy and the parameters as they were', () => {
    const bn = make(), x = data(1), dy = data(2);
    bn.forward(x, shape);
    bn.backward(dy);
    expect([x, dy, bn.weight, bn.bias])
      .toEqual([data(1), data(2), arrayOf(dtype, [1, 1, 1]), arrayOf(dtype, [0, 0, 0])]);
  });

  it('changes nothing on an empty batch, and gives it empty results and zero gradients', () => {
    const bn = make(), before = everything(bn), empty = shapeIn(layout, [0, 3, 5]);
    expect(bn.forward(arrayOf(dtype, []), empty)).toEqual(arrayOf(dtype, []));
    expect(everything(bn)).toEqual({ ...before, context: bn.context });
    expect(bn.context!.count).toBe(0);
    const zero = arrayOf(dtype, [0, 0, 0]);
    expect(bn.backward(arrayOf(dtype, [])))
      .toEqual({ dx: arrayOf(dtype, []), dweight: zero, dbias: zero, dresidual: null });
    const tensor = runtime.tensor(empty, { dtype }), y = bn.forward(tensor);
    expect(y.shape).toEqual(empty);
    tensor.dispose();
    y.dispose();
  });

  it('keeps a NaN in its own channel', () => {
    const bn = make(), x = arrayOf(dtype, new Array(6).fill(0).map((_, i) => (i === 1 ? Number.NaN : i)));
    const y = bn.forward(x, [2, 3]);
    expect(Array.from(y, Number.isNaN)).toEqual([false, true, false, false, true, false]);
    expect(Array.from(bn.runningVar!, Number.isNaN)).toEqual([false, true, false]);
  });

  it('resets its running statistics', () => {
    const bn = make();
    bn.forward(data(1), shape);
    expect(bn.resetRunningStats()).toBe(bn);
    expect(bn.stateDict()).toEqual(make().stateDict());
  });

  const otherDtype = dtype === 'float32' ? 'float64' : 'float32';
  it.each(Object.entries<Omit<Refusal<[BatchNorm]>, 'message'>>({
    'one value a channel': { throws: RangeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), [1, 3]) },
    'x of a wrong length': { throws: RangeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3, 4]), [2, 3]) },
    'x of another dtype': { throws: TypeError,
      call: (bn) => bn.forward(arrayOf(otherDtype, [1, 2, 3, 4, 5, 6]), [2, 3]) },
    'x that is no array': { throws: TypeError, call: (bn) => bn.forward([1, 2, 3, 4, 5, 6] as never, [2, 3]) },
    'no x': { throws: TypeError, call: (bn) => bn.forward(undefined as never, [2, 3]) },
    'another number of channels': { throws: RangeError,
      call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3, 4]), [2, 2]) },
    'a rank of 1': { throws: RangeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), [3]) },
    'no shape': { throws: TypeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), undefined as never) },
    'a NaN dimension': { throws: RangeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), [Number.NaN, 3]) },
    'a negative dimension': { throws: RangeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), [-1, 3]) },
    'a dimension of 1.5': { throws: RangeError, call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), [1.5, 3]) },
    'dimensions whose product overflows': { throws: RangeError,
      call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), shapeIn(layout, [2 ** 30, 3, 2 ** 30])) },
    'a product that wraps to a small number': { throws: RangeError,
      call: (bn) => bn.forward(arrayOf(dtype, []), shapeIn(layout, [2 ** 16, 3, 2 ** 16])) },
    'a dimension that is no number': { throws: TypeError,
      call: (bn) => bn.forward(arrayOf(dtype, [1, 2, 3]), ['1', 3] as never) },
    'out of a wrong length': { throws: RangeError,
      call: (bn) => bn.forward(data(1), shape, { out: arrayOf(dtype, [1]) }) },
    'a misspelt option': { throws: TypeError, call: (bn) => bn.forward(data(1), shape, { update: false } as never) },
    'updateStats that is no boolean': { throws: TypeError,
      call: (bn) => bn.forward(data(1), shape, { updateStats: 0 as never }) },
    'dy of a wrong length': { throws: RangeError, call: (bn) => bn.backward(arrayOf(dtype, [1])) },
    'dy of another dtype': { throws: TypeError, call: (bn) => bn.backward(arrayOf(otherDtype, normal(size, 1))) },
    'a context of another module': { throws: TypeError,
      call: (bn) => {
        const other = make();
        other.forward(data(1), shape);
        bn.backward(data(1), { context: other.context! });
      } },
    'a context made by hand': { throws: TypeError,
      call: (bn) => bn.backward(data(1), { context: { ...bn.context! } }) },
    'a tensor where x was an array': { throws: TypeError,
      call: (bn) => {
        const tensor = runtime.tensor(shape, { dtype });
        try {
          bn.backward(tensor);
        } finally {
          tensor.dispose();
        }
      } },
    'a tensor of another runtime': { throws: TypeError,
      call: (bn) => bn.forward(makeRuntime(kind).tensor(shape, { dtype })) },
    'a disposed tensor': { throws: TypeError,
      call: (bn) => {
        const tensor = runtime.tensor(shape, { dtype });
        tensor.dispose();
        bn.forward(tensor);
      } },
    'a tensor out of another rank': { throws: RangeError,
      call: (bn) => {
        const tensor = runtime.tensor(shape, { dtype }), out = runtime.tensor([size], { dtype });
        try {
          bn.forward(tensor, { out });
        } finally {
          tensor.dispose();
          out.dispose();
        }
      } },
    'out that overlaps x in part': { throws: RangeError,
      call: (bn) => {
        const buffer = arrayOf(dtype, normal(size + 1, 1));
        bn.forward(buffer.subarray(1), shape, { out: buffer.subarray(0, size) });
      } },
    'mode that is no boolean': { throws: TypeError, call: (bn) => bn.train('no' as never) },
  }))('throws for %s and leaves everything as it was', (_, { throws, call }) => {
    const bn = make(), start = runtime.bytesInUse;
    bn.forward(data(7), shape);
    const before = everything(bn);
    expect(() => call(bn)).toThrow(throws);
    expect(everything(bn)).toEqual(before);
    expect(runtime.bytesInUse).toBe(start);
  });

  it('throws for a backward before any forward, and for one whose x was overwritten', () => {
    expect(() => make().backward(data(1)))
      .toThrow(new TypeError('backward() expected a forward() before it, got none'));
    const bn = make(), x = data(1);
    bn.forward(x, shape, { out: x });
    expect(() => bn.backward(data(2))).toThrow(TypeError);
  });

  it('throws where dx would overwrite the x that its context holds', () => {
    const bn = make(), x = data(1);
    bn.forward(x, shape);
    expect(() => bn.backward(data(2), { out: x })).toThrow(RangeError);
    expect(x).toEqual(data(1));
  });

  it('throws after dispose', () => {
    const bn = make();
    bn.forward(data(1), shape);
    bn.dispose();
    bn.dispose();
    expect(() => bn.forward(data(1), shape)).toThrow(TypeError);
    expect(() => bn.backward(data(1))).toThrow(TypeError);
    expect(bn.context).toBeNull();
  });
});

describe.each(KINDS)('messages of %s', (kind) => {
  const bn = new BatchNorm(64, { runtime: RUNTIMES[kind] });

  it('say what was expected and what came', () => {
    expect(() => bn.forward(new Float32Array(4095), [8, 64, 8]))
      .toThrow('"x" expected Float32Array of length 4096 (8x64x8), got length 4095');
    expect(() => bn.forward(new Float32Array(64), [1, 64]))
      .toThrow('Expected more than 1 value per channel when training, got shape [1, 64]');
    expect(() => bn.forward(new Float64Array(128) as never, [2, 64]))
      .toThrow('"x" expected Float32Array of length 128 (2x64), got Float64Array of length 128');
  });
});

describe.each(KINDS)('a Tensor of %s', (kind) => {
  it('with a shape beside it is refused: it has its own', () => {
    const runtime = RUNTIMES[kind], bn = new BatchNorm(2, { runtime }), tensor = runtime.tensor([3, 2]), before = everything(bn);
    const message = 'forward() expected no shape with a Tensor, which has its own ([3, 2]), got [2, 2]';
    expect(() => bn.forward(tensor, [2, 2] as never)).toThrow(new TypeError(message));
    expect(() => bn.forwardWith(moments(tensor, [3, 2]), tensor, [2, 2] as never)).toThrow(new TypeError(message));
    expect(everything(bn)).toEqual(before);
    tensor.dispose();
  });
});

describe.each(KINDS)('memory of %s', (kind) => {
  const maximumBytes = 2 ** 20, shape = [4, 8, 1000], bytes = 128_000;

  it('says what was asked, in use and allowed where it runs out, and nothing has changed', () => {
    const runtime = makeRuntime(kind, { maximumBytes }), bn = new BatchNorm(8, { runtime });
    const x = runtime.tensor(shape, { data: normal(32_000, 1) });
    const tensors: Tensor[] = [];
    const fill = () => {
      for (;;) tensors.push(runtime.tensor(shape));
    };
    expect(fill).toThrow(RangeError);
    expect(fill)
      .toThrow(`Out of memory: asked for ${bytes} bytes with ${runtime.bytesInUse} in use and ${maximumBytes} allowed`);
    const before = everything(bn), inUse = runtime.bytesInUse;
    expect(() => bn.forward(x)).toThrow(RangeError);
    // As it ships, a runtime with threads stages typed arrays in a memory of their own.
    if (!(BROWSER && kind === 'wasm-threads')) expect(() => bn.forward(new Float32Array(32_000), shape)).toThrow(RangeError);
    expect(everything(bn)).toEqual(before);
    expect(runtime.bytesInUse).toBe(inUse);
    tensors.pop()!.dispose();
    tensors.pop()!.dispose();
    bn.forward(x).dispose();
    expect(bn.numBatchesTracked).toBe(1);
  });

  it('comes back to nothing when everything is disposed', () => {
    const runtime = makeRuntime(kind), bn = new BatchNorm(8, { runtime });
    const x = runtime.tensor(shape), y = bn.forward(x), { dx } = bn.backward(x);
    expect(runtime.bytesInUse).toBe(3 * bytes);
    bn.forward(new Float32Array(32_000), shape);
    bn.backward(new Float32Array(32_000));
    for (const tensor of [x, y, dx]) tensor.dispose();
    bn.dispose();
    expect(runtime.bytesInUse).toBe(0);
  });

  it('makes modules share one runtime where none is given', () => {
    const bn = new BatchNorm(2);
    expect(bn.forward(Float32Array.of(1, 2, 3, 4), [2, 2]).length).toBe(4);
  });
});
