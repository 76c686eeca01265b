/** Groups over Redis. */
import { checkOptions } from '../checks.js';
import { GROUP_OPTIONS, type GroupOptions } from './channel.js';
import { checkRun, type Group } from './group.js';
import { messageGroup } from './message-group.js';

/** What is used of a client of `ioredis`. */
export interface RedisClient {
  /** Another connection to the same server. */
  duplicate(): RedisClient;
  /** Sends to who has subscribed. */
  publish(channel: string, message: string | Uint8Array): Promise<number>;
  /** Resolves when this connection has subscribed. */
  subscribe(...channels: string[]): Promise<unknown>;
  /** Channels and their numbers of subscribers, in turn. */
  pubsub(subcommand: 'NUMSUB', ...channels: string[]): Promise<unknown[]>;
  /** A message of a channel. */
  on(event: 'messageBuffer', listener: (channel: Uint8Array, message: Uint8Array) => void): unknown;
  /** The connection is lost. */
  on(event: 'close', listener: () => void): unknown;
  /** Ends the connection. */
  disconnect(): void;
}

/**
 * A group over Redis publish and subscribe, between processes of Node. A rank whose process has died is named within a second, and
 * a server that has gone at once.
 *
 * @param client - stays open; the group subscribes on a connection of its own
 * @param options - `run`: a name that all ranks of this run share and no other; the rest as `messageGroup`
 */
export async function redisGroup(client: RedisClient, options: GroupOptions & { run: string }): Promise<Group> {
  checkOptions('redisGroup', options, ['run', ...GROUP_OPTIONS]);
  const { run, ...rest } = options;
  checkRun(run);
  const topic = `batchnorm-wasm:${run}`, alive = (rank: number) => `${topic}:${rank}`;
  const subscriber = client.duplicate();
  const closed = new Promise<void>((resolve) => {
    for (const each of [client, subscriber]) each.on('close', resolve);
  });
  // The client takes anything that is not a Buffer for text.
  const { Buffer } = globalThis as unknown as { Buffer: { from(bytes: ArrayBufferLike, offset: number, length: number): Uint8Array } };
  const drop = () => subscriber.disconnect();
  try {
    return await messageGroup({
      publish(bytes) {
        client.publish(topic, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).catch(() => {});
      },
      async subscribe(listener) {
        subscriber.on('messageBuffer', (_, message) => listener(message));
        await subscriber.subscribe(topic, alive(rest.rank));
        return drop;
      },
      async gone(ranks) {
        // [channel, subscribers, channel, subscribers, ...]
        const counts = await client.pubsub('NUMSUB', ...ranks.map(alive));
        return ranks.filter((_, i) => Number(counts[2 * i + 1]) === 0);
      },
      closed,
    }, rest);
  } catch (error) {
    drop();
    throw error;
  }
}
