import { describe, expect, it } from 'vitest';
import {
  BatchNorm, type BatchNormOptions, type DType, type FoldOptions, foldInto, foldingError, type Layer,
} from '../../src/index.js';
import { expectRefusal } from '../refusal.js';
import { arrayOf, DTYPES, distance, normal, random, sizeOf } from '../setup.js';
import { U } from '../tolerances.js';

const H = 4, W = 5, KH = 2, KW = 3;

/** A batch norm with the parameters and statistics of a trained one. */
function trained(channels: number, dtype: DType = 'float64', options: BatchNormOptions = {}): BatchNorm {
  const bn = new BatchNorm(channels, { dtype, ...options }).eval(), uniform = random(channels);
  bn.weight?.set(normal(channels, 11));
  bn.bias?.set(normal(channels, 12));
  bn.runningMean!.set(normal(channels, 13, 1, 2));
  bn.runningVar!.set(Array.from({ length: channels }, () => 0.1 + 3 * uniform()));
  return bn;
}

/** A plain convolution of an image [in, H, W]; `at` reads a weight by output, input of the group, row and column. */
function convolve(
  x: ArrayLike<number>, inputs: number, outputs: number, groups: number, padding: number,
  at: (o: number, j: number, r: number, s: number) => number, bias: ArrayLike<number> | null,
): number[] {
  const y: number[] = [], each = inputs / groups;
  for (let o = 0; o < outputs; o++) {
    for (let h = -padding; h + KH <= H + padding; h++) {
      for (let w = -padding; w + KW <= W + padding; w++) {
        let sum = bias ? bias[o]! : 0;
        for (let j = 0; j < each; j++) {
          const i = Math.floor((o * groups) / outputs) * each + j;
          for (let r = 0; r < KH; r++) {
            for (let s = 0; s < KW; s++) {
              const inside = h + r >= 0 && h + r < H && w + s >= 0 && w + s < W;
              if (inside) sum += x[(i * H + h + r) * W + w + s]! * at(o, j, r, s);
            }
          }
        }
        y.push(sum);
      }
    }
  }
  return y;
}

/** A transposed convolution as in PyTorch, stride 1: every input adds its weights times itself to the outputs below. */
function spread(
  x: ArrayLike<number>, inputs: number, outputs: number, groups: number, weight: ArrayLike<number>,
  bias: ArrayLike<number> | null,
): number[] {
  const height = H + KH - 1, width = W + KW - 1, each = outputs / groups;
  const biasOf = (o: number) => (bias ? bias[o]! : 0);
  const y = Array.from({ length: outputs * height * width }, (_, i) => biasOf(Math.floor(i / (height * width))));
  for (let i = 0; i < inputs; i++) {
    for (let k = 0; k < each; k++) {
      const o = Math.floor(i / (inputs / groups)) * each + k;
      for (let h = 0; h < H; h++) for (let w = 0; w < W; w++) {
        for (let r = 0; r < KH; r++) for (let s = 0; s < KW; s++) {
          const product = x[(i * H + h) * W + w]! * weight[((i * each + k) * KH + r) * KW + s]!;
          y[(o * height + h + r) * width + w + s]! += product;
        }
      }
    }
  }
  return y;
}

function linear(
  x: ArrayLike<number>, inputs: number, outputs: number, weight: (o: number, i: number) => number,
  bias: ArrayLike<number> | null,
): number[] {
  return Array.from({ length: (x.length / inputs) * outputs }, (_, index) => {
    const n = Math.floor(index / outputs), o = index % outputs;
    let sum = bias ? bias[o]! : 0;
    for (let i = 0; i < inputs; i++) sum += x[n * inputs + i]! * weight(o, i);
    return sum;
  });
}

type Run = (x: ArrayLike<number>, weight: ArrayLike<number>, bias: ArrayLike<number> | null) => number[];

