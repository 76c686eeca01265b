/** What is left of runtimes that are disposed and of workers that are lost: nothing. */
import { execFileSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { Worker as NodeWorker } from 'node:worker_threads';
import { expect, it, vi } from 'vitest';
import { BatchNorm, createThreadedRuntime } from '../../../src/index.js';
import { AWAKE, Control, FREE, PARTS, partOf, stateOf } from '../../../src/runtime/threads/control.js';
import { GRID } from '../../../src/runtime/threads/slices.js';
import { threadedEngine } from '../../../src/runtime/threads/threaded-runtime.js';
import { normal } from '../../setup.js';

/** A worker that claims a part, sleeps until some time after it has been taken to be lost, and then writes over all of the memory. */
const LATE = `require('node:worker_threads').parentPort.once('message', ({ memory, control, id }) => {
  const words = new Int32Array(control), numbers = new Float64Array(control, ${new Control(new ArrayBuffer(2 ** 16)).numbers.byteOffset});
  const partOf = (i) => ${partOf(0)} + i * ${partOf(1) - partOf(0)}, own = id + 1;
  Atomics.store(words, ${stateOf(1)}, ${AWAKE});
  for (let claimed = -1; claimed < 0;) {
    for (let i = 0; i < numbers[${PARTS}] && claimed < 0; i++) if (Atomics.compareExchange(words, partOf(i), ${FREE}, own) === ${FREE}) claimed = i;
    while (claimed >= 0 && Atomics.load(words, partOf(claimed)) === own) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  new Uint8Array(memory.buffer).fill(255);
});`;

it('a worker that has been taken to be lost is ended, so that it does not write into memory that is in use again', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  const make = () => new NodeWorker(LATE, { eval: true }) as unknown as Worker;
  const runtime = threadedEngine({ threads: 2, worker: make }, { grid: GRID, governed: false, apart: true });
  const one = createThreadedRuntime({ threads: 1 });
  await runtime.ready;
  const shape = [4100, 66], values = Float32Array.from(normal(4100 * 66, 1, 3, 2));
  const [x, y, same] = [runtime.tensor(shape, { data: values }), runtime.tensor(shape), one.tensor(shape, { data: values })];
  const bn = new BatchNorm(66, { runtime, layout: 'channels-last' }), alone = new BatchNorm(66, { runtime: one, layout: 'channels-last' });
  const expected = Buffer.from(alone.forward(same).data.slice().buffer);
  for (let calls = 0; runtime.threads > 1 && calls < 1000; calls++) bn.forward(x, { out: y });
  expect(runtime.threads).toBe(1);
  await wait(600);
  expect(Buffer.from(y.data.slice().buffer).equals(expected)).toBe(true);
  runtime.dispose();
  vi.restoreAllMocks();
});

it('many runtimes hold nothing once they are disposed', () => {
  const program = `import { createThreadedRuntime } from './dist/index.js';
    for (let i = 0; i < 60; i++) {
      const runtime = createThreadedRuntime({ threads: 2 });
      await runtime.ready;
      runtime.dispose();
    }
    const held = () => {
      globalThis.gc();
      return process.memoryUsage().arrayBuffers;
    };
    for (let looks = 0; held() > 100_000 && looks < 60; looks++) await new Promise((resolve) => { setTimeout(resolve, 100); });
    console.log(held());`;
  const printed = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', program], { encoding: 'utf8', timeout: 50_000 });
  // What threads tell each other takes 28 KB of each.
  expect(Number(printed)).toBeLessThan(100_000);
});
