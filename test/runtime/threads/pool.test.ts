/** Threads that are missing, late, killed or not allowed: no program breaks, and no result changes. */
import { execFileSync } from 'node:child_process';
import { Worker as NodeWorker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BatchNorm, createRuntime, createThreadedRuntime, type Runtime, type ThreadedRuntimeOptions } from '../../../src/index.js';
import { FirstFit, type Memory, PAGE } from '../../../src/runtime/memory.js';
import { AWAKE, Control, FINISHED, FREE, JOB, PARTS, partOf, stateOf } from '../../../src/runtime/threads/control.js';
import { GRID } from '../../../src/runtime/threads/slices.js';
import { engineOver, threadedEngine } from '../../../src/runtime/threads/threaded-runtime.js';
import type { Start } from '../../../src/runtime/threads/worker.js';
import { WORKER } from '../../../src/runtime/threads/worker-text.js';
import { normal } from '../../setup.js';

type MakeWorker = NonNullable<ThreadedRuntimeOptions['worker']>;

const shape = [4100, 66], values = Float32Array.from(normal(4100 * 66, 1, 3, 2));

let warned: string[];
beforeEach(() => {
  warned = [];
  vi.spyOn(console, 'warn').mockImplementation((text) => { warned.push(text); });
});
afterEach(() => { vi.restoreAllMocks(); });

/** Shares every call that is large enough, so that workers take part whatever the machine is doing. */
const eager = (threads: number, worker?: MakeWorker) =>
  threadedEngine({ threads, ...(worker && { worker }) }, { grid: GRID, governed: false, apart: true });

/** Steps of training; `between` runs before each. */
async function train(runtime: Runtime, steps = 6, between: (step: number) => unknown = () => {}): Promise<string> {
  const x = runtime.tensor(shape, { data: values }), dy = runtime.tensor(shape, { data: values }), dx = runtime.tensor(shape);
  const bn = new BatchNorm(66, { runtime, layout: 'channels-last' }), y = runtime.tensor(shape);
  for (let step = 0; step < steps; step++) {
    await between(step);
    bn.forward(x, { out: y });
    const { dweight } = bn.backward(dy, { out: dx });
    bn.weight!.forEach((_, c) => { bn.weight![c]! -= 1e-3 * dweight![c]!; });
  }
  const results = [y.data, dx.data, bn.weight!, bn.runningMean!, bn.runningVar!].map((array) => Buffer.from(array.slice().buffer).toString('base64'));
  for (const tensor of [x, dy, dx, y]) tensor.dispose();
  return results.join();
}

const one = createThreadedRuntime({ threads: 1 }), expected = await train(one), twoSteps = await train(one, 2);

/** A worker whose handle is kept. */
function kept(program = WORKER): { make: MakeWorker; workers: NodeWorker[]; starts: Start[] } {
  const workers: NodeWorker[] = [], starts: Start[] = [];
  const make = () => {
    const worker = new NodeWorker(program, { eval: true }), post = worker.postMessage.bind(worker);
    worker.postMessage = (start) => {
      starts.push(start);
      post(start);
    };
    workers.push(worker);
    return worker as unknown as Worker;
  };
  return { make, workers, starts };
}

/** A worker that claims one part of the first job and ends. */
const DYING = `require('node:worker_threads').parentPort.once('message', ({ control, id }) => {
  const words = new Int32Array(control), numbers = new Float64Array(control, ${new Control(new ArrayBuffer(2 ** 16)).numbers.byteOffset});
  Atomics.store(words, ${stateOf(1)}, ${AWAKE});
  const partOf = (i) => ${partOf(0)} + i * ${partOf(1) - partOf(0)};
  for (let claimed = false; !claimed;) {
    for (let i = 0; i < numbers[${PARTS}] && !claimed; i++) claimed = Atomics.compareExchange(words, partOf(i), ${FREE}, id + 1) === ${FREE};
  }
  process.exit();
});`;

