import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal, sizeOf } from '../setup.js';
import { BACKENDS, oracle, placesOn, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;
const CLOSE = 4e-6, SUMS = 2e-5;

registerBatchNorm(tf);

/** The shape of a parameter that keeps its axes. */
const kept = (shape: readonly number[], axis: number) =>
  shape.map((size, i) => (i === (axis < 0 ? axis + shape.length : axis) ? size : 1));
/** tf.batchNorm on tensors whose rank is not known, which its types do not allow. */
const batchNorm = (x: Tensor, mean: Tensor, variance: Tensor, offset?: Tensor, scale?: Tensor, epsilon?: number) =>
  tf.batchNorm(x, mean as never, variance as never, offset as never, scale as never, epsilon);

describe.each(BACKENDS)('tf.batchNorm on %s', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });
  beforeEach(() => { tf.engine().startScope(); return () => { tf.engine().endScope(); }; });

  it.each([
    { shape: [5, 3], axis: -1 }, { shape: [4, 3, 5], axis: -1 }, { shape: [2, 3, 4, 5], axis: -1 },
    { shape: [5, 3], axis: 0 }, { shape: [4, 3, 5], axis: 1 },
    { shape: [2, 3, 4, 5], axis: 1 }, { shape: [2, 3, 4, 5], axis: 2 },
  ])('normalises $shape on axis $axis and has all gradients, with and without scale and offset', ({ shape, axis }) => {
    const channels = shape.at(axis)!, size = sizeOf(shape), eps = 0.01;
    const x = normal(size, 1, 2, 3), dy = normal(size, 2), gamma = normal(channels, 3), beta = normal(channels, 4);
    const mean = normal(channels, 5), variance = normal(channels, 6).map((v) => v * v + 0.1);
    const places = axis === -1 ? [[channels], kept(shape, axis)] : [kept(shape, axis)];
    for (const place of places) {
      for (const [scaled, centred] of [[true, true], [true, false], [false, true], [false, false]]) {
        const given = { mean, variance, gamma: scaled ? gamma : undefined, beta: centred ? beta : undefined };
        const expected = oracle({ shape, axis, eps, x, ...given }, dy);
        const optional = [...(centred ? [beta] : []), ...(scaled ? [gamma] : [])];
        const run = (...[x, mean, variance, ...rest]: Tensor[]) =>
          batchNorm(x!, mean!, variance!, centred ? rest[0] : undefined, scaled ? rest.at(-1) : undefined, eps);
        const vectors = [mean, variance, ...optional].map((values) => tf.tensor(values, place));
        const tensors = [tf.tensor(x, shape), ...vectors];
        const y = run(...tensors);
        expect(y.shape).toEqual(shape);
        expect(distance(y.dataSync(), expected.y)).toBeLessThan(CLOSE);
        const [dx, dmean, dvariance, ...others] = tf.grads(run)(tensors, tf.tensor(dy, shape));
        const slope = variance.map((v, c) => (scaled ? gamma[c]! : 1) / Math.sqrt(v + eps));
        expect(distance(dx!.dataSync(), expected.dx)).toBeLessThan(CLOSE);
        expect(dmean!.shape).toEqual(place);
        expect(distance(dmean!.dataSync(), slope.map((s, c) => -s * expected.dbeta[c]!))).toBeLessThan(SUMS);
        const byVariance = slope.map((s, c) => (-0.5 * s * expected.dgamma[c]!) / Math.sqrt(variance[c]! + eps));
        expect(distance(dvariance!.dataSync(), byVariance)).toBeLessThan(SUMS);
        const wanted = [...(centred ? [expected.dbeta] : []), ...(scaled ? [expected.dgamma] : [])];
        others.forEach((gradient, i) => { expect(distance(gradient.dataSync(), wanted[i]!)).toBeLessThan(SUMS); });
      }
    }
  });

  it.each([
    { name: 'one of each value', shapes: [[2, 3, 4, 5], [2, 3, 4, 5]] },
    { name: 'of each sample and channel', shapes: [[2, 1, 1, 5], [1, 1, 1, 5]] },
    { name: 'of two axes, and a scale of one number', shapes: [[1, 3, 4, 1], [1, 1, 1, 1]] },
    { name: 'one number', shapes: [[1, 1, 1, 1], [1, 1, 1, 5]] },
    { name: 'a vector of one', shapes: [[1], [1]] },
  ])('spreads statistics: $name', ({ shapes }) => {
    const shape = [2, 3, 4, 5], [statistics = [], parameters = []] = shapes;
    const x = tf.tensor(normal(120, 1), shape), dy = tf.tensor(normal(120, 2), shape);
    const vector = (shape: number[], seed: number, least = 0) =>
      tf.tensor(normal(sizeOf(shape), seed).map((v) => (least ? v * v + least : v)), shape);
    const tensors = [
      x, vector(statistics, 3), vector(statistics, 4, 0.5), vector(parameters, 5), vector(parameters, 6),
    ];
    const composed = (...[x, mean, variance, offset, scale]: Tensor[]) =>
      tf.add(tf.mul(tf.mul(tf.sub(x!, mean!), tf.rsqrt(tf.add(variance!, 0.1))), scale!), offset!);
    const run = (...[x, mean, variance, offset, scale]: Tensor[]) =>
      batchNorm(x!, mean!, variance!, offset, scale, 0.1);
    expect(distance(run(...tensors).dataSync(), composed(...tensors).dataSync())).toBeLessThan(CLOSE);
    const found = tf.grads(run)(tensors, dy), expected = tf.grads(composed)(tensors, dy);
    found.forEach((gradient, i) => {
      expect(gradient.shape).toEqual(expected[i]!.shape);
      expect(distance(gradient.dataSync(), expected[i]!.dataSync())).toBeLessThan(SUMS);
    });
  });

  it('gives gradients of gradients', () => {
    const shape = [4, 3];
    const vectors = [2, 3, 4, 5].map((seed) => tf.tensor1d(normal(3, seed).map((v) => v * v + 0.5)));
    const tensors = [tf.tensor(normal(12, 1), shape), ...vectors];
    const penalty = (normalise: (...inputs: Tensor[]) => Tensor) => (...inputs: Tensor[]) => {
      const first = tf.grads((...again) => tf.sum(tf.square(normalise(...again))))(inputs);
      return tf.addN(first.map((gradient) => tf.sum(tf.square(gradient))));
    };
    const found = tf.grads(penalty((x, mean, variance, offset, scale) =>
      batchNorm(x!, mean!, variance!, offset, scale)))(tensors);
    const expected = tf.grads(penalty((x, mean, variance, offset, scale) =>
      tf.add(tf.mul(tf.mul(tf.sub(x!, mean!), tf.rsqrt(tf.add(variance!, 1e-3))), scale!), offset!)))(tensors);
    found.forEach((gradient, i) => {
      expect(distance(gradient.dataSync(), expected[i]!.dataSync())).toBeLessThan(1e-4);
    });
  });

  it('differentiates through statistics that come from x, as models of tfjs train', () => {
    const shape = [8, 5, 3], size = 120, x = normal(size, 1, 3, 2), dy = normal(size, 2);
    const expected = oracle({ shape, axis: -1, eps: 1e-3, x }, dy);
    const dx = tf.grad((x) => {
      const { mean, variance } = tf.moments(x, [0, 1]);
      return tf.batchNorm(x, mean as never, variance as never);
    })(tf.tensor(x, shape), tf.tensor(dy, shape));
    expect(distance(dx.dataSync(), expected.dx)).toBeLessThan(2e-5);
    expect(placesOn(shape, -1)).toHaveLength(3);
  });

  it('runs the stock layer right on any axis', () => {
    const layer = tf.layers.batchNormalization({ axis: 1 }), shape = [2, 3, 2, 2], x = normal(24, 1, 2, 3);
    layer.build(shape);
    layer.setWeights([[1, 2, 3], [0, 1, 0], [1, 2, 1], [2, 3, 4]].map((values) => tf.tensor1d(values)));
    const given = { gamma: [1, 2, 3], beta: [0, 1, 0], mean: [1, 2, 1], variance: [2, 3, 4] };
    const expected = oracle({ shape, axis: 1, eps: 1e-3, x, ...given });
    expect(distance((layer.apply(tf.tensor(x, shape)) as Tensor).dataSync(), expected.y)).toBeLessThan(CLOSE);
  });

  it('takes integers', () => {
    const x = tf.tensor2d([1, 2, 3, 4], [2, 2], 'int32'), variance = tf.tensor1d([3, 3], 'int32');
    const y = tf.batchNorm(x, tf.tensor1d([1, 2]), variance, null as never, tf.tensor1d([2, 2]), 1);
    expect([y.dtype, ...y.dataSync()]).toEqual(['float32', 0, 0, 2, 2]);
  });

  it('is put back where a backend that is imported later has brought its own', () => {
    const { kernelFunc } = tf.getKernel('FusedBatchNorm', backend);
    tf.unregisterKernel('FusedBatchNorm', backend);
    const kernelName = 'FusedBatchNorm';
    tf.registerKernel({ kernelName, backendName: backend, kernelFunc: () => { throw new Error('stock'); } });
    expect(() => tf.batchNorm(tf.zeros([2, 3]), tf.zeros([3]) as never, tf.ones([3]) as never)).toThrow('stock');
    registerBatchNorm(tf);
    expect(tf.getKernel('FusedBatchNorm', backend).kernelFunc).toBe(kernelFunc);
  });

  it('throws for parameters that do not spread over x, naming itself', () => {
    const { numTensors } = tf.memory();
    expect(() => tf.tidy(() => tf.batchNorm(tf.zeros([2, 3]), tf.zeros([2]) as never, tf.zeros([2]) as never)))
      .toThrow(/batchNorm.*\[2\]/);
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});

