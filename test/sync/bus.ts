/** A group in memory: every message reaches every channel, in the order in which it was sent, unless a fault says otherwise. */
import type { Channel, Group, GroupOptions } from '../../src/sync/index.js';
import { messageGroup } from '../../src/sync/index.js';
import { decodeMessage, type Message } from '../../src/sync/message.js';

/** What happens to a message on its way: how often it comes, or after how many milliseconds. Default: once, at once. */
export type Fault = (message: Message, from: number, to: number) => { times?: number; after?: number } | undefined;

export class Bus {
  fault: Fault = () => undefined;
  /** Every message that was sent. */
  readonly sent: Uint8Array[] = [];
  readonly #listeners = new Map<number, (bytes: Uint8Array) => void>();
  #count = 0;

  /** Where one process listens. */
  channel(more: Partial<Channel> = {}): Channel {
    const from = this.#count++;
    return {
      publish: (bytes) => {
        const copy = bytes.slice();
        this.sent.push(copy);
        queueMicrotask(() => this.deliver(copy, from));
      },
      subscribe: (listener) => {
        this.#listeners.set(from, listener);
        return () => { this.#listeners.delete(from); };
      },
      ...more,
    };
  }

  deliver(bytes: Uint8Array, from = -1): void {
    const message = decodeMessage(bytes)!;
    for (const [to, listener] of [...this.#listeners]) {
      const { times = 1, after = 0 } = this.fault(message, from, to) ?? {};
      for (let i = 0; i < times; i++) {
        if (after > 0) setTimeout(() => this.#listeners.get(to)?.(bytes), after);
        else listener(bytes);
      }
    }
  }

  get listening(): number {
    return this.#listeners.size;
  }
}

/** All ranks of a group in memory. */
export function groupsOf(size: number, options: Partial<GroupOptions> = {}, bus = new Bus(), more: (rank: number) => Partial<Channel> = () => ({})): Promise<Group[]> {
  return Promise.all(Array.from({ length: size }, (_, rank) => messageGroup(bus.channel(more(rank)), { rank, size, timeout: 2000, joinTimeout: 2000, ...options })));
}

/** What each of several promises comes to: its value, or the message of its error. */
export async function outcomes<T>(promises: readonly Promise<T>[]): Promise<(T | string)[]> {
  return (await Promise.allSettled(promises)).map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as Error).message));
}

export const bytes = (...values: number[]) => Uint8Array.of(...values);
export const wait = (milliseconds: number) => new Promise<void>((resolve) => { setTimeout(resolve, milliseconds); });
