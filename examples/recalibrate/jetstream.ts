/** A queue of shards on NATS JetStream. */
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream';
import { connect, nanos } from '@nats-io/transport-node';
import { PATIENCE, type Queue } from './queue.js';

/** Two streams of the run: jobs, each until it is acknowledged, and results, the latest of each shard. */
export async function openJetStream(server: string, run: string): Promise<Queue> {
  const connection = await connect({ servers: server }), client = jetstream(connection), manager = await jetstreamManager(connection);
  const jobs = `${run}-jobs`, results = `${run}-results`;
  await manager.streams.add({ name: jobs, subjects: [`${run}.jobs`], retention: RetentionPolicy.Workqueue, duplicate_window: nanos(3_600_000) });
  await manager.streams.add({ name: results, subjects: [`${run}.results.*`], max_msgs_per_subject: 1 });
  await manager.consumers.add(jobs, { durable_name: 'workers', ack_policy: AckPolicy.Explicit, ack_wait: nanos(PATIENCE), max_deliver: -1 });
  return {
    async add(shards) {
      for (let shard = 0; shard < shards; shard++) await client.publish(`${run}.jobs`, String(shard), { msgID: `shard-${shard}` });
    },
    async work(compute) {
      const consumer = await client.consumers.get(jobs, 'workers');
      for (;;) {
        const job = await consumer.next({ expires: 1000 });
        if (job === null) continue;
        const shard = Number(job.string());
        // The result is stored before the job is done: a worker that dies in between leaves a job that is done again.
        await client.publish(`${run}.results.${shard}`, compute(shard));
        await job.ackAck();
      }
    },
    async results(shards, tell) {
      const found = new Map<number, Uint8Array>();
      const consumer = await client.consumers.get(results, { deliver_policy: DeliverPolicy.All });
      for await (const message of await consumer.consume()) {
        found.set(Number(message.subject.split('.').at(-1)), message.data.slice());
        tell(found.size);
        if (found.size === shards) break;
      }
      return Array.from({ length: shards }, (_, shard) => new Uint8Array(found.get(shard)!));
    },
    close: () => connection.close(),
  };
}
