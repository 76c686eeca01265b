/** The program of a worker. scripts/bundle.mjs makes a text of it, which starts without a file, and a file for pages that forbid that. */
import {
  type AnyKernel, ASLEEP, AWAKE, Control, DONE, FINISHED, FREE, JOB, KERNELS, PARTS, partOf, rest, SPIN, STARTING, STOP, stateOf,
} from './control.js';

/** What a worker is sent, once. */
export interface Start {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  /** From 1 on. */
  readonly id: number;
}

/** A worker in an endless wait cannot be ended in Bun. */
const LONGEST_SLEEP = 5000;

/** Works until STOP. */
function work({ module, memory, control: buffer, id }: Start): void {
  const control = new Control(buffer), { words } = control, state = stateOf(id);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = ['f32', 'f64'].flatMap((type) => KERNELS.map((name) => exports[`${name}_${type}`] as AnyKernel));
  // A runtime that has given up waiting for this worker does not want it any more.
  if (Atomics.compareExchange(words, state, STARTING, AWAKE) !== STARTING) return;
  while (!Atomics.load(words, STOP)) {
    const job = Atomics.load(words, JOB);
    // The caller begins at the other end.
    for (let i = control.numbers[PARTS]! - 1; i >= 0; i--) {
      const part = partOf(i);
      if (Atomics.load(words, part) !== FREE || Atomics.compareExchange(words, part, FREE, id + 1) !== FREE) continue;
      control.run(kernels, i, id);
      if (Atomics.compareExchange(words, part, id + 1, DONE) !== id + 1) return;
      Atomics.add(words, FINISHED, 1);
      Atomics.notify(words, FINISHED);
    }
    const until = performance.now() + words[SPIN]! / 1000;
    let looks = 0;
    while (Atomics.load(words, JOB) === job) {
      rest();
      if (++looks % 32 || performance.now() < until) continue;
      Atomics.store(words, state, ASLEEP);
      Atomics.wait(words, JOB, job, LONGEST_SLEEP);
      Atomics.store(words, state, AWAKE);
      break;
    }
  }
}

const host = globalThis as unknown as {
  process?: { getBuiltinModule?(name: string): { parentPort?: { once(event: 'message', listener: (start: Start) => void): void; close?(): void } | null } };
  onmessage: ((event: { data: Start }) => void) | null;
  close(): void;
};
const port = host.process?.getBuiltinModule?.('node:worker_threads').parentPort;
function start(given: Start): void {
  work(given);
  // Deno's port cannot be closed, but its worker can.
  if (port?.close) port.close();
  else host.close();
}

if (port) port.once('message', start);
else host.onmessage = ({ data }) => start(data);
