/** What the engine of a group must do, and the options of a group. */
import { checkInteger, checkNumber, checkOptions, wrongValue } from '../checks.js';

/**
 * What an engine must do: carry messages to all ranks, those of one sender in order. Messages may come back to their sender,
 * twice, or not at all: a group finds out.
 */
export interface Channel {
  /** Sends to all ranks; may throw. */
  publish(bytes: Uint8Array): void;
  /** Calls back with every message from now on; returns how to stop. */
  subscribe(listener: (bytes: Uint8Array) => void): (() => void) | Promise<() => void>;
  /** Which of these ranks the engine knows to be gone; absent where it cannot tell. */
  gone?(ranks: readonly number[]): Promise<readonly number[]>;
  /** Settles when the engine's connection is gone. */
  readonly closed?: Promise<unknown>;
  /** Bytes of the longest message; longer ones are sent in fragments. Default: no limit. */
  readonly maximum?: number;
}

/** Times in milliseconds. */
export interface GroupOptions {
  /** From 0 to size - 1, each once. */
  rank: number;
  size: number;
  /** How long a collective may take until the ranks that are missing are named; longer than a step's slowest part. Default 30,000. */
  timeout?: number;
  /** How long to wait for all ranks to come. Default 60,000. */
  joinTimeout?: number;
  /** Ends the group, or the wait for it. */
  signal?: AbortSignal;
}

/** The names of what every adapter hands on. */
export const GROUP_OPTIONS = ['rank', 'size', 'timeout', 'joinTimeout', 'signal'];

export type Settings = Required<Omit<GroupOptions, 'signal'>> & { readonly signal: AbortSignal | undefined };

/** The options with their defaults. @throws {TypeError | RangeError} one of the wrong kind or value. */
export function checkedOptions(options: GroupOptions): Settings {
  checkOptions('messageGroup', options, GROUP_OPTIONS);
  const { rank, size, timeout = 30_000, joinTimeout = 60_000, signal } = options;
  checkInteger('size', size, 1);
  checkInteger('rank', rank, 0);
  if (rank >= size) throw wrongValue('rank', `a number below the size of ${size}`, rank);
  checkNumber('timeout', timeout, 1);
  checkNumber('joinTimeout', joinTimeout, 1);
  return { rank, size, timeout, joinTimeout, signal };
}
