/** The same over real servers: NATS and Redis. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Group, natsGroup, redisGroup } from '../../src/sync/index.js';
import { normal, random } from '../setup.js';
import { bytes, outcomes, wait } from './bus.js';
import { ended, has, type Server, startNats, startRedis } from './engines.js';
import { failureTable } from './failures.js';

interface Rank {
  readonly group: Group;
  close(): Promise<unknown>;
}

const ENGINES = {
  nats: {
    program: 'nats-server', start: startNats,
    async join(port: number, options: Parameters<typeof natsGroup>[1]): Promise<Rank> {
      const connection: NatsConnection = await connect({ servers: `127.0.0.1:${port}`, maxReconnectAttempts: 2, reconnectTimeWait: 50 });
      return { group: await natsGroup(connection, options), close: () => connection.close() };
    },
  },
  redis: {
    program: 'redis-server', start: startRedis,
    async join(port: number, options: Parameters<typeof redisGroup>[1]): Promise<Rank> {
      const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null });
      client.on('error', () => {});
      return { group: await redisGroup(client, options), close: async () => client.disconnect() };
    },
  },
} as const;

let runs = 0;
const newRun = () => `run.* ${process.pid} ${runs++}`;

describe.each(['nats', 'redis'] as const)('groups over %s', (engine) => {
  const { program, start, join } = ENGINES[engine];
  describe.skipIf(!has(program))('with a server', () => {
    let server: Server, ranks: Rank[] = [];
    const joinAll = (size: number, options = {}) => {
      const run = newRun();
      return Promise.all(Array.from({ length: size }, (_, rank) => join(server.port, { run, rank, size, timeout: 20_000, ...options })));
    };
    const close = (all: readonly Rank[]) => Promise.all(all.map((rank) => rank.close()));
    beforeAll(async () => {
      server = await start();
      ranks = await joinAll(3);
    });
    afterAll(async () => {
      await close(ranks);
      await server.stop();
    });

    failureTable(() => ranks.map(({ group }) => group));

    it('carry parts of any length, more than a message may have', async () => {
      const parts = [new Uint8Array(0), Uint8Array.from(normal(3_000_000, 1, 100, 50)), bytes(1, 2, 3)];
      for (const result of await Promise.all(ranks.map(({ group }, rank) => group.allGather(parts[rank]!)))) {
        expect(result.map(({ length }) => length)).toEqual(parts.map(({ length }) => length));
        expect(result.every((part, i) => Buffer.compare(part, parts[i]!) === 0)).toBe(true);
      }
    });

    it('form again and again, and end together where a rank leaves', async () => {
      for (let i = 0; i < 5; i++) {
        const own = await joinAll(4);
        expect((await Promise.all(own.map(({ group }, rank) => group.allGather(bytes(rank)))))[3]).toEqual([0, 1, 2, 3].map((rank) => bytes(rank)));
        own[0]!.group.close();
        for (const outcome of await outcomes(own.slice(1).map(({ group }) => group.allGather(bytes(1))))) expect(outcome).toMatch('rank 0 left the group');
        await close(own);
      }
    });

    it('refuse two processes of one rank, and sizes that differ', async () => {
      const run = newRun(), options = { run, joinTimeout: 3000 };
      const twice = await outcomes([0, 1, 1].map((rank) => join(server.port, { ...options, rank, size: 3 })));
      for (const outcome of twice) expect(outcome).toMatch('two processes say that they are rank 1');
      const sizes = await outcomes([0, 1].map((rank) => join(server.port, { ...options, run: newRun(), rank, size: 2 + rank, joinTimeout: 200 })));
      for (const outcome of sizes) expect(outcome).toMatch('no word from');
      const shared = { ...options, run: newRun() };
      for (const outcome of await outcomes([0, 1].map((rank) => join(server.port, { ...shared, rank, size: 2 + rank })))) expect(outcome).toMatch('ranks disagree on the size of the group');
    });

    it('refuse a run without a name', async () => {
      await expect(join(server.port, { run: '', rank: 0, size: 1 })).rejects.toThrow('"run" expected a name that all ranks share');
    });

    it('end when the server dies', async () => {
      const own = await start(), run = newRun();
      // The last rank gives nothing, so that no collective can be complete before the server dies.
      const all = await Promise.all([0, 1, 2].map((rank) => join(own.port, { run, rank, size: 3, timeout: 20_000 }))), began = performance.now();
      const waiting = all[0]!.group.allGather(bytes(0)).catch((error: Error) => error.message);
      await own.stop('SIGKILL');
      expect(await waiting).toBe('rank 0 has lost its connection');
      await expect(all[1]!.group.allGather(bytes(1))).rejects.toThrow(/rank 1 has lost its connection/);
      expect(performance.now() - began).toBeLessThan(5000);
      await close(all);
    });

    it.runIf(engine === 'nats').each([0, 1])('go on where the server is started again, or end with one sentence: ranks that wait %i', async (waiting) => {
      let own = await startNats();
      const run = newRun(), connections = await Promise.all([0, 1, 2].map(() => connect({ servers: `127.0.0.1:${own.port}`, maxReconnectAttempts: -1, reconnectTimeWait: 50 })));
      try {
        const groups = await Promise.all(connections.map((connection, rank) => natsGroup(connection, { run, rank, size: 3, timeout: 3000 })));
        const began = groups.slice(0, waiting).map((group, rank) => group.allGather(bytes(rank)));
        await own.stop('SIGKILL');
        own = await startNats(own.port);
        const all = [...began, ...groups.slice(waiting).map((group, i) => group.allGather(bytes(waiting + i)))];
        const results = await Promise.all(all.map((result) => result.then((parts) => Array.from(parts, (part) => part[0]), (error: Error) => error.message)));
        for (const result of results) {
          if (typeof result === 'string') expect(result).toMatch(/^ranks? [\d, and]+ (is|are) (gone|missing) in collective 0|has lost collective 0/);
          else expect(result).toEqual([0, 1, 2]);
        }
      } finally {
        await Promise.all(connections.map((connection) => connection.close()));
        await own.stop();
      }
    });

    it.each([1, 2, 3, 4, 5])('name a rank that is killed in the middle of training, and leave the others with a whole step: kill %i', async (seed) => {
      const run = newRun(), size = 3, uniform = random(seed);
      const children: ChildProcess[] = [];
      let killed = 0;
      try {
        const last = Array.from({ length: size }, (_, rank) => {
          const child = spawn(process.execPath, ['--import', 'tsx', 'test/sync/rank.ts', engine, String(server.port), run, String(rank), String(size)], { stdio: ['ignore', 'pipe', 'inherit'] });
          children.push(child);
          return (async () => {
            let line = '', named = 0;
            for await (line of createInterface({ input: child.stdout! })) {
              if (line.includes('"error"')) named = performance.now();
              if (rank !== 1 || killed > 0 || !line.includes('"step":3')) continue;
              await wait(uniform() * 30);
              killed = performance.now();
              child.kill('SIGKILL');
            }
            return { ...JSON.parse(line) as { error: string; whole: number; steps: number; state: string }, named };
          })();
        });
        const [first, , third] = await Promise.all(last);
        for (const survivor of [first!, third!]) {
          expect(survivor.error).toMatch(/^rank 1 is gone in collective \d+$/);
          expect(survivor.whole).toBe(survivor.steps);
          // Within a second, of which a machine that runs other tests may take as long again.
          expect(survivor.named - killed).toBeLessThan(2000);
        }
        // One step apart only where rank 1 died while the last message of a step was on its way.
        expect(Math.abs(first!.steps - third!.steps)).toBeLessThanOrEqual(1);
        if (first!.steps === third!.steps) expect(first!.state).toBe(third!.state);
      } finally {
        for (const child of children) child.kill('SIGKILL');
        await Promise.all(children.map(ended));
      }
    });
  });
});
