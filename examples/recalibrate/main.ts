/** Running statistics of a whole data set by a queue of shards, with workers and a coordinator that are killed on the way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { decodeMoments, recalibrateFrom } from 'batchnorm-wasm';
import { partOf, rowsOfBatches } from '../data-parallel/batches.js';
import { Network } from '../data-parallel/network.js';
import { readDataset } from '../mnist/dataset.js';
import { hashOf, loadNetwork, type Plan, saveNetwork, workerOf } from './shard.js';

const HELP = `Usage: npm run example -- recalibrate --queue <address> [options]

Trains the MNIST network for some steps, then recomputes its running statistics over the training
images: one process after the other, then by workers that take shards from a queue.

  --queue <address>  nats://127.0.0.1:4222 (JetStream: nats-server -js) or redis://127.0.0.1:6379 (BullMQ)
  --workers <n>      processes (default 2)
  --kills <n>        workers that are killed in the middle of their work, and replaced (default 0)
  --coordinators <n> times that the coordinator is killed, and started again (default 0)
  --images <n>       of the 60,000 (default all)
  --shards <n>       jobs (default 48)
  --help             this text
`;
const PROCESS = ['--import', 'tsx', fileURLToPath(new URL('process.ts', import.meta.url))];
const STEPS = 20, BATCH = 60;

/** What one process makes of all shards, one after the other. */
function sequentially(plan: Plan): string {
  const compute = workerOf(plan), network = loadNetwork(plan.file);
  const rows = Array.from({ length: plan.shards }, (_, shard) => decodeMoments(compute(shard))).flat();
  for (const [layer, bn] of network.norms.entries()) recalibrateFrom(bn, rows.map((row) => row[layer]!));
  return hashOf(network);
}

/** Every so many shards that are taken, whoever is to be killed is killed: a worker by then has begun to compute. */
const EVERY = 3;

/** Starts workers and a coordinator, and ends some of them; returns what the last coordinator says. */
async function together(file: string, workers: number, kills: number, coordinators: number): Promise<string> {
  const children = new Set<ChildProcess>();
  process.once('exit', () => { for (const child of children) child.kill('SIGKILL'); });
  const start = (role: 'worker' | 'coordinator') => {
    const child = spawn(process.execPath, [...PROCESS, role, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  let taken = 0, killed = 0, restarts = 0, finished = false, coordinator = start('coordinator');
  const work = () => {
    const worker = start('worker');
    worker.stdout.on('data', () => {
      if (++taken % EVERY > 0 || finished) return;
      if (killed < kills) {
        killed++;
        worker.kill('SIGKILL');
        work();
      }
      if (restarts < coordinators) coordinator.kill('SIGKILL');
    });
  };
  for (let i = 0; i < workers; i++) work();
  try {
    for (;;) {
      let output = '';
      coordinator.stdout.on('data', (data) => { output += data; });
      const [code, signal] = await once(coordinator, 'close') as [number | null, string | null];
      if (signal !== 'SIGKILL') {
        if (code !== 0) throw new Error(`the coordinator has ended with code ${code}`);
        console.log(`${workers} workers, ${killed} of them and ${restarts} coordinators killed; ${taken} times a shard was taken`);
        return output.trim();
      }
      restarts++;
      coordinator = start('coordinator');
    }
  } finally {
    finished = true;
    await Promise.all(Array.from(children, (child) => new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill('SIGKILL');
    })));
  }
}

const { values } = parseArgs({
  options: {
    queue: { type: 'string' }, workers: { type: 'string', default: '2' }, kills: { type: 'string', default: '0' },
    coordinators: { type: 'string', default: '0' }, images: { type: 'string', default: '60000' },
    shards: { type: 'string', default: '48' }, help: { type: 'boolean', default: false },
  },
});
if (values.help || values.queue === undefined) {
  console.log(HELP);
} else {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const folder = mkdtempSync(join(tmpdir(), 'recalibrate-'));
  try {
    const network = new Network('float32'), dataset = readDataset('train'), source = rowsOfBatches(dataset, BATCH, 1);
    for (let step = 0; step < STEPS; step++) await network.trainStep(partOf(dataset, source.next().value, 'float32'), BATCH, null);
    const plan = { images: Number(values.images), shards: Number(values.shards), file: join(folder, 'network') };
    const file = join(folder, 'plan.json');
    saveNetwork(network, plan.file);
    writeFileSync(file, JSON.stringify({ ...plan, address: values.queue, run: `recalibrate-${Date.now()}` }));
    const expected = sequentially(plan);
    console.log(`one process: ${expected}`);
    const hash = await together(file, Number(values.workers), Number(values.kills), Number(values.coordinators));
    console.log(`by queue:    ${hash}`);
    if (hash !== expected) throw new Error('the statistics differ');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
