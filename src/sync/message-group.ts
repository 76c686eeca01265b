/** A group over any engine that carries messages to all ranks. */
import { wrongKind } from '../checks.js';
import { type Channel, checkedOptions, type GroupOptions, type Settings } from './channel.js';
import { Collectives, type Waiting } from './collectives.js';
import { type Group, messageOf, ranks } from './group.js';
import { bytesOf, decodeMessage, encodeMessage, type Kind, type Message, newIncarnation, OVERHEAD } from './message.js';
import { Roster } from './roster.js';

/** A hello is repeated after this time, then after twice as long and so on up to the second, while ranks are missing. */
const HELLO = 10;
const SLOWEST_HELLO = 200;
/** How often the engine is asked for those who are missing. */
const PROBE = 400;

/**
 * A group of `size` processes over a channel, once all of them are there.
 *
 * @throws {TypeError | RangeError} an option. @throws {Error} (rejects) a rank has not come, two have the same number, ranks
 *   disagree on the size, or the connection is gone.
 */
export async function messageGroup(channel: Channel, options: GroupOptions): Promise<Group> {
  if (typeof channel?.publish !== 'function' || typeof channel.subscribe !== 'function') {
    throw wrongKind('channel', '{ publish, subscribe }', channel);
  }
  const group = new MessageGroup(channel, checkedOptions(options));
  await group.join();
  return group;
}

class MessageGroup implements Group {
  readonly rank: number;
  readonly size: number;
  readonly #channel: Channel;
  readonly #options: Settings;
  readonly #incarnation = newIncarnation();
  readonly #roster: Roster;
  readonly #collectives: Collectives;
  /** When each rank was last heard. */
  readonly #heard: number[];
  /** Parts of ranks that were through before this one. */
  #early: Message[] | null = [];
  #session = 0;
  #stop: (() => void) | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #left = false;
  #failure: { readonly error: Error } | null = null;
  #through: { resolve(): void; reject(error: unknown): void } | undefined;

  constructor(channel: Channel, options: Settings) {
    this.rank = options.rank;
    this.size = options.size;
    this.#channel = channel;
    this.#options = options;
    this.#roster = new Roster(this.rank, this.size, this.#incarnation);
    this.#collectives = new Collectives(this.size);
    this.#heard = new Array<number>(this.size).fill(performance.now());
  }

