/** Runs a race, one side after the other. Each race has a worker of its own. */
import { BatchNorm, createRuntime, createThreadedRuntime, type Runtime } from 'batchnorm-wasm';
import { random, standardNormal } from '../../test/random.js';
import { lengthOf, type Race, type RaceReport, type Runner, type Side, shapeOf } from './race.js';

const WARM_UP = { runs: 3, milliseconds: 150 };
const MEASURED = { runs: 7, milliseconds: 300 };
/** Milliseconds after which fewer runs are enough. */
const PATIENCE = 3_000;

addEventListener('message', async ({ data: race }: MessageEvent<Race>) => {
  const data = normalNumbers(lengthOf(race));
  report({ type: 'time', side: 'copy', milliseconds: measure(copy(data)) });
  const sides: [Side, () => Runner | Promise<Runner>][] = [
    ['tensor', () => tensors(race, data, createRuntime({ kind: 'wasm-simd' }))],
    ['array', () => arrays(race, data)],
    ['javascript', () => tensors(race, data, createRuntime({ kind: 'javascript' }))],
  ];
  if (race.threads > 1) sides.splice(1, 0, ['threads', () => onThreads(race, data)]);
  if (race.tfjs) sides.push(['tfjs', async () => (await import('./speed-tfjs.js')).tfjs(race, data)]);
  for (const [side, prepare] of sides) {
    try {
      const runner = await prepare();
      report({ type: 'time', side, milliseconds: measure(runner) });
      runner.dispose();
    } catch (error) {
      report({ type: 'unable', side, message: (error as Error).message });
    }
  }
  report({ type: 'finished' });
});

/** Median time of one run. */
function measure({ run }: Runner): number {
  repeat(run, WARM_UP);
  const times = repeat(run, MEASURED).sort((a, b) => a - b);
  return times[times.length >> 1]!;
}

/** Times at least so many runs and milliseconds. Short runs are timed several at once, since browsers' clocks are coarse. */
function repeat(run: () => void, { runs, milliseconds }: { runs: number; milliseconds: number }): number[] {
  const times: number[] = [];
  const start = performance.now(), elapsed = () => performance.now() - start;
  let atOnce = 1;
  while (times.length === 0 || elapsed() < milliseconds || (times.length < runs && elapsed() < PATIENCE)) {
    const before = performance.now();
    for (let i = 0; i < atOnce; i++) run();
    const passed = performance.now() - before;
    if (passed < 1) atOnce *= 2;
    else times.push(passed / atOnce);
  }
  return times;
}

function copy(data: Float32Array): Runner {
  const out = new Float32Array(data.length);
  return { run: () => out.set(data), dispose: () => {} };
}

/** Data in the runtime's memory. */
function tensors(race: Race, data: Float32Array, runtime: Runtime): Runner {
  const bn = new BatchNorm(race.channels, { runtime, layout: race.layout });
  const x = runtime.tensor(shapeOf(race), { data }), out = runtime.tensor(shapeOf(race));
  const forward = () => { bn.forward(x, { out }); };
  bn.train(race.operation !== 'eval');
  forward();
  const dy = race.operation === 'backward' ? runtime.tensor(shapeOf(race), { data }) : null;
  return { run: dy ? () => { bn.backward(dy, { out }); } : forward, dispose: () => runtime.dispose() };
}

/** The same on several threads, once they have started. */
async function onThreads(race: Race, data: Float32Array): Promise<Runner> {
  const runtime = createThreadedRuntime({ threads: race.threads });
  await runtime.ready;
  if (runtime.threads < race.threads) throw new Error(`Only ${runtime.threads} of ${race.threads} threads have started.`);
  return tensors(race, data, runtime);
}

/** Data in arrays of JavaScript, copied in and out. */
function arrays(race: Race, data: Float32Array): Runner {
  const bn = new BatchNorm(race.channels, { layout: race.layout });
  const out = new Float32Array(data.length), shape = shapeOf(race);
  const forward = () => { bn.forward(data, shape, { out }); };
  bn.train(race.operation !== 'eval');
  forward();
  return { run: race.operation === 'backward' ? () => { bn.backward(data, { out }); } : forward, dispose: () => bn.dispose() };
}

/** A million different normal numbers, repeated. */
function normalNumbers(length: number): Float32Array {
  const values = new Float32Array(length), gaussian = standardNormal(random(1)), different = Math.min(length, 1 << 20);
  for (let i = 0; i < different; i++) values[i] = gaussian();
  for (let filled = different; filled < length; filled *= 2) values.copyWithin(filled, 0, filled);
  return values;
}

function report(message: RaceReport): void {
  postMessage(message);
}
