/**
 * tfjs' own tests of tf.batchNorm, as its package ships them, on the kernels of this package. The package of its layers ships
 * no tests: its layer normalization is tested in spread.test.ts.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { BACKENDS, tf } from './setup.js';

/** In place of their runner, which wants the jasmine of its own. */
vi.mock('@tensorflow/tfjs-core/dist/jasmine_util.js', () => ({
  ALL_ENVS: {},
  describeWithFlags(name: string, _: object, tests: () => void) {
    describe.each(BACKENDS)(`${name} on %s`, (backend) => {
      beforeEach(async () => {
        await tf.setBackend(backend);
        tf.engine().startScope();
      });
      afterEach(() => { tf.engine().endScope(); });
      tests();
    });
  },
}));

// They use the modules of tfjs one by one, which register the gradients of tfjs again.
await import('@tensorflow/tfjs-core/dist/index.js');
await import('@tensorflow/tfjs-core/dist/public/chained_ops/sum.js');
const gradient = tf.getGradient('FusedBatchNorm');
registerBatchNorm(tf);
/** What they take from jasmine: its `expect().nothing()` counts a check. */
Object.assign(globalThis, { it, expect: (...values: [unknown?]) => (values.length > 0 ? expect(values[0]) : { nothing() {} }) });
await import('@tensorflow/tfjs-core/dist/ops/batchnorm_test.js');

it('they run with the registered gradient', () => {
  expect(tf.getGradient('FusedBatchNorm')).not.toBe(gradient);
});