  async join(): Promise<void> {
    const { signal, joinTimeout } = this.#options;
    signal?.throwIfAborted();
    const through = new Promise<void>((resolve, reject) => { this.#through = { resolve, reject }; });
    // It may be rejected while nobody waits for it yet.
    through.catch(() => {});
    signal?.addEventListener('abort', () => this.abort(signal.reason));
    const ended = () => this.#fail(new Error(`rank ${this.rank} has lost its connection`), false);
    this.#channel.closed?.then(ended, ended);
    const deadline = setTimeout(() => {
      this.#fail(new Error(`rank ${this.rank} has waited ${joinTimeout / 1000} s for the group: ${this.#roster.missing()}`), false);
    }, joinTimeout);
    let repeat: ReturnType<typeof setTimeout> | undefined;
    const hello = (pause: number) => {
      this.#publish('hello', bytesOf(this.#roster.incarnations));
      repeat = setTimeout(hello, pause, Math.min(2 * pause, SLOWEST_HELLO));
    };
    try {
      this.#stop = await this.#channel.subscribe((bytes) => this.#receive(bytes));
      if (this.#failure) throw this.#failure.error;
      if (this.#roster.through) this.#begin();
      else hello(HELLO);
      await through;
    } catch (error) {
      this.#stop?.();
      throw error;
    } finally {
      clearTimeout(deadline);
      clearTimeout(repeat);
    }
  }

  async allGather(bytes: Uint8Array): Promise<readonly Uint8Array[]> {
    if (this.#failure) throw this.#failure.error;
    if (this.#left) throw new Error(`rank ${this.rank} has left the group`);
    const sequence = this.#collectives.next, result = this.#collectives.give(this.rank, bytes, performance.now());
    const most = (this.#channel.maximum ?? Infinity) - OVERHEAD, fragments = Math.max(1, Math.ceil(bytes.length / most));
    try {
      for (let i = 0; i < fragments; i++) {
        this.#publish('part', fragments === 1 ? bytes : bytes.subarray(i * most, (i + 1) * most), sequence, i, fragments);
      }
    } catch (error) {
      this.#fail(new Error(`rank ${this.rank} cannot send: ${messageOf(error)}`, { cause: error }), true);
    }
    this.#failIfLeft();
    if (!this.#failure) this.#watch ??= setTimeout(() => this.#look(), this.#pause());
    return result.finally(() => this.#stopIfDone());
  }

  abort(reason: unknown): void {
    this.#fail(new Error(`rank ${this.rank} has aborted: ${messageOf(reason)}`, { cause: reason }), true);
  }

  close(): void {
    if (this.#left) return;
    this.#left = true;
    if (!this.#failure) this.#publish('leave', new Uint8Array(0), this.#collectives.next);
    this.#stopIfDone();
  }

  #publish(kind: Kind, payload: Uint8Array, sequence = 0, fragment = 0, fragments = 1): void {
    const { rank, size } = this, incarnation = this.#incarnation, session = this.#session;
    this.#channel.publish(encodeMessage({ kind, rank, size, incarnation, session, sequence, fragment, fragments, payload }));
  }

  #receive(bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message === null || message.incarnation === this.#incarnation || this.#failure) return;
    if (message.kind === 'hello' || message.kind === 'welcome') this.#greet(message);
    // Nobody knows the session before all are there.
    else if (this.#early && message.kind === 'abort' && message.session === 0) this.#take(message);
    else if (this.#early) this.#early.push({ ...message, payload: new Uint8Array(message.payload) });
    else this.#take(message);
  }

  #greet(message: Message): void {
    try {
      const isNew = this.#roster.hear(message, performance.now());
      if (this.#early && this.#roster.through) this.#begin();
      else if (isNew) this.#publish('hello', bytesOf(this.#roster.incarnations));
      // Who is not through yet may have missed what this rank said when it was.
      else if (!this.#early && message.kind === 'hello') this.#publish('welcome', bytesOf(this.#roster.incarnations));
    } catch (error) {
      this.#fail(error as Error, true);
    }
  }

  /** All ranks hear each other. */
  #begin(): void {
    const early = this.#early!;
    this.#early = null;
    this.#session = this.#roster.session;
    this.#publish('welcome', bytesOf(this.#roster.incarnations));
    for (const message of early) this.#take(message);
    this.#through!.resolve();
  }

  #take(message: Message): void {
    const { kind, rank, session, sequence, fragment, fragments, payload } = message;
    if (session !== this.#session || (session !== 0 && !this.#roster.has(message))) return;
    this.#heard[rank] = performance.now();
    if (kind === 'part') this.#collectives.receive(rank, sequence, payload, fragment, fragments);
    else if (kind === 'abort') this.#fail(new Error(new TextDecoder().decode(payload)), false);
    else this.#collectives.leave(rank, sequence);
    if (kind === 'leave') this.#failIfLeft();
  }

  #failIfLeft(): void {
    const left = this.#collectives.left();
    if (left.length > 0) this.#fail(new Error(`${ranks(left)} left the group before collective ${this.#collectives.next - 1}`), true);
  }

  /** Looks after the oldest collective while there is one. */
  async #look(): Promise<void> {
    this.#watch = undefined;
    const waiting = this.#collectives.waiting();
    if (waiting === null || this.#failure) return;
    const { sequence, since, missing } = waiting;
    const lost = missing.filter((rank) => this.#collectives.latest[rank]! > sequence);
    if (lost.length > 0) return this.#fail(new Error(`rank ${this.rank} has lost collective ${sequence} of ${ranks(lost)}`), true);
    if (performance.now() - since >= this.#options.timeout) return this.#fail(new Error(this.#overdue(waiting)), true);
    this.#watch = setTimeout(() => this.#look(), this.#pause());
    const gone = await this.#channel.gone?.(missing).catch(() => []) ?? [];
    const still = this.#collectives.waiting();
    const dead = still?.sequence === sequence ? still.missing.filter((rank) => gone.includes(rank)) : [];
    if (dead.length > 0) this.#fail(new Error(`${ranks(dead)} ${dead.length > 1 ? 'are' : 'is'} gone in collective ${sequence}`), true);
  }

  #pause(): number {
    const since = this.#collectives.waiting()?.since ?? performance.now();
    return Math.max(1, Math.min(PROBE, since + this.#options.timeout - performance.now()));
  }

  #overdue({ sequence, missing }: Waiting): string {
    const last = missing.map((rank) => `rank ${rank} last heard ${((performance.now() - this.#heard[rank]!) / 1000).toFixed(1)} s ago`);
    const what = `${ranks(missing)} ${missing.length > 1 ? 'are' : 'is'} missing in collective ${sequence}`;
    return `${what} after ${this.#options.timeout / 1000} s (${last.join(', ')})`;
  }

  /** For good: who has given what to which collective is no longer known. */
  #fail(error: Error, tell: boolean): void {
    if (this.#failure) return;
    this.#failure = { error };
    clearTimeout(this.#watch);
    try {
      if (tell) this.#publish('abort', new TextEncoder().encode(error.message));
    } catch {
      // The others find out by themselves.
    }
    this.#through!.reject(error);
    this.#collectives.fail(error);
    this.#stop?.();
  }

  #stopIfDone(): void {
    if (!this.#left || this.#collectives.waiting() !== null) return;
    clearTimeout(this.#watch);
    this.#stop?.();
  }
}
