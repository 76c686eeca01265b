/**
 * The package as a side of the benchmark: `node --import tsx bench/ours.ts tensors | arrays | typescript | copy [URL]`,
 * URL that of another build.
 * A memory copy is the floor: the time to read x and write y without computing anything.
 */
import { readFileSync } from 'node:fs';
import type { BatchNorm, Runtime } from 'batchnorm-wasm';
import { threadedCopy } from './copy.js';
import { type Prepared, serve, type Task } from './protocol.js';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

const threads = Number(process.env.OMP_NUM_THREADS ?? 1);

const SIDES: Record<string, (task: Task) => Prepared | Promise<Prepared>> = {
  tensors: async (task) => tensors(await ownRuntime(), task),
  typescript: (task) => tensors(library.createRuntime({ kind: 'javascript' }), task),
  arrays,
  copy,
};

const [side = 'tensors', build = 'batchnorm-wasm'] = process.argv.slice(2);
if (!SIDES[side]) throw new RangeError(`expected one of ${Object.keys(SIDES).join(', ')}, got ${side}`);
const library = await import(build) as typeof import('batchnorm-wasm');
await serve({ name: side, version, prepare: SIDES[side] });

function moduleFor(runtime: Runtime, { layout, channels, operation, read }: Task): BatchNorm {
  const bn = new library.BatchNorm(channels, { layout, runtime }).train(operation !== 'eval');
  bn.weight!.set(read('weight'));
  bn.bias!.set(read('bias'));
  bn.runningMean!.set(read('mean'));
  bn.runningVar!.set(read('variance'));
  return bn;
}

async function ownRuntime(): Promise<Runtime> {
  if (threads === 1) return library.createRuntime({ kind: 'wasm-simd' });
  const runtime = library.createThreadedRuntime({ threads });
  await runtime.ready;
  return runtime;
}

/** x, dy and the result live in the memory of the runtime. */
function tensors(runtime: Runtime, task: Task): Prepared {
  const bn = moduleFor(runtime, task);
  const { shape, operation, read } = task;
  const x = runtime.tensor(shape, { data: read('x') }), out = runtime.tensor(shape);
  const dispose = () => { runtime.dispose(); };
  if (operation !== 'backward') {
    return { run: () => { bn.forward(x, { out }); }, results: () => [out.data], dispose };
  }
  const dy = runtime.tensor(shape, { data: read('dy') });
  bn.forward(x, { out });
  const context = bn.context!;
  let { dweight, dbias } = bn.backward(dy, { context, out });
  return {
    run: () => { ({ dweight, dbias } = bn.backward(dy, { context, out })); },
    results: () => [out.data, dweight!, dbias!],
    dispose,
  };
}

/** x, dy and the result are typed arrays outside WebAssembly memory and are staged through it. */
function arrays(task: Task): Prepared {
  const runtime = library.createRuntime({ kind: 'wasm-simd' });
  const bn = moduleFor(runtime, task);
  const { shape, operation, read } = task;
  const x = read('x'), out = new Float32Array(x.length).fill(0);
  const dispose = () => { runtime.dispose(); };
  if (operation !== 'backward') {
    return { run: () => { bn.forward(x, shape, { out }); }, results: () => [out], dispose };
  }
  const dy = read('dy');
  bn.forward(x, shape, { out });
  const context = bn.context!;
  let { dweight, dbias } = bn.backward(dy, { context, out });
  return {
    run: () => { ({ dweight, dbias } = bn.backward(dy, { context, out })); },
    results: () => [out, dweight!, dbias!],
    dispose,
  };
}

async function copy({ shape, read }: Task): Promise<Prepared> {
  if (threads > 1) return { ...await threadedCopy(read('x').length, threads), results: () => [] };
  const runtime = library.createRuntime({ kind: 'wasm-simd' });
  const x = runtime.tensor(shape, { data: read('x') }), out = runtime.tensor(shape);
  return {
    run: () => { out.data.set(x.data); },
    results: () => [out.data],
    dispose: () => { runtime.dispose(); },
  };
}
