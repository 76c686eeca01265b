import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal, sizeOf } from '../setup.js';
import { BACKENDS, oracle, tf } from './setup.js';

const { batchNorm } = registerBatchNorm(tf);

/** Every axis of every rank from 1 to 6, mostly of different sizes, so that a wrong one shows. */
const SHAPES = [[7], [5, 3], [3, 4, 5], [2, 3, 4, 5], [2, 3, 2, 4, 3], [2, 1, 3, 2, 2, 5]];
const CASES = [
  ...SHAPES.flatMap((shape) => shape.map((_, axis) => ({ shape, axis: axis % 2 === 0 ? axis : axis - shape.length }))),
  { shape: [8, 6, 6, 64], axis: -1 }, { shape: [2, 3, 40, 40], axis: 1 },
  { shape: [3, 5000], axis: 1 }, { shape: [2, 4100, 3], axis: 1 },
];

/** Of f32 results against f64, relative to max(1, |value|): one rounding more than the package's own bound. */
const CLOSE = 4e-6;
/** Of sums over a few thousand products. */
const SUMS = 2e-5;

describe.each(BACKENDS)('batchNorm on %s', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });
  beforeEach(() => { tf.engine().startScope(); return () => { tf.engine().endScope(); }; });

  describe.each(CASES)('of $shape on axis $axis', ({ shape, axis }) => {
    const channels = shape.at(axis)!, size = sizeOf(shape), eps = 0.01;
    const x = Float32Array.from(normal(size, 1, 2, 3)), dy = Float32Array.from(normal(size, 2));
    const gamma = Float32Array.from(normal(channels, 3)), beta = Float32Array.from(normal(channels, 4));
    const mean = Float32Array.from(normal(channels, 5));
    const variance = Float32Array.from(normal(channels, 6), (v) => v * v + 0.1);

    it.each([
      ['batch statistics', { gamma, beta }],
      ['batch statistics without gamma', { beta }],
      ['batch statistics without beta', { gamma }],
      ['batch statistics without both', {}],
      ['given statistics', { gamma, beta, mean, variance }],
      ['given statistics without gamma and beta', { mean, variance }],
    ] as [string, Record<string, Float32Array>][])('normalises and differentiates by %s', (_, vectors) => {
      const names = Object.keys(vectors), tensors = names.map((name) => tf.tensor1d(vectors[name]!));
      const expected = oracle({ shape, axis, eps, x, ...vectors }, dy);
      const run = (input: ReturnType<typeof tf.tensor>, ...parameters: typeof tensors) =>
        batchNorm(input, { axis, eps, ...Object.fromEntries(names.map((name, i) => [name, parameters[i]])) });

      const result = run(tf.tensor(x, shape), ...tensors);
      expect(result.y.shape).toEqual(shape);
      expect(distance(result.y.dataSync(), expected.y)).toBeLessThan(CLOSE);
      expect(distance(result.mean.dataSync(), expected.mean)).toBeLessThan(CLOSE);
      expect(distance(result.variance.dataSync(), expected.variance)).toBeLessThan(CLOSE);

      const gradients = tf.grads((...inputs) => run(inputs[0]!, ...(inputs.slice(1) as typeof tensors)).y)(
        [tf.tensor(x, shape), ...tensors], tf.tensor(dy, shape));
      const found = Object.fromEntries(['x', ...names].map((name, i) => [name, gradients[i]!]));
      expect(found.x!.shape).toEqual(shape);
      expect(distance(found.x!.dataSync(), expected.dx)).toBeLessThan(CLOSE);
      if (found.gamma) expect(distance(found.gamma.dataSync(), expected.dgamma)).toBeLessThan(SUMS);
      if (found.beta) expect(distance(found.beta.dataSync(), expected.dbeta)).toBeLessThan(SUMS);
      if (found.mean) {
        const slope = expected.variance.map((v, c) => (vectors.gamma?.[c] ?? 1) / Math.sqrt(v + eps));
        const byMean = expected.dbeta.map((total, c) => -slope[c]! * total);
        const byVariance = expected.dgamma.map((dot, c) =>
          (-0.5 * slope[c]! * dot) / Math.sqrt(expected.variance[c]! + eps));
        expect(distance(found.mean.dataSync(), byMean)).toBeLessThan(SUMS);
        expect(distance(found.variance!.dataSync(), byVariance)).toBeLessThan(SUMS);
      }
    });
  });

  /** A loss of all three results, in f64 for central differences. */
  function loss(x: number[], gamma: number[], beta: number[], shape: number[], axis: number, w: number[][]): number {
    const { y, mean, variance } = oracle({ shape, axis, eps: 0.1, x, gamma, beta });
    const dotted = (values: number[], weights: number[]) =>
      values.reduce((total, value, i) => total + value * value * weights[i]!, 0);
    return dotted(y, w[0]!) + dotted(mean, w[1]!) + dotted(variance, w[2]!);
  }
  function slope(values: number[], f: (values: number[]) => number, h = 1e-4): number[] {
    return values.map((_, i) => {
      const moved = (by: number) => f(values.map((value, j) => (i === j ? value + by : value)));
      return (moved(h) - moved(-h)) / (2 * h);
    });
  }

  const small = [{ shape: [4, 3, 2], axis: 1 }, { shape: [4, 3], axis: -1 }, { shape: [3, 4], axis: 0 }];
  describe.each(small)('of $shape on axis $axis', ({ shape, axis }) => {
    const size = sizeOf(shape), channels = shape.at(axis)!;
    const x = normal(size, 11), gamma = normal(channels, 12), beta = normal(channels, 13);
    const w = [normal(size, 14), normal(channels, 15), normal(channels, 16)];
    const lossOf = (inputs: ReturnType<typeof tf.tensor>[]) => {
      const { y, mean, variance } = batchNorm(inputs[0]!, { axis, eps: 0.1, gamma: inputs[1]!, beta: inputs[2]! });
      const weighed = (tensor: typeof y, weights: number[]) =>
        tf.sum(tf.mul(tf.square(tensor), tf.tensor(weights, tensor.shape)));
      const ofStatistics = tf.add(weighed(mean, w[1]!), weighed(variance, w[2]!));
      return tf.add(weighed(y, w[0]!), ofStatistics) as ReturnType<typeof tf.scalar>;
    };
    const tensors = () => [tf.tensor(x, shape), tf.tensor1d(gamma), tf.tensor1d(beta)];

    it('differentiates by mean and variance where a loss uses them', () => {
      const gradients = tf.grads((...inputs) => lossOf(inputs))(tensors());
      const expected = [
        slope(x, (x) => loss(x, gamma, beta, shape, axis, w)),
        slope(gamma, (gamma) => loss(x, gamma, beta, shape, axis, w)),
        slope(beta, (beta) => loss(x, gamma, beta, shape, axis, w)),
      ];
      gradients.forEach((gradient, i) => { expect(distance(gradient.dataSync(), expected[i]!)).toBeLessThan(2e-5); });
    });

    it('has gradients of gradients', () => {
      const seeds = [normal(size, 21), normal(channels, 22), normal(channels, 23)];
      // A function of the first gradients, as a gradient penalty is, differentiated again with respect to all inputs.
      const penalty = (...inputs: ReturnType<typeof tf.tensor>[]) => {
        const first = tf.grads((...again) => lossOf(again))(inputs);
        return tf.addN(first.map((gradient, i) => tf.sum(tf.mul(gradient, tf.tensor(seeds[i]!, gradient.shape)))));
      };
      const second = tf.grads(penalty)(tensors());
      const directional = (x: number[], gamma: number[], beta: number[]) => {
        const h = 1e-3, at = (t: number) => loss(
          x.map((value, i) => value + t * seeds[0]![i]!), gamma.map((value, i) => value + t * seeds[1]![i]!),
          beta.map((value, i) => value + t * seeds[2]![i]!), shape, axis, w);
        return (at(h) - at(-h)) / (2 * h);
      };
      const expected = [
        slope(x, (x) => directional(x, gamma, beta)), slope(gamma, (gamma) => directional(x, gamma, beta)),
        slope(beta, (beta) => directional(x, gamma, beta)),
      ];
      second.forEach((gradient, i) => { expect(distance(gradient.dataSync(), expected[i]!)).toBeLessThan(5e-4); });
    });
  });

  it('loses no digits where the mean is large', () => {
    const shape = [500, 4], x = Float32Array.from(normal(2000, 31, 1e4, 1)), dy = Float32Array.from(normal(2000, 32));
    const expected = oracle({ shape, axis: -1, eps: 1e-3, x }, dy);
    const { y, variance } = batchNorm(tf.tensor(x, shape));
    expect(distance(variance.dataSync(), expected.variance)).toBeLessThan(CLOSE);
    expect(distance(y.dataSync(), expected.y)).toBeLessThan(CLOSE);
    const dx = tf.grad((input) => batchNorm(input).y)(tf.tensor(x, shape), tf.tensor(dy, shape));
    expect(distance(dx.dataSync(), expected.dx)).toBeLessThan(CLOSE);
  });

  it('gives beta and variance 0 where a channel has one value', () => {
    const { y, mean, variance } = batchNorm(tf.tensor1d([3, 5]), { axis: 0, beta: tf.tensor1d([1, 2]) });
    expect([...y.dataSync(), ...mean.dataSync(), ...variance.dataSync()]).toEqual([1, 2, 3, 5, 0, 0]);
  });

  it('has empty results for an empty batch', () => {
    const { y, mean } = batchNorm(tf.zeros([0, 3]));
    expect([y.shape, Array.from(mean.dataSync())]).toEqual([[0, 3], [0, 0, 0]]);
  });

  it('takes integers, numbers and parameters that keep their axes', () => {
    const x = [[1, 2], [3, 6]], expected = oracle({ shape: [2, 2], axis: 1, eps: 1e-3, x: x.flat(), gamma: [2, 3] });
    for (const input of [tf.tensor2d(x, [2, 2], 'int32'), x as never]) {
      const { y } = batchNorm(input, { gamma: tf.tensor2d([2, 3], [1, 2]) });
      expect(distance(y.dataSync(), expected.y)).toBeLessThan(CLOSE);
    }
  });

  it('takes two kernels forward and backward', async () => {
    const x = tf.randomNormal([8, 5, 5, 16]), gamma = tf.ones([16]), beta = tf.zeros([16]);
    const dy = tf.randomNormal([8, 5, 5, 16]);
    const run = () => tf.grads((x, gamma, beta) => batchNorm(x, { gamma, beta }).y)([x, gamma, beta], dy);
    const { kernels } = await tf.profile(run);
    const names = kernels.map(({ name }) => name).filter((name) => name !== 'Identity');
    expect(names).toEqual(['BatchNorm', 'BatchNormGrad']);
  });

  it.each([
    ['no tensor', () => batchNorm(null as never), /batchNorm.*'x'/],
    ['strings', () => batchNorm(tf.tensor1d(['a'])), /batchNorm.*string/],
    ['a scalar', () => batchNorm(tf.scalar(1)), /batchNorm.*rank 1/],
    ['an axis that is none', () => batchNorm(tf.zeros([2, 3]), { axis: 2 }), /batchNorm.*axis.*\[2,3\].*2/],
    ['a fractional axis', () => batchNorm(tf.zeros([2, 3]), { axis: 0.5 }), /batchNorm.*axis/],
    ['a gamma of another length',
      () => batchNorm(tf.zeros([2, 3]), { gamma: tf.zeros([2]) }), /batchNorm.*gamma.*\[3\].*\[2\]/],
    ['a gamma that lies along another axis',
      () => batchNorm(tf.zeros([2, 3]), { gamma: tf.zeros([3, 1]) }), /batchNorm.*gamma.*\[3\].*\[3,1\]/],
    ['a gamma that is no tensor', () => batchNorm(tf.zeros([2, 3]), { gamma: 'ones' as never }), /batchNorm.*'gamma'/],
    ['a mean without variance',
      () => batchNorm(tf.zeros([2, 3]), { mean: tf.zeros([3]) }), /batchNorm.*mean and variance/],
    ['a negative eps', () => batchNorm(tf.zeros([2, 3]), { eps: -1 }), /batchNorm.*eps.*-1/],
    ['a misspelt option', () => batchNorm(tf.zeros([2, 3]), { epsilon: 1 } as never), /batchNorm.*'epsilon'/],
    ['options that are none', () => batchNorm(tf.zeros([2, 3]), null as never), /batchNorm.*options/],
  ])('throws for %s, naming itself', (_, action, message) => {
    const { numTensors } = tf.memory();
    expect(() => tf.tidy(action as never)).toThrow(message);
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});

it('registers once, and only with tfjs', () => {
  expect(() => registerBatchNorm(undefined)).toThrow(TypeError);
  expect(() => registerBatchNorm({})).toThrow(/tfjs/);
  const { batchNormalization, ...core } = registerBatchNorm({ ...tf, layers: undefined });
  expect(core.batchNorm).toBeTypeOf('function');
  expect(() => batchNormalization()).toThrow(/layers/);
});
