/** jax-js as a side of the benchmark, on its WebAssembly backend. Compiled by its jit; arrays stay in the backend. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { blockUntilReady, defaultDevice, init, jit, numpy as np, vjp } from '@jax-js/jax';
import { serve } from '../protocol.ts';

const EPS = 1e-5;

await init('wasm');
defaultDevice('wasm');
const main = createRequire(import.meta.url).resolve('@jax-js/jax');
const { version } = JSON.parse(readFileSync(join(dirname(main), '..', 'package.json'), 'utf8'));

await serve({ name: 'jax-js', version, prepare });

/** Every use of an array except the last needs `.ref`, because operations consume their inputs. */
function normalize(x, mean, variance, weight, bias) {
  return x.sub(mean).mul(np.reciprocal(np.sqrt(variance.add(EPS))).mul(weight)).add(bias);
}

function prepare({ operation, layout, shape, channels, read }) {
  const first = layout === 'channels-first' && shape.length > 2;
  const perChannel = first ? [1, channels, ...shape.slice(2).map(() => 1)] : [channels];
  const axes = shape.map((_, axis) => axis).filter((axis) => axis !== (first ? 1 : shape.length - 1));
  const vector = (name) => np.array(read(name)).reshape(perChannel);
  const whole = (name) => np.array(read(name)).reshape(shape);
  const train = (x, weight, bias) => {
    const mean = np.mean(x.ref, axes, { keepdims: true });
    const variance = np.var_(x.ref, axes, { keepdims: true });
    return normalize(x, mean, variance, weight, bias);
  };
  const backward = (x, weight, bias, dy) => {
    const [y, pullback] = vjp(train, [x, weight, bias]);
    y.dispose();
    return pullback(dy);
  };
  const names = { eval: ['mean', 'variance', 'weight', 'bias'], train: ['weight', 'bias'], backward: ['weight', 'bias'] };
  const inputs = [whole('x'), ...names[operation].map(vector), ...(operation === 'backward' ? [whole('dy')] : [])];
  const compiled = jit({ eval: normalize, train, backward }[operation]);

  let latest = [];
  const release = () => { for (const array of latest) array.dispose(); };
  return {
    note: operation === 'backward' ? 'with forward' : '',
    run: async () => {
      release();
      latest = [compiled(...inputs.map((array) => array.ref))].flat();
      await blockUntilReady(latest.map((array) => array));
    },
    results: () => Promise.all(latest.map((array) => array.ref.data())),
    dispose: () => {
      release();
      for (const array of inputs) array.dispose();
    },
  };
}
