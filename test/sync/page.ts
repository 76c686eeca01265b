/** A rank in a page; bundled by the test. */
import { wsconnect } from '@nats-io/nats-core';
import { broadcastGroup, natsGroup } from '../../src/sync/index.js';
import { train } from './training.js';

/** A rank among tabs. `hang`: it stays away from the last collective. */
async function tab(run: string, rank: number, size: number, hang: boolean): Promise<unknown> {
  const group = await broadcastGroup({ run, rank, size, timeout: 20_000 });
  const result = await train(group);
  if (hang) return result;
  return group.allGather(new Uint8Array(1)).then(() => {
    group.close();
    return result;
  }, (error: Error) => error.message);
}

/** A rank among processes. */
async function overNats(port: number, run: string, rank: number, size: number): Promise<unknown> {
  const connection = await wsconnect({ servers: `ws://127.0.0.1:${port}` });
  const group = await natsGroup(connection, { run, rank, size, timeout: 20_000 });
  const result = await train(group);
  group.close();
  await connection.drain();
  return result;
}

Object.assign(globalThis, { tab, overNats });
