import { describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { normal, sizeOf } from '../setup.js';
import { BACKENDS, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;

registerBatchNorm(tf);

/** x and the parameters of tf.batchNorm, as LayerNormalization has them, as instance normalization has them, and others. */
const SPREADS = [
  { shape: [16, 512, 64], own: [16, 512, 64] }, { shape: [8, 28, 28, 64], own: [8, 1, 1, 64] }, { shape: [8, 28, 28, 64], own: [1, 28, 28, 64] },
  { shape: [8, 28, 28, 64], own: [8, 1, 28, 1] }, { shape: [64, 1000], own: [64, 1] }, { shape: [1, 65536], own: [65536] },
];

function inputsOf(shape: readonly number[], own: readonly number[]): Tensor[] {
  const parameter = (seed: number) => tf.tensor(normal(sizeOf(own), seed).map((v) => v * v + 0.5), [...own]);
  return [tf.tensor(normal(sizeOf(shape), 1), [...shape]), ...[2, 3, 4, 5].map(parameter)];
}

const batchNorm = (...[x, mean, variance, offset, scale]: Tensor[]) =>
  tf.batchNorm(x!, mean as never, variance as never, offset as never, scale as never) as Tensor;

describe.each(BACKENDS)('tf.batchNorm on %s', (backend) => {
  it.each(SPREADS)('makes few objects for parameters of $own over $shape, forward and backward', async ({ shape, own }) => {
    await tf.setBackend(backend);
    const { inputs, dy } = tf.tidy(() => ({ inputs: inputsOf(shape, own), dy: tf.tensor(normal(sizeOf(shape), 6), shape) }));
    const gradients = tf.grads(batchNorm), run = () => tf.tidy(() => { gradients(inputs, dy); });
    for (let i = 0; i < 20; i++) run();
    const grown = Array.from({ length: 9 }, () => {
      const before = process.memoryUsage().heapUsed;
      run();
      return process.memoryUsage().heapUsed - before;
    });
    tf.dispose([...inputs, dy]);
    // tfjs itself makes 0.1 MB of objects for the calls that a gradient takes. One number per element would be 0.5 MB and more.
    expect(grown.sort((a, b) => a - b)[4]!).toBeLessThan(400_000);
  });
});
