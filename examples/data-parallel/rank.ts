/**
 * One process of a training: `rank.ts nats --rank 0 --size 3` beside its peers, or under `mpirun -n 3`: `rank.ts mpi`. Without an
 * engine: one process alone with whole batches. Its last line says what it has ended with.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { DType } from 'batchnorm-wasm';
import { type Group, gatherNumbers, mpiGroup, natsGroup } from 'batchnorm-wasm/sync';
import { readDataset } from '../mnist/dataset.js';
import { boundsOf, partOf, rowsOfBatches } from './batches.js';
import { Network } from './network.js';

/** How a process ends its training. */
export interface Outcome {
  readonly rank: number;
  /** Of the whole batch, at each step. */
  readonly losses: number[];
  /** Of all parameters and running statistics. */
  readonly hash: string;
  /** The same, as base64 of doubles; of rank 0. */
  readonly state?: string;
}

const { values, positionals: [engine] } = parseArgs({
  allowPositionals: true,
  options: {
    rank: { type: 'string', default: '0' },
    size: { type: 'string', default: '1' },
    server: { type: 'string', default: '127.0.0.1:4222' },
    run: { type: 'string', default: 'data-parallel' },
    steps: { type: 'string', default: '60' },
    dtype: { type: 'string', default: 'float64' },
    batch: { type: 'string', default: '60' },
    timeout: { type: 'string', default: '30000' },
  },
});

async function join(): Promise<{ group: Group | null; leave(): Promise<void> }> {
  const timeout = Number(values.timeout);
  if (engine === undefined) return { group: null, leave: async () => {} };
  if (engine === 'mpi') {
    const group = mpiGroup((await import('koffi')).default, { timeout });
    return { group, leave: async () => group.close() };
  }
  const { connect } = await import('@nats-io/transport-node');
  const connection = await connect({ servers: values.server });
  const group = await natsGroup(connection, { run: values.run, rank: Number(values.rank), size: Number(values.size), timeout });
  return {
    group,
    async leave() {
      group.close();
      await connection.drain();
    },
  };
}

/** Unequal shares of a batch, as on machines of unequal speed: the last rank has twice what the first has, and more. */
function shareOf(batch: number, rank: number, size: number): number {
  const total = (size * (size + 1)) / 2, before = (rank * (rank + 1)) / 2;
  return Math.floor((batch * (before + rank + 1)) / total) - Math.floor((batch * before) / total);
}

const { group, leave } = await join(), { rank, size } = group ?? { rank: 0, size: 1 };
const dtype = values.dtype as DType, dataset = readDataset('train'), network = new Network(dtype);
// Each rank decides on its own share and asks for those of the others: the loss is divided by the samples of all.
const share = shareOf(Number(values.batch), rank, size), shares = group ? await gatherNumbers(group, share) : [share];
const total = shares.reduce((sum, each) => sum + each, 0), [start, end] = boundsOf(shares, rank);
const losses: number[] = [], source = rowsOfBatches(dataset, total, 1);
for (let step = 1; step <= Number(values.steps); step++) {
  const loss = await network.trainStep(partOf(dataset, source.next().value.subarray(start, end), dtype), total, group);
  losses.push(group ? (await gatherNumbers(group, loss)).reduce((sum, each) => sum + each, 0) : loss);
  if (step % 10 === 0 && rank === 0) console.log(`step ${step}: loss ${losses.at(-1)!.toFixed(4)}`);
}
const state = Buffer.concat(network.state().map(({ buffer }) => new Uint8Array(buffer)));
const outcome: Outcome = {
  rank, losses, hash: createHash('sha256').update(state).digest('hex').slice(0, 16),
  ...(rank === 0 && { state: Buffer.from(Float64Array.from(network.state().flatMap((array) => Array.from(array))).buffer).toString('base64') }),
};
console.log(JSON.stringify(outcome));
await leave();