/** name, inputs, outputs, shape of the weight, options, shape of x without channels and of y, and the layer itself. */
const LAYERS: [string, number, number, number[], FoldOptions, 'rows' | 'image', Run][] = [
  ['a linear layer [out, in]', 5, 3, [3, 5], {}, 'rows', (x, w, b) => linear(x, 5, 3, (o, i) => w[o * 5 + i]!, b)],
  ['a dense layer [in, out]', 5, 3, [5, 3], { format: 'HWIO' }, 'rows', (x, w, b) =>
    linear(x, 5, 3, (o, i) => w[i * 3 + o]!, b)],
  ['a convolution [out, in, kh, kw]', 3, 4, [4, 3, KH, KW], { padding: 0 }, 'image', (x, w, b) =>
    convolve(x, 3, 4, 1, 0, (o, j, r, s) => w[((o * 3 + j) * KH + r) * KW + s]!, b)],
  ['a convolution of two groups', 4, 6, [6, 2, KH, KW], { groups: 2, padding: 0 }, 'image', (x, w, b) =>
    convolve(x, 4, 6, 2, 0, (o, j, r, s) => w[((o * 2 + j) * KH + r) * KW + s]!, b)],
  ['a convolution [kh, kw, in, out] of two groups',
    4, 6, [KH, KW, 2, 6], { format: 'HWIO', groups: 2, padding: 0 }, 'image',
    (x, w, b) => convolve(x, 4, 6, 2, 0, (o, j, r, s) => w[((r * KW + s) * 2 + j) * 6 + o]!, b)],
  ['a depthwise convolution [kh, kw, channels, multiplier]',
    3, 6, [KH, KW, 3, 2], { format: 'HWIM', padding: 0 }, 'image',
    (x, w, b) => convolve(x, 3, 6, 3, 0, (o, _, r, s) => w[((r * KW + s) * 3 + Math.floor(o / 2)) * 2 + (o % 2)]!, b)],
  ['a transposed convolution of two groups', 4, 6, [4, 3, KH, KW], { format: 'IOHW', groups: 2 }, 'image', (x, w, b) =>
    spread(x, 4, 6, 2, w, b)],
];

/** The scale of absolute differences. */
const absolute = () => 1;

function evaluate(bn: BatchNorm, x: readonly number[], kind: 'rows' | 'image'): Float64Array {
  const shape = kind === 'rows' ? [x.length / bn.channels, bn.channels] : [1, bn.channels, x.length / bn.channels];
  return bn.forward(Float64Array.from(x), shape);
}

describe.each(LAYERS)('%s', (_, inputs, outputs, shape, options, kind, run) => {
  const x = normal(kind === 'rows' ? 4 * inputs : inputs * H * W, 21);
  const weight = Float64Array.from(normal(sizeOf(shape), 22)), bias = Float64Array.from(normal(outputs, 23));

  it.each([true, false])('before a batch norm does alone what both did (bias: %s)', (hasBias) => {
    const bn = trained(outputs), layer = { weight, bias: hasBias ? bias : null };
    const folded = foldInto(bn, layer, { ...options, shape });
    expect(distance(run(x, folded.weight, folded.bias), evaluate(bn, run(x, weight, layer.bias), kind), absolute))
      .toBeLessThan(1e-13);
  });

  if (options.format !== 'IOHW') it.each([true, false])('after a batch norm does alone what both did (bias: %s)', (hasBias) => {
    const bn = trained(inputs), layer = { weight, bias: hasBias ? bias : undefined };
    const folded = foldInto(bn, layer, { ...options, shape, position: 'after' });
    const normalised = Array.from(evaluate(bn, x, kind));
    expect(distance(run(x, folded.weight, folded.bias), run(normalised, weight, layer.bias ?? null), absolute))
      .toBeLessThan(1e-13);
  });

  if (options.format !== 'IOHW') it('needs no shape before a batch norm', () => {
    const { groups: _, ...rest } = options, bn = trained(outputs);
    expect(foldInto(bn, { weight, bias }, rest)).toEqual(foldInto(bn, { weight, bias }, { ...options, shape }));
  });

  const positions = options.format === 'IOHW' ? (['before'] as const) : (['before', 'after'] as const);
  it.each(positions)('%s: the error of folding is that of rounding, and finds a wrong weight', (position) => {
    const bn = trained(position === 'before' ? outputs : inputs), given = { ...options, shape, position };
    const rows = Float64Array.from(normal(6 * inputs * (kind === 'rows' ? 1 : KH * KW), 24));
    const layer = { weight: Float32Array.from(weight), bias: Float32Array.from(bias) };
    const exact = { weight: Float64Array.from(layer.weight), bias: Float64Array.from(layer.bias) };
    expect(foldingError(bn, exact, foldInto(bn, exact, given), rows, given)).toBeLessThan(1e-13);
    const folded = foldInto(bn, layer, given), error = foldingError(bn, layer, folded, rows, given);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(1e-5);
    folded.weight[1]! += 1;
    expect(foldingError(bn, layer, folded, rows, given)).toBeGreaterThan(0.1);
  });
});