describe.each(BACKENDS)('the kernel of tfjs itself on %s', (backend) => {
  it.each([
    ['runs for parameters as large as x, as LayerNormalization has them', [64, 128], [64, 128], true],
    ['runs for a single row', [1, 64], [64], true],
    ['makes way for one parameter per channel of a large x', [64, 8, 128], [128], false],
    ['makes way for parameters that it spreads wrongly', [64, 8, 128], [8, 1], false],
  ] as const)('%s', async (_, shape, parameters, expected) => {
    await tf.setBackend(backend);
    const kernelName = 'FusedBatchNorm', ours = tf.getKernel(kernelName, backend)!;
    let calls = 0;
    // A kernel that a backend brings after registration counts as its own from the next registration on.
    tf.unregisterKernel(kernelName, backend);
    tf.registerKernel({
      ...ours,
      kernelFunc: ({ backend: own }) => {
        calls++;
        const { write } = own as { write(values: Float32Array, shape: number[], dtype: string): object };
        const dataId = write.call(own, new Float32Array(sizeOf(shape)), [...shape], 'float32');
        return { dataId, shape: [...shape], dtype: 'float32' };
      },
    });
    registerBatchNorm(tf);
    try {
      const [x, mean, variance] = [tf.ones([...shape]), tf.ones([...parameters]), tf.ones([...parameters])];
      tf.batchNorm(x, mean as never, variance as never).dispose();
      expect(calls > 0).toBe(expected);
    } finally {
      tf.unregisterKernel(kernelName, backend);
      tf.registerKernel(ours);
    }
  });
});
