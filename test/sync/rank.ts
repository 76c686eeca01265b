/**
 * One process of a group, for tests that end it: node --import tsx test/sync/rank.ts ENGINE PORT RUN RANK SIZE. Trains two layers
 * until its group fails; prints each step, then the error and the state that it is left with.
 */
import { connect } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { BatchNorm } from '../../src/index.js';
import { type Group, natsGroup, redisGroup, sumOver, syncBackward, syncForward, syncStep } from '../../src/sync/index.js';
import { normal } from '../data.js';

const [engine, port, run = '', rank, size] = process.argv.slice(2);
const options = { run, rank: Number(rank), size: Number(size), timeout: 20_000 };

async function start(): Promise<{ group: Group; end(): Promise<unknown> }> {
  if (engine === 'nats') {
    const connection = await connect({ servers: `127.0.0.1:${port}`, maxReconnectAttempts: 2, reconnectTimeWait: 50 });
    return { group: await natsGroup(connection, options), end: () => connection.close() };
  }
  const client = new Redis(Number(port), '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null });
  client.on('error', () => {});
  return { group: await redisGroup(client, options), end: async () => client.disconnect() };
}

const { group, end } = await start();
const layers = [new BatchNorm(3), new BatchNorm(64, { momentum: null })];
const states = [JSON.stringify(layers.map((bn) => bn.stateDict()))];
try {
  for (let step = 0; ; step++) {
    await syncStep(group, layers, async () => {
      for (const bn of layers) {
        const values = Float32Array.from(normal(4 * bn.channels, 31 * step + group.rank));
        await syncForward(bn, group, values, [4, bn.channels]);
        await syncBackward(bn, group, values);
      }
      await sumOver(group, [new Float64Array(100)]);
    });
    states.push(JSON.stringify(layers.map((bn) => bn.stateDict())));
    process.stdout.write(`${JSON.stringify({ step })}\n`);
  }
} catch (error) {
  const state = JSON.stringify(layers.map((bn) => bn.stateDict()));
  // Of which step this is the state, whatever was half done when the group failed.
  process.stdout.write(`${JSON.stringify({ error: (error as Error).message, whole: states.indexOf(state), steps: states.length - 1, state })}\n`);
  await end();
}
