/** The same over BroadcastChannel, between threads of Node. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { broadcastGroup, type Group } from '../../src/sync/index.js';
import { failureTable } from './failures.js';

let script: URL;

async function runThreads(size: number, { hang = -1, timeout = 20_000 } = {}): Promise<unknown[]> {
  const run = `threads ${size} ${hang}`;
  return Promise.all(Array.from({ length: size }, async (_, rank) => {
    const worker = new Worker(script, { workerData: { run, rank, size, timeout, hang: rank === hang } });
    const [message] = await Promise.race([once(worker, 'message'), once(worker, 'exit')]);
    await worker.terminate();
    return message;
  }));
}

describe('groups over BroadcastChannel', () => {
  let groups: Group[] = [];
  beforeAll(async () => {
    const { outputFiles } = await build({ entryPoints: ['test/sync/thread.ts'], bundle: true, write: false, format: 'esm', platform: 'node', target: 'es2022' });
    script = new URL(`data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString('base64')}`);
    groups = await Promise.all([0, 1, 2].map((rank) => broadcastGroup({ run: 'here', rank, size: 3, timeout: 5000 })));
  });
  afterAll(() => { for (const group of groups) group.close(); });
  failureTable(() => groups);

  it.each([2, 4])('have the bits of one machine in %i threads', async (size) => {
    const results = await runThreads(size) as { shared: string; right: boolean }[];
    for (const { shared, right } of results) {
      expect(right).toBe(true);
      expect(shared).toBe(results[0]!.shared);
    }
  });

  it('name a thread that has ended at the time-out', async () => {
    const [first, , third] = await runThreads(3, { hang: 1, timeout: 500 });
    for (const message of [first, third]) expect(message).toMatch(/^rank 1 is missing in collective \d+ after 0.5 s/);
  });

  it('refuse a run without a name, and options that they do not know', async () => {
    await expect(broadcastGroup({ rank: 0, size: 1 } as never)).rejects.toThrow('"run" expected a name that all ranks share, got undefined');
    await expect(broadcastGroup({ run: 'x', rank: 0, size: 1, port: 3 } as never)).rejects.toThrow('got "port"');
  });
});