describe('the error of folding', () => {
  const bn = new BatchNorm(2, { eps: 0.25, dtype: 'float64' });
  bn.loadStateDict({ weight: [1, 2], bias: [3, 4], running_mean: [5, 6], running_var: [0, 3.75] });
  const layer = { weight: Float32Array.of(1, 2, 3, 4, 5, 6), bias: Float32Array.of(1, -1) };

  it('is 0 where nothing is rounded, else the largest change of an output', () => {
    const folded = foldInto(bn, layer);
    expect(folded).toEqual({ weight: Float32Array.of(2, 4, 6, 4, 5, 6), bias: Float32Array.of(-5, -3) });
    const inputs = Float64Array.of(1, 0, 0, 0, -8, 2);
    expect(foldingError(bn, layer, folded, inputs)).toBe(0);
    folded.weight[1]! += 0.5;
    expect(foldingError(bn, layer, folded, inputs)).toBe(4);
    folded.bias[1]! = Number.NaN;
    expect(foldingError(bn, layer, folded, inputs)).toBeNaN();
    expect(foldingError(bn, layer, folded, new Float32Array(0))).toBe(0);
  });

  it('takes patches in the order of the format, for all groups', () => {
    const weight = Float64Array.of(1, 10, 100, 1000), rows = Float64Array.of(1, 2, 3, 4), one = trained(1);
    const two = trained(2);
    const zero = (out: number) => ({ weight: new Float64Array(4), bias: new Float64Array(out) });
    const value = (norm: BatchNorm, sum: number, c: number) =>
      Math.abs(((sum - norm.runningMean![c]!) / Math.sqrt(norm.runningVar![c]! + norm.eps)) * norm.weight![c]!
        + norm.bias![c]!);
    const first = foldingError(one, { weight }, zero(1), rows, { shape: [1, 2, 2] });
    expect(first).toBeCloseTo(value(one, 4321, 0), 9);
    const last = foldingError(one, { weight }, zero(1), rows, { shape: [2, 2, 1], format: 'HWIO' });
    expect(last).toBeCloseTo(value(one, 4321, 0), 9);
    const grouped = foldingError(two, { weight }, zero(2), rows, { shape: [2, 1, 2], groups: 2 });
    expect(grouped).toBeCloseTo(Math.max(value(two, 21, 0), value(two, 4300, 1)), 9);
    const depthwise = foldingError(two, { weight }, zero(2), rows, { shape: [2, 2, 1], format: 'HWIM' });
    expect(depthwise).toBeCloseTo(Math.max(value(two, 301, 0), value(two, 4020, 1)), 9);
  });

  it('refuses inputs that do not fit', () => {
    const folded = foldInto(bn, layer);
    expect(() => foldingError(bn, layer, folded, new Float64Array(4)))
      .toThrow(new RangeError('"inputs" expected a length that is a multiple of 3 inputs, got 4'));
    expect(() => foldingError(bn, layer, folded, [1, 2, 3] as never)).toThrow(TypeError);
    expect(() => foldingError(bn, layer, { ...folded, weight: new Float32Array(4) }, new Float64Array(3)))
      .toThrow('"weight" expected length 6, got length 4');
    expect(() => foldingError(bn, layer, { ...folded, bias: new Float32Array(1) }, new Float64Array(3)))
      .toThrow('"bias" expected length 2, got length 1');
  });
});

