/**
 * Measures what a disposed runtime still holds while its layers, contexts and tensors are kept; prints one line of JSON:
 * `node --expose-gc test/runtime/disposed.mjs wasm-simd | javascript | shared`. A process of its own, for its memory is measured.
 */
import { BatchNorm, createRuntime, diagnose, forwardGhost, moments } from '../../dist/index.js';

const [kind] = process.argv.slice(2);
const BIG = 50_000_000;
const kept = [];

/** What users do with a runtime, and keep. */
function use(runtime) {
  for (const layout of ['channels-first', 'channels-last']) {
    for (const dtype of ['float32', 'float64']) {
      const options = { dtype, layout, activation: 'relu', ...(kind !== 'shared' && { runtime }) }, bn = new BatchNorm(500, options);
      const shape = layout === 'channels-first' ? [8, 500, 4] : [8, 4, 500];
      const [x, residual, dy] = [1, 2, 3].map((n) => runtime.tensor(shape, { dtype, data: Array.from({ length: 16_000 }, (_, i) => Math.sin(n * i)) }));
      const y = bn.forward(x, { residual, mask: new Uint8Array(32).fill(1) });
      kept.push(bn, x, residual, dy, y, bn.context, bn.backward(dy), moments(x, shape, { layout }));
      bn.forward(x.data, shape, { residual: residual.data, out: y.data });
      kept.push(bn.context, bn.backward(dy.data), diagnose(bn, x.data, shape), forwardGhost(bn, x.data, shape, 3), bn.stateDict());
    }
  }
}

/** A tensor of 200 MB, every page of which is written, and its buffer as far as it is alive. */
function fill(runtime) {
  const big = runtime.tensor([BIG]);
  big.data.fill(1);
  kept.push(runtime, big);
  return new WeakRef(big.data.buffer);
}

async function resident() {
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  return process.memoryUsage.rss();
}

const make = () => (kind === 'shared' ? new BatchNorm(1).runtime : createRuntime({ kind }));
const first = make();
use(first);
first.dispose();
const before = await resident(), runtime = make();
use(runtime);
const buffer = fill(runtime), full = (await resident()) - before;
runtime.dispose();
const held = (await resident()) - before;
console.log(JSON.stringify({ kind: runtime.kind, full, held, bufferIsAlive: buffer.deref() !== undefined, kept: kept.length }));
