/** TensorFlow.js as a side: `tfjs.mjs cpu | wasm`. Tensors stay in the backend. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { serve } from '../protocol.ts';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-core/dist/register_all_gradients');
const [backend] = process.argv.slice(2);
const { setWasmPaths, setThreadsCount } = require(`@tensorflow/tfjs-backend-${backend}`);
if (backend === 'wasm') {
  setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  setThreadsCount(Number(process.env.OMP_NUM_THREADS));
}
await tf.setBackend(backend);
await tf.ready();

const EPS = 1e-5;

await serve({ name: `tfjs-${backend}`, version: tf.version_core, prepare });

function prepare({ operation, layout, shape, channels, read }) {
  const first = layout === 'channels-first' && shape.length > 2;
  const x = tf.tensor(read('x'), shape);
  const perChannel = first ? [1, channels, ...shape.slice(2).map(() => 1)] : [channels];
  const [weight, bias, mean, variance] = ['weight', 'bias', 'mean', 'variance'].map((name) => tf.tensor(read(name), perChannel));
  const axes = shape.map((_, axis) => axis).filter((axis) => axis !== (first ? 1 : shape.length - 1));

  // Its batchNorm only supports channels-last; for channels-first a user composes the same from broadcasting operations.
  const normalize = first
    ? (x, mean, variance, bias, weight) =>
      tf.add(tf.mul(tf.sub(x, mean), tf.mul(tf.rsqrt(tf.add(variance, EPS)), weight)), bias)
    : (x, mean, variance, bias, weight) => tf.batchNorm(x, mean, variance, bias, weight, EPS);
  const train = (x, weight, bias) => {
    const batch = tf.moments(x, axes, first);
    return normalize(x, batch.mean, batch.variance, bias, weight);
  };
  const gradients = tf.grads(train);
  const dy = operation === 'backward' ? tf.tensor(read('dy'), shape) : null;
  const calls = {
    eval: () => [normalize(x, mean, variance, bias, weight)],
    train: () => [train(x, weight, bias)],
    backward: () => gradients([x, weight, bias], dy),
  };

  let latest = [];
  const notes = [first ? 'composed of broadcasting operations' : '', operation === 'backward' ? 'with forward' : ''];
  return {
    note: notes.filter(Boolean).join(', '),
    run: () => {
      tf.dispose(latest);
      latest = tf.tidy(calls[operation]);
    },
    results: () => latest.map((tensor) => tensor.dataSync()),
    dispose: () => { tf.dispose([x, dy, weight, bias, mean, variance, latest].filter(Boolean)); },
  };
}
