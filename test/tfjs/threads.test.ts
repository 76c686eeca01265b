/** The threaded build of the wasm backend, which tfjs takes on isolated pages alone: its memory is shared. Not in Node. */
import { getThreadsCount, setThreadsCount } from '@tensorflow/tfjs-backend-wasm';
import { afterAll, expect, it } from 'vitest';
import { BatchNorm } from '../../src/index.js';
import { Control, FINISHED } from '../../src/runtime/threads/control.js';
import type { Start } from '../../src/runtime/threads/worker.js';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal } from '../setup.js';
import { tf } from './setup.js';

const THREADS = 3;

/** What workers are sent that work for kernels of this package, as opposed to those of tfjs. */
const starts: Start[] = [], { Worker } = globalThis;
globalThis.Worker = class extends Worker {
  override postMessage(message: unknown): void {
    if ((message as Partial<Start>).control) starts.push(message as Start);
    super.postMessage(message);
  }
};
afterAll(() => { globalThis.Worker = Worker; });

// tfjs uses half of the cores at most.
Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 * THREADS });
setThreadsCount(THREADS);
await tf.setBackend('wasm');
const { batchNorm } = registerBatchNorm(tf);

it('has its tensors worked on by as many threads as the backend is set to, with the right results', async () => {
  expect(getThreadsCount()).toBe(THREADS);
  const { wasm } = tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } };
  expect(wasm.HEAPU8.buffer).toBeInstanceOf(SharedArrayBuffer);
  const shape = [40, 30, 30, 16], values = Float32Array.from(normal(40 * 900 * 16, 1, 3, 2)), alone = new BatchNorm(16, { layout: 'channels-last', eps: 1e-3 });
  const y = alone.forward(values, shape), { dx } = alone.backward(values), x = tf.tensor(values, shape);
  const finished = () => starts.map(({ control }) => Atomics.load(new Control(control).words, FINISHED));
  for (let rounds = 0; (rounds < 3 || finished()[0] === 0) && rounds < 1000; rounds++) {
    const results = tf.tidy(() => [batchNorm(x).y, tf.grad((input) => batchNorm(input).y)(x, x)].map((tensor) => tensor.dataSync()));
    expect(distance(results[0]!, y)).toBeLessThan(4e-6);
    expect(distance(results[1]!, dx)).toBeLessThan(4e-6);
    // Workers start when the page returns to its event loop.
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  expect(starts.map(({ id }) => id)).toEqual([1, 2]);
  expect(finished()[0]).toBeGreaterThan(0);
  x.dispose();
});