describe('workers', () => {
  it('take part in calls, and end with the runtime', async () => {
    const { make, workers, starts } = kept(), runtime = eager(2, make), ended = new Promise((resolve) => { workers[0]!.once('exit', resolve); });
    expect(runtime.threads).toBeLessThanOrEqual(2);
    await runtime.ready;
    expect(runtime.threads).toBe(2);
    const words = new Int32Array(starts[0]!.control);
    for (let rounds = 0; Atomics.load(words, FINISHED) === 0 && rounds < 100; rounds++) expect(await train(runtime)).toBe(expected);
    expect(Atomics.load(words, FINISHED)).toBeGreaterThan(0);
    runtime.dispose();
    expect(runtime.threads).toBe(1);
    expect(await ended).toBe(0);
    expect(warned).toEqual([]);
  });

  it('work over a memory that somebody else allocates, with the same bits', async () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1024, shared: true });
    const runtime = engineOver(new FirstFit(memory as unknown as Memory, 1024 * PAGE), memory, 3);
    await runtime.ready;
    expect(runtime.threads).toBe(3);
    expect(await train(runtime)).toBe(expected);
    expect(runtime.bytesInUse).toBe(0);
    runtime.dispose();
    expect(runtime.threads).toBe(1);
  });

  it('that have started stay; those that have not are given up after a while, and it is said', async () => {
    const { setTimeout } = globalThis, giveUp: (() => void)[] = [];
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((callback: () => void, milliseconds: number) => {
      if (milliseconds < 5000) return setTimeout(callback, milliseconds);
      giveUp.push(callback);
      return setTimeout(() => {}, 0);
    }) as never);
    const all = eager(2), { make, workers } = kept();
    await all.ready;
    for (const callback of giveUp.splice(0)) callback();
    expect([all.threads, warned]).toEqual([2, []]);
    const silent = () => new NodeWorker('setInterval(() => {}, 1000)', { eval: true }) as unknown as Worker;
    const some = eager(3, () => (workers.length === 0 ? make() : silent()));
    while (some.threads < 2) await new Promise((resolve) => { setTimeout(resolve, 1); });
    for (const callback of giveUp) callback();
    await some.ready;
    expect([some.threads, warned]).toEqual([2, ['batchnorm-wasm: fewer threads than asked for: a worker has not started']]);
    expect(await train(some)).toBe(expected);
    for (const runtime of [all, some]) runtime.dispose();
  });

  it('are not woken for small calls', async () => {
    const { make, starts } = kept(), runtime = eager(2, make), bn = new BatchNorm(100, { runtime });
    await runtime.ready;
    const x = runtime.tensor([60, 100], { data: values.subarray(0, 6000) });
    for (let i = 0; i < 100; i++) bn.forward(x, { out: x });
    expect(Atomics.load(new Int32Array(starts[0]!.control), JOB)).toBe(0);
    runtime.dispose();
  });

  it('that are killed between two calls change no result, and it is said', async () => {
    const { make, workers } = kept(), runtime = eager(3, make);
    await runtime.ready;
    expect(await train(runtime, 6, (step) => (step === 3 ? workers[0]!.terminate() : undefined))).toBe(expected);
    expect(runtime.threads).toBe(2);
    expect(warned).toEqual(['batchnorm-wasm: fewer threads than asked for: a worker has ended']);
    runtime.dispose();
  });

  it('that are killed while calls are made change no result', async () => {
    const { make, workers } = kept(), runtime = eager(3, make);
    await runtime.ready;
    expect(await train(runtime, 6, (step) => { if (step === 2) for (const worker of workers) void worker.terminate(); })).toBe(expected);
    runtime.dispose();
  });

  it('that die in the middle of a part have it computed again', async () => {
    const { make } = kept(DYING), runtime = eager(2, make);
    await runtime.ready;
    // The first part that the worker gets is its last.
    for (let rounds = 0; runtime.threads > 1 && rounds < 1000; rounds++) expect(await train(runtime, 2)).toBe(twoSteps);
    expect(runtime.threads).toBe(1);
    runtime.dispose();
  });

  it('that die while they write over their input make the call throw, and nothing else has changed', async () => {
    const { make } = kept(DYING), runtime = eager(2, make), bn = new BatchNorm(66, { runtime, layout: 'channels-last' }).eval();
    await runtime.ready;
    const x = runtime.tensor(shape, { data: values }), state = bn.stateDict();
    const untilItDies = () => { for (let calls = 0; calls < 100_000; calls++) bn.forward(x, { out: x }); };
    expect(untilItDies).toThrow('a worker ended while it wrote over its input');
    expect(bn.stateDict()).toEqual(state);
    expect(runtime.threads).toBe(1);
    x.dispose();
    expect(runtime.bytesInUse).toBe(0);
    expect(await train(runtime)).toBe(expected);
    runtime.dispose();
  });
});

