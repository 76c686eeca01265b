/** Groups over NATS. */
import { checkOptions } from '../checks.js';
import { GROUP_OPTIONS, type GroupOptions } from './channel.js';
import { checkRun, type Group } from './group.js';
import { messageGroup } from './message-group.js';

/** What is used of a connection of `@nats-io/transport-node`, or of `wsconnect` of `@nats-io/nats-core` in a browser. */
export interface NatsConnection {
  /** Of the server. */
  readonly info?: { readonly max_payload: number };
  /** Sends to who has subscribed. */
  publish(subject: string, payload: Uint8Array): void;
  /** Calls back with every message. */
  subscribe(subject: string, options: { callback(error: Error | null, message: { readonly data: Uint8Array }): void }): NatsSubscription;
  /** Rejects with NoResponders where nobody has subscribed. */
  request(subject: string, payload?: Uint8Array, options?: { timeout: number }): Promise<unknown>;
  /** Resolves when the server has everything. */
  flush(): Promise<void>;
  /** Resolves when the connection is gone for good. */
  closed(): Promise<unknown>;
}

/** What is used of a subscription. */
export interface NatsSubscription {
  /** Ends it. */
  unsubscribe(): void;
}

/** How long a rank that is alive may take to say so, in milliseconds: one that computes does not, and is not thought dead. */
const ANSWER = 300;

/**
 * A group over NATS, on any number of machines and in browsers. A rank whose process has died is named within a second.
 *
 * Closing the group leaves the connection open; before a process ends, `await connection.drain()` sends what is on its way.
 *
 * @param options - `run`: a name that all ranks of this run share and no other; the rest as `messageGroup`
 */
export async function natsGroup(connection: NatsConnection, options: GroupOptions & { run: string }): Promise<Group> {
  checkOptions('natsGroup', options, ['run', ...GROUP_OPTIONS]);
  const { run, ...rest } = options;
  checkRun(run);
  // Any text as one token of a subject: dots, spaces and wildcards have a meaning there.
  const subject = `batchnorm-wasm.${encodeURIComponent(run).replaceAll('.', '%2E').replaceAll('*', '%2A')}`;
  const alive = (rank: number) => `${subject}.${rank}`;
  return messageGroup({
    ...(connection.info && { maximum: connection.info.max_payload }),
    publish: (bytes) => connection.publish(subject, bytes),
    async subscribe(listener) {
      const callback = (_: unknown, message: { readonly data: Uint8Array }) => listener(message.data);
      const subscriptions = [connection.subscribe(subject, { callback }), connection.subscribe(alive(rest.rank), { callback: () => {} })];
      await connection.flush();
      return () => { for (const subscription of subscriptions) subscription.unsubscribe(); };
    },
    async gone(ranks) {
      const answers = await Promise.all(ranks.map((rank) =>
        connection.request(alive(rank), undefined, { timeout: ANSWER }).then(() => false, isNobodyThere)));
      return ranks.filter((_, i) => answers[i]);
    },
    closed: connection.closed(),
  }, rest);
}

/** The server knows of no subscription: it says so at once, where a rank that does not answer times out. */
function isNobodyThere(error: unknown): boolean {
  return [error, Object(error).cause].some((each) => /^NoResponders/.test(Object(each).name));
}