describe.each(DTYPES)('folding into arrays of %s', (dtype) => {
  const layer = { weight: arrayOf(dtype, normal(12, 31)), bias: arrayOf(dtype, normal(3, 32)) };

  it.each(DTYPES)('is done in f64 and rounded once, whatever the type of the batch norm (%s)', (type) => {
    const bn = trained(3, type), folded = foldInto(bn, layer);
    const round = (values: number[]) => arrayOf(dtype, values);
    const slope = (c: number) => bn.weight![c]! / Math.sqrt(bn.runningVar![c]! + bn.eps);
    expect(folded.weight).toEqual(round(Array.from(layer.weight, (value, i) => value * slope(Math.floor(i / 4)))));
    expect(folded.bias)
      .toEqual(round(Array.from(layer.bias, (value, c) => (value - bn.runningMean![c]!) * slope(c) + bn.bias![c]!)));
  });

  it('gives new arrays and leaves batch norm and layer as they were', () => {
    const bn = trained(3, dtype).train(), before = bn.stateDict();
    const copies = { weight: layer.weight.slice(), bias: layer.bias.slice() };
    const folded = foldInto(bn, layer);
    expect(folded.weight.buffer).not.toBe(layer.weight.buffer);
    expect(folded.bias.buffer).not.toBe(layer.bias.buffer);
    folded.weight.fill(0);
    folded.bias.fill(0);
    expect(layer).toEqual(copies);
    expect(bn.stateDict()).toEqual(before);
    expect(bn.training).toBe(true);
  });

  it('takes a view of a larger buffer', () => {
    const large = arrayOf(dtype, normal(20, 33)), bn = trained(3);
    const view = large.subarray(4, 16);
    expect(foldInto(bn, { weight: view })).toEqual(foldInto(bn, { weight: view.slice() }));
    expect(foldInto(bn, { weight: view }).weight.buffer.byteLength).toBe(view.byteLength);
  });
});