describe('where threads cannot be had', () => {
  it.each<[string, MakeWorker, string]>([
    ['a worker cannot be made', () => { throw new Error('forbidden'); }, 'Error: forbidden'],
    ['a worker says that it cannot start', () => {
      const worker = new NodeWorker('throw new Error("broken")', { eval: true });
      return worker as unknown as Worker;
    }, 'broken'],
    ['a worker ends at once', () => new NodeWorker('', { eval: true }) as unknown as Worker, 'a worker has ended'],
  ])('%s: one thread works, with the same bits, and the console says why, once', async (_, worker, reason) => {
    const runtime = eager(3, worker);
    await runtime.ready;
    expect(runtime.threads).toBe(1);
    expect(await train(runtime)).toBe(expected);
    const saidBefore = reason === 'a worker has ended';
    expect(warned).toEqual(saidBefore ? [] : [`batchnorm-wasm: fewer threads than asked for: ${reason}`]);
    runtime.dispose();
  });

  it('a host without shared memory: the same', async () => {
    vi.stubGlobal('SharedArrayBuffer', undefined);
    try {
      const runtime = createThreadedRuntime({ threads: 2 });
      await runtime.ready;
      expect(runtime.threads).toBe(1);
      expect(await train(runtime)).toBe(expected);
      expect(warned).toEqual([expect.stringContaining('SharedArrayBuffer')]);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('a host that refuses large shared memories: a smaller one, of which the allocator knows', async () => {
    const Real = WebAssembly.Memory, asked: number[] = [];
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function MemoryOfLess(descriptor: WebAssembly.MemoryDescriptor) {
      asked.push(descriptor.maximum!);
      if (descriptor.shared && descriptor.maximum! > 8192) throw new RangeError('refused');
      return new Real(descriptor);
    } as never);
    const runtime = eager(2);
    await runtime.ready;
    expect(asked).toEqual([65_535, 32_768, 16_384, 8192]);
    expect(() => runtime.tensor([2 ** 28])).toThrow('536870912 allowed');
    expect(await train(runtime)).toBe(expected);
    runtime.dispose();
  });

  it('a module that has been compiled: its bytes are asked for', async () => {
    const { packaged } = await import('../../../src/runtime/packaged.js');
    const runtime = createThreadedRuntime({ threads: 2, module: packaged() });
    expect(runtime.threads).toBe(1);
    expect(await train(runtime)).toBe(expected);
    expect(warned).toEqual([expect.stringContaining('bytes of "module"')]);
  });

  it('the bytes of the module will do', async () => {
    const { packagedBytes } = await import('../../../src/runtime/packaged.js');
    for (const module of [packagedBytes(), packagedBytes().slice().buffer]) {
      const runtime = createThreadedRuntime({ threads: 2, module });
      await runtime.ready;
      expect(runtime.threads).toBe(2);
      expect(await train(runtime)).toBe(expected);
      runtime.dispose();
    }
    expect(() => createThreadedRuntime({ threads: 2, module: packagedBytes().subarray(0, 100) })).toThrow(WebAssembly.CompileError);
  });
});

describe('options', () => {
  it.each([
    [0, RangeError], [-2, RangeError], [1.5, RangeError], [Number.NaN, RangeError], [Number.POSITIVE_INFINITY, RangeError],
    ['2', TypeError], [undefined, TypeError], [null, TypeError], [2n, TypeError],
  ])('threads %s: refused', (threads, error) => {
    expect(() => createThreadedRuntime({ threads: threads as number })).toThrow(error);
    expect(() => createThreadedRuntime({ threads: threads as number })).toThrow(/"threads" expected a/);
  });

  it.each([
    [undefined, TypeError], [{ threads: 2, thread: 3 }, TypeError], [{ threads: 2, worker: 'worker.js' }, TypeError],
    [{ threads: 2, maximumBytes: 1 }, RangeError], [{ threads: 2, module: 'kernels' }, TypeError],
  ])('%j: refused', (options, error) => {
    expect(() => createThreadedRuntime(options as never)).toThrow(error);
  });

  it('more threads than the host has are allowed', async () => {
    const runtime = createThreadedRuntime({ threads: 9 });
    await runtime.ready;
    expect(runtime.threads).toBe(9);
    expect(await train(runtime)).toBe(expected);
    runtime.dispose();
  });

  it('every runtime says how many threads it has, and that it is ready', async () => {
    for (const runtime of [createRuntime(), createRuntime({ kind: 'javascript' }), createThreadedRuntime({ threads: 1 })]) {
      expect(runtime.threads).toBe(1);
      await expect(runtime.ready).resolves.toBeUndefined();
    }
  });
});

/** What a program prints that uses the package as it ships. */
function printedBy(program: string, ...args: string[]): string {
  const head = "import { BatchNorm, createThreadedRuntime } from './dist/index.js';\n"
    + "const use = (runtime, bn = new BatchNorm(64, { runtime }), x = runtime.tensor([4096, 64])) => { x.data.fill(2); return bn.forward(x).data[7]; };\n";
  return execFileSync(process.execPath, ['--input-type=module', ...args, '-e', head + program], { encoding: 'utf8', timeout: 50_000, env: {} }).trim();
}

describe('a program', () => {
  it.each([
    ['that disposes nothing ends by itself', 'const runtime = createThreadedRuntime({ threads: 2 }); console.log(use(runtime));', '0'],
    ['may wait until threads are ready, with nothing else to do',
      'const runtime = createThreadedRuntime({ threads: 3 }); await runtime.ready; console.log(runtime.threads, use(runtime));', '3 0'],
    ['that has not let go of its event loop gets threads', `const runtime = createThreadedRuntime({ threads: 2 }), start = Date.now();
      while (runtime.threads < 2 && Date.now() - start < 20_000) use(runtime); console.log(runtime.threads);`, '2'],
    ['may dispose a runtime at once', 'const runtime = createThreadedRuntime({ threads: 2 }); runtime.dispose(); await runtime.ready; console.log(runtime.threads);', '1'],
    ['may have two runtimes', `const all = [2, 2].map((threads) => createThreadedRuntime({ threads })); await Promise.all(all.map(({ ready }) => ready));
      for (let i = 0; i < 5; i++) all.forEach((runtime) => use(runtime)); console.log(all.map(({ threads }) => threads).join());`, '2,2'],
    ['that ends with an error ends with it', 'use(createThreadedRuntime({ threads: 2 })); process.exitCode = 0; console.log(1); process.exit();', '1'],
  ])('%s', (_, program, printed) => {
    expect(printedBy(program)).toBe(printed);
  });

  it('may use threads inside a worker, and that worker can be ended', () => {
    expect(printedBy(`import { Worker } from 'node:worker_threads';
      const worker = new Worker(\`import('./dist/index.js').then(async ({ createThreadedRuntime, BatchNorm }) => {
        const runtime = createThreadedRuntime({ threads: 2 }); await runtime.ready;
        process.getBuiltinModule('node:worker_threads').parentPort.postMessage(runtime.threads);
        setInterval(() => {}, 1000);
      })\`, { eval: true });
      worker.once('message', async (threads) => { console.log(threads, await worker.terminate()); });`)).toBe('2 1');
  });

  it('may be forked', () => {
    expect(printedBy(`import { fork } from 'node:child_process';
      import { mkdtempSync, writeFileSync } from 'node:fs';
      const file = mkdtempSync('/tmp/fork-') + '/child.mjs';
      writeFileSync(file, "import { createThreadedRuntime } from '" + import.meta.resolve('./dist/index.js') + "';"
        + "const runtime = createThreadedRuntime({ threads: 2 }); await runtime.ready; process.send(runtime.threads, () => process.disconnect());");
      const runtime = createThreadedRuntime({ threads: 2 });
      await runtime.ready;
      fork(file, { execArgv: [] }).once('message', (threads) => { console.log(runtime.threads, threads, use(runtime)); });`)).toBe('2 2 0');
  });

  it('that is not allowed workers works on one thread', () => {
    const options = process.allowedNodeEnvironmentFlags.has('--permission') ? ['--permission'] : ['--experimental-permission'];
    expect(printedBy("console.warn = (text) => console.log(text.slice(0, 51)); const runtime = createThreadedRuntime({ threads: 2 }); await runtime.ready; console.log(runtime.threads, use(runtime));",
      ...options, '--allow-fs-read=*')).toBe('batchnorm-wasm: fewer threads than asked for: Error\n1 0');
  });

  it('may make and dispose many runtimes, and drop others', () => {
    expect(printedBy(`import { readdirSync } from 'node:fs';
      const tasks = () => readdirSync('/proc/self/task').length, before = tasks();
      for (let i = 0; i < 60; i++) {
        const runtime = createThreadedRuntime({ threads: 2 });
        if (i % 5 === 0) await runtime.ready;
        if (i % 10 === 0) use(runtime);
        runtime.dispose();
        if (i % 10 === 9) await new Promise((resolve) => { setTimeout(resolve, 5); });
      }
      for (let i = 0; i < 5; i++) await createThreadedRuntime({ threads: 2 }).ready;
      for (let i = 0; i < 200 && tasks() > before + 2; i++) {
        await new Promise((resolve) => { setTimeout(resolve, 50); });
        globalThis.gc();
      }
      console.log(tasks() <= before + 2);`, '--expose-gc')).toBe('true');
  });
});
