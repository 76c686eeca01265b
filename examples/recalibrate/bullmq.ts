/** A queue of shards on Redis, by BullMQ. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue as BullQueue, Worker } from 'bullmq';
import { PATIENCE, type Queue } from './queue.js';

/** How often the coordinator looks. */
const POLL = 200;

/** Jobs keep their results, as base64, since values are JSON; the identity of a job is its shard. */
export async function openBullMQ(host: string, port: number, run: string): Promise<Queue> {
  const connection = { host, port };
  let queue: BullQueue | undefined;
  const opened = () => {
    queue ??= new BullQueue(run, { connection });
    return queue;
  };
  return {
    async add(shards) {
      await opened().addBulk(Array.from({ length: shards }, (_, shard) =>
        ({ name: 'shard', data: { shard }, opts: { jobId: `shard-${shard}`, attempts: 5, removeOnComplete: false, removeOnFail: false } })));
    },
    async work(compute) {
      const worker = new Worker<{ shard: number }>(run, async ({ data }) => Buffer.from(compute(data.shard)).toString('base64'), {
        connection, lockDuration: PATIENCE, stalledInterval: PATIENCE / 2,
        // With the default of 1, a job whose worker dies twice fails for good, whatever `attempts` says.
        maxStalledCount: 1_000_000,
      });
      worker.on('error', (error) => console.error(error.message));
      await new Promise(() => {});
    },
    async results(shards, tell) {
      for (;;) {
        const { completed = 0, failed = 0 } = await opened().getJobCounts('completed', 'failed');
        tell(completed);
        if (failed > 0) throw new Error(`a shard has failed: ${(await opened().getFailed(0, 0))[0]?.failedReason}`);
        if (completed === shards) break;
        await sleep(POLL);
      }
      const jobs = await opened().getCompleted(0, shards - 1), found = new Map(jobs.map((job) => [job.id, job.returnvalue as string]));
      return Array.from({ length: shards }, (_, shard) => Uint8Array.from(Buffer.from(found.get(`shard-${shard}`)!, 'base64')));
    },
    close: async () => queue?.close(),
  };
}
