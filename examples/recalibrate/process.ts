/** `process.ts worker PLAN` computes shards until it is ended; `process.ts coordinator PLAN` collects them and says what comes of them. */
import { readFileSync } from 'node:fs';
import { decodeMoments, recalibrateFrom } from 'batchnorm-wasm';
import { Presets, SingleBar } from 'cli-progress';
import { openBullMQ } from './bullmq.js';
import { openJetStream } from './jetstream.js';
import { hashOf, loadNetwork, type Plan, workerOf } from './shard.js';

const [role, file] = process.argv.slice(2) as ['worker' | 'coordinator', string];
const plan = JSON.parse(readFileSync(file, 'utf8')) as Plan & { address: string; run: string };
const { protocol, hostname, port } = new URL(plan.address);
const queue = protocol === 'nats:'
  ? await openJetStream(`${hostname}:${port}`, plan.run)
  : await openBullMQ(hostname, Number(port), plan.run);
if (role === 'worker') {
  const compute = workerOf(plan);
  await queue.work((shard) => {
    console.log(`shard ${shard}`);
    return compute(shard);
  });
} else {
  const format = '{bar} {value} of {total} shards  {eta_formatted} left';
  const bar = new SingleBar({ format, barsize: 20, stream: process.stderr }, Presets.shades_classic);
  bar.start(plan.shards, 0);
  await queue.add(plan.shards);
  const results = await queue.results(plan.shards, (done) => bar.update(done));
  bar.stop();
  // In the order of shards, and not merged before: addition of rounded numbers depends on its order.
  const rows = results.flatMap((bytes) => decodeMoments(bytes)), network = loadNetwork(plan.file);
  for (const [layer, bn] of network.norms.entries()) recalibrateFrom(bn, rows.map((row) => row[layer]!));
  console.log(hashOf(network));
  await queue.close();
}