describe('folding', () => {
  it('gives a layer without bias one of its own type, and keeps that of a bias it has', () => {
    const bn = trained(2), weight = Float32Array.of(1, 2);
    expect(foldInto(bn, { weight }).bias).toBeInstanceOf(Float32Array);
    expect(foldInto(bn, { weight, bias: null }).bias).toEqual(foldInto(bn, { weight, bias: new Float32Array(2) }).bias);
    expect(foldInto(bn, { weight, bias: new Float64Array(2) }).bias).toBeInstanceOf(Float64Array);
  });

  it('takes a batch norm without weight or bias as 1 and 0', () => {
    const bn = trained(2, 'float64', { weight: false, bias: false, eps: 0 });
    bn.runningVar!.set([4, 16]);
    bn.runningMean!.set([1, 2]);
    expect(foldInto(bn, { weight: Float64Array.of(2, 4), bias: Float64Array.of(3, 4) })).toEqual({
      weight: Float64Array.of(1, 1), bias: Float64Array.of(1, 0.5),
    });
  });

  it('gives the bias where variance and eps are both 0, as forward does', () => {
    const bn = new BatchNorm(1, { eps: 0, dtype: 'float64' });
    bn.loadStateDict({ weight: [3], bias: [2], running_mean: [5], running_var: [0] });
    expect(foldInto(bn, { weight: Float64Array.of(7) }))
      .toEqual({ weight: Float64Array.of(0), bias: Float64Array.of(2) });
    expect(bn.eval().forward(Float64Array.of(7), [1, 1])).toEqual(Float64Array.of(2));
  });

  it('agrees in float32 with forward to a few roundings', () => {
    const bn = trained(3, 'float32'), weight = Float32Array.from(normal(12, 41)), x = normal(8, 42);
    const folded = foldInto(bn, { weight });
    const y = linear(x, 4, 3, (o, i) => folded.weight[o * 4 + i]!, folded.bias);
    const both = bn.forward(Float32Array.from(linear(x, 4, 3, (o, i) => weight[o * 4 + i]!, null)), [2, 3]);
    expect(distance(y, both, absolute)).toBeLessThan(64 * U.float32);
  });

  const w = (length: number) => new Float32Array(length), layer: Layer = { weight: w(12), bias: w(4) };
  it.each([
    { bn: trained(64), layer: { weight: w(100) }, throws: RangeError,
      message: '"weight" expected a length that is a multiple of 64 channels, got 100' },
    { bn: trained(4), layer: { weight: w(0) }, throws: RangeError, message: 'multiple of 4 channels, got 0' },
    { bn: trained(4), layer: { weight: w(12), bias: w(3) }, throws: RangeError,
      message: '"bias" expected length 4, got length 3' },
    { bn: trained(4), layer: { weight: [1, 2, 3, 4] }, throws: TypeError,
      message: '"weight" expected Float32Array or Float64Array, got Array of length 4' },
    { bn: trained(4), layer: { weight: new Int32Array(4) }, throws: TypeError, message: 'got Int32Array of length 4' },
    { bn: trained(4), layer: { weight: w(4), bias: 0 }, throws: TypeError,
      message: '"bias" expected Float32Array or Float64Array, got number 0' },
    { bn: trained(4), layer: {}, throws: TypeError,
      message: '"weight" expected Float32Array or Float64Array, got undefined' },
    { bn: trained(4), layer: null, throws: TypeError, message: '"layer" expected { weight, bias }, got null' },
    { bn: {}, layer, throws: TypeError, message: '"bn" expected a BatchNorm, got Object' },
    { bn: new BatchNorm(4, { trackRunningStats: false }), layer, throws: TypeError,
      message: '"bn" expected running statistics, got a BatchNorm without' },
    { bn: trained(4), layer, options: { format: 'NCHW' }, throws: RangeError, message: '"format" expected' },
    { bn: trained(4), layer, options: { position: 1 }, throws: TypeError, message: '"position" expected' },
    { bn: trained(4), layer, options: { stride: 1 }, throws: TypeError, message: 'got "stride"' },
    { bn: trained(4), layer, options: { shape: [3, 4] }, throws: RangeError,
      message: '"shape" expected 4 channels, got 3 output channels in [3, 4]' },
    { bn: trained(4), layer, options: { shape: [4, 4] }, throws: RangeError,
      message: '"shape" expected two axes or more and 12 elements as "weight" has, got [4, 4]' },
    { bn: trained(4), layer, options: { shape: [12] }, throws: RangeError,
      message: '"shape" expected two axes or more' },
    { bn: trained(4), layer, options: { shape: '4x3' }, throws: TypeError, message: '"shape" expected an array' },
    { bn: trained(4), layer, options: { groups: 3 }, throws: RangeError,
      message: '"groups" expected a divisor of 4, got 3' },
    { bn: trained(4), layer, options: { groups: 0 }, throws: RangeError, message: '"groups"' },
    { bn: trained(4), layer, options: { groups: '2' }, throws: TypeError,
      message: '"groups" expected a number, got string' },
    { bn: trained(4), layer: { weight: w(8) }, options: { format: 'HWIM', groups: 2 }, throws: RangeError,
      message: '"groups" expected a divisor of 1, got 2' },
    { bn: trained(4), layer, options: { format: 'IOHW' }, throws: TypeError,
      message: '"shape" expected the shape of the weight for \'IOHW\', got undefined' },
    { bn: trained(3), layer, options: { position: 'after' }, throws: TypeError,
      message: '"shape" expected the shape of the weight for a layer after, got undefined' },
    { bn: trained(3), layer, options: { position: 'after', shape: [4, 3], format: 'IOHW' }, throws: RangeError,
      message: '"format" expected' },
    { bn: trained(4), layer, options: { position: 'after', shape: [4, 3] }, throws: RangeError,
      message: '"shape" expected 4 channels, got 3 input channels in [4, 3]' },
    { bn: trained(3), layer, options: { position: 'after', shape: [4, 3, 1, 1] }, throws: TypeError,
      message: '"padding" expected 0 for a convolution after, got undefined' },
    { bn: trained(3), layer, options: { position: 'after', shape: [4, 3, 1, 1], padding: 1 }, throws: RangeError,
      message: '"padding" expected 0 for a convolution after, got 1' },
  ])('is refused: %#', ({ bn, layer, options = {}, ...refusal }) => {
    expectRefusal(() => foldInto(bn as never, layer as never, options as never), refusal);
  });

  it('is refused after a batch norm with a ReLU, which would be lost', () => {
    const bn = new BatchNorm(2, { activation: 'relu' });
    const layer = { weight: new Float32Array(4) };
    expect(() => foldInto(bn, layer, { position: 'after', shape: [2, 2] })).toThrow(RangeError);
    expect(foldInto(bn, layer).weight.length).toBe(4);
  });

  it('is refused after a batch norm where zeros are padded, which would not be right', () => {
    const bn = trained(1), weight = Float64Array.from(normal(KH * KW, 51)), x = normal(H * W, 52);
    const { weight: w, bias } = foldInto(bn, { weight }, { position: 'after', shape: [1, 1, KH, KW], padding: 0 });
    const at = (values: ArrayLike<number>) => (_: number, __: number, r: number, s: number) => values[r * KW + s]!;
    const both = convolve(Array.from(evaluate(bn, x, 'image')), 1, 1, 1, 1, at(weight), null);
    expect(distance(convolve(x, 1, 1, 1, 1, at(w), bias), both, absolute)).toBeGreaterThan(0.1);
  });
});
