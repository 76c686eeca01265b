/** The example that recalibrates over a queue, with workers and coordinators that are killed in the middle of their work. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { has, startNats, startRedis } from './engines.js';

/** A dozen processes start one after the other. */
const MOST = 180_000;
/** Given up before the test is, so that nothing keeps running. */
const run = (file: string, words: string[]) => promisify(execFile)(file, words, { timeout: 170_000 });

describe.each([
  ['nats-server', 'nats', startNats], ['redis-server', 'redis', startRedis],
] as const)('recalibration over a queue of %s', (program, scheme, start) => {
  it.skipIf(!has(program))('has the bits of one process, although processes are killed', async () => {
    const server = await start();
    try {
      const { stdout } = await run(process.execPath, ['--import', 'tsx', 'examples/recalibrate/main.ts', '--queue', `${scheme}://127.0.0.1:${server.port}`,
        '--images', '1600', '--shards', '16', '--workers', '2', '--kills', '3', '--coordinators', '1']);
      const [, one, killed, taken, together] = /^one process: (\w+)\n2 workers, (\d) of them and 1 coordinators killed; (\d+) times a shard was taken\nby queue: {4}(\w+)\n$/.exec(stdout)!;
      expect(together).toBe(one);
      expect(killed).toBe('3');
      // Every shard of a worker that was killed is taken again.
      expect(Number(taken)).toBeGreaterThan(16);
    } finally {
      await server.stop();
    }
  }, MOST);
});
