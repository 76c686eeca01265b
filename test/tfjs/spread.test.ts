import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { blocksOf, commonOf, eachRun, spreadOf } from '../../src/tfjs/spread.js';
import { distance, normal, sizeOf } from '../setup.js';
import { BACKENDS, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;
/** Of f32 results, and of sums over a few thousand of them, relative to max(1, |value|). */
const CLOSE = 4e-6, SUMS = 2e-5, EPS = 0.1;

registerBatchNorm(tf);

/** tf.batchNorm on tensors whose rank is not known, which its types do not allow. */
const batchNorm = (...[x, mean, variance, offset, scale]: (Tensor | undefined)[]) =>
  tf.batchNorm(x!, mean as never, variance as never, offset as never, scale as never, EPS) as Tensor;
const composed = (...[x, mean, variance, offset, scale]: Tensor[]) =>
  tf.add(tf.mul(tf.mul(tf.sub(x!, mean!), tf.rsqrt(tf.add(variance!, EPS))), scale!), offset!) as Tensor;

interface Parameter {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const parameter = (shape: readonly number[], seed: number, least = 0): Parameter =>
  ({ shape, values: Float32Array.from(normal(sizeOf(shape), seed), (v) => (least ? v * v + least : v)) });

/** For each element of x, the index of the element of a parameter that goes with it. */
function placesIn(own: readonly number[], shape: readonly number[]): number[] {
  return Array.from({ length: sizeOf(shape) }, (_, i) => {
    let rest = i, place = 0, step = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = own[axis - shape.length + own.length] ?? 1, at = rest % shape[axis]!;
      rest = (rest - at) / shape[axis]!;
      if (size > 1) place += at * step;
      step *= size;
    }
    return place;
  });
}

/** y and the gradients by x, mean, variance, offset and scale, in f64. */
function reference(x: Float32Array, dy: Float32Array, shape: readonly number[], given: readonly (Parameter | undefined)[]) {
  const places = given.map((own) => own && placesIn(own.shape, shape));
  const y = new Float64Array(x.length), dx = new Float64Array(x.length);
  const by = given.map((own) => new Float64Array(own?.values.length ?? 0));
  for (let i = 0; i < x.length; i++) {
    const [mean, variance, offset, scale] = given.map((own, p) => own?.values[places[p]![i]!] ?? (p === 3 ? 1 : 0));
    const rstd = 1 / Math.sqrt(variance! + EPS), xhat = (x[i]! - mean!) * rstd, g = dy[i]!;
    y[i] = xhat * scale! + offset!;
    dx[i] = g * scale! * rstd;
    [-dx[i]!, -0.5 * dx[i]! * xhat * rstd, g, g * xhat].forEach((term, p) => { if (places[p]) by[p]![places[p][i]!]! += term; });
  }
  return { y, gradients: [dx, ...by.filter((_, p) => given[p])] };
}

/** The shape with those axes whose bit is set, and 1 for the others. */
const along = (shape: readonly number[], bits: number) => shape.map((size, axis) => ((bits >> axis) & 1 ? size : 1));
const every = Array.from({ length: 16 }, (_, bits) => bits);

/** Compares y and all gradients with the reference. */
function check(shape: readonly number[], statistics: readonly number[], parameters: readonly number[], offset = true, scale = true): void {
  tf.tidy(() => {
    const x = Float32Array.from(normal(sizeOf(shape), 1)), dy = Float32Array.from(normal(sizeOf(shape), 2));
    const given = [
      parameter(statistics, 3), parameter(statistics, 4, 0.5),
      offset ? parameter(parameters, 5) : undefined, scale ? parameter(parameters, 6) : undefined,
    ];
    const expected = reference(x, dy, shape, given), where = `statistics [${statistics}], parameters [${parameters}], ${[offset, scale]}`;
    const present = given.filter((own) => own !== undefined);
    const tensors = [{ shape, values: x }, ...present].map(({ values, shape }) => tf.tensor(values, [...shape]));
    const run = (...[x, mean, variance, ...rest]: Tensor[]) =>
      batchNorm(x, mean, variance, offset ? rest.shift() : undefined, rest.shift());
    const y = run(...tensors), found = tf.grads(run)(tensors, tf.tensor(dy, [...shape]));
    expect(y.shape).toEqual(shape);
    expect(distance(y.dataSync(), expected.y), where).toBeLessThan(CLOSE);
    expect(found.map((gradient) => gradient.shape), where).toEqual(tensors.map((tensor) => tensor.shape));
    found.forEach((gradient, i) => {
      expect(distance(gradient.dataSync(), expected.gradients[i]!), where).toBeLessThan(i === 0 ? CLOSE : SUMS);
    });
  });
}

it('x is cut into blocks, end to end, with channels of one element of the parameters each, for every spread', () => {
  const shape = [2, 3, 4, 5];
  for (const statistics of every) {
    for (const parameters of every) {
      const spread = spreadOf(shape, [along(shape, statistics), along(shape, parameters)]), places: number[] = [];
      const { geometry: { outer, channels, inner }, runs } = blocksOf(commonOf(spread));
      eachRun(runs, 0, (start, at, length) => {
        expect([start, length]).toEqual([places.length, outer * channels * inner]);
        for (let i = 0; i < length; i++) places.push(at + (Math.floor(i / inner) % channels));
      });
      expect(places).toEqual(placesIn(along(shape, statistics | parameters), shape));
    }
  }
});

describe.each(BACKENDS)('tf.batchNorm on %s is right', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });
  beforeEach(() => { tf.engine().startScope(); return () => { tf.engine().endScope(); }; });

  it('for every spread of statistics and parameters over a small x', () => {
    const shape = [2, 3, 4, 5];
    for (const statistics of every) for (const parameters of every) check(shape, along(shape, statistics), along(shape, parameters));
  });

  it('for spreads over one that is large enough for kernels', () => {
    const shape = [3, 8, 16, 32];
    for (const bits of every) for (const parameters of [bits, 8, 15, 0]) check(shape, along(shape, bits), along(shape, parameters));
  });

  it('without offset, without scale, and without both', () => {
    for (const shape of [[2, 3, 4, 5], [3, 8, 16, 32]]) {
      for (const bits of every) {
        for (const [offset, scale] of [[true, false], [false, true], [false, false]]) {
          check(shape, along(shape, bits), along(shape, bits), offset, scale);
        }
      }
    }
  });

  it.each([
    { shape: [7], own: [7] }, { shape: [7], own: [1] }, { shape: [5000], own: [5000] }, { shape: [1, 64], own: [64] },
    { shape: [1, 64], own: [1, 64] }, { shape: [5, 1], own: [5, 1] }, { shape: [2, 3000], own: [3000] }, { shape: [40, 300], own: [300] },
    { shape: [40, 300], own: [40, 1] }, { shape: [6, 4, 300], own: [6, 1, 300] }, { shape: [6, 4, 300], own: [4, 300] },
    { shape: [6, 4, 300], own: [4, 1] }, { shape: [1, 1, 1, 1], own: [1] }, { shape: [64, 4, 4, 32], own: [64, 1, 1, 32] },
    { shape: [4, 1, 50, 60], own: [1, 1, 50, 1] },
  ])('for parameters of $own over $shape', ({ shape, own }) => { check(shape, own, own); });

  it('for an x without values', () => {
    expect(batchNorm(tf.zeros([0, 3]), tf.zeros([3]), tf.ones([3])).shape).toEqual([0, 3]);
    expect(batchNorm(tf.zeros([0, 2, 3]), tf.zeros([1, 2, 1]), tf.ones([1, 2, 1])).shape).toEqual([0, 2, 3]);
  });

  it('in the layer normalization of tfjs, forward and backward', () => {
    const shape = [4, 6, 200], gamma = normal(200, 3), beta = normal(200, 4), layer = tf.layers.layerNormalization({ axis: -1 });
    const x = tf.tensor(normal(sizeOf(shape), 1, 2, 3), shape), dy = tf.tensor(normal(sizeOf(shape), 2), shape);
    layer.build(shape);
    layer.setWeights([tf.tensor1d(gamma), tf.tensor1d(beta)]);
    const run = (x: Tensor) => layer.apply(x) as Tensor, plain = (x: Tensor) => {
      const { mean, variance } = tf.moments(x, [2], true), xhat = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-3)));
      return tf.add(tf.mul(xhat, tf.tensor1d(gamma)), tf.tensor1d(beta)) as Tensor;
    };
    expect(distance(run(x).dataSync(), plain(x).dataSync())).toBeLessThan(CLOSE);
    expect(distance(tf.grad(run)(x, dy).dataSync(), tf.grad(plain)(x, dy).dataSync())).toBeLessThan(SUMS);
  });

  it.each([[15, 15], [9, 8], [8, 8], [2, 15], [0, 6]])('in gradients of gradients, along axes %i and %i', (statistics, parameters) => {
    const shape = [2, 3, 2, 4], shapes = [statistics, statistics, parameters, parameters].map((bits) => along(shape, bits));
    const positive = shapes.map((own, i) => tf.tensor(normal(sizeOf(own), i + 2).map((v) => v * v + 0.5), own));
    const tensors = [tf.tensor(normal(48, 1), shape), ...positive];
    const penalty = (normalise: (...inputs: Tensor[]) => Tensor) => (...inputs: Tensor[]) => {
      const first = tf.grads((...again) => tf.sum(tf.square(normalise(...again))))(inputs);
      return tf.addN(first.map((gradient) => tf.sum(tf.square(gradient))));
    };
    const found = tf.grads(penalty(batchNorm))(tensors), expected = tf.grads(penalty(composed))(tensors);
    found.forEach((gradient, i) => {
      const values = expected[i]!.dataSync(), scale = Math.max(1, ...values.map(Math.abs));
      expect(distance(gradient.dataSync().map((v) => v / scale), values.map((v) => v / scale))).toBeLessThan(SUMS);
    });
  });
});
