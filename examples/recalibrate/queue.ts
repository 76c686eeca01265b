/**
 * What the example needs of a queue. Jobs are the numbers of shards, and results are stored under them: a shard that is computed
 * twice overwrites its result by the same bytes, so that "at least once" is enough.
 */
export interface Queue {
  /** Adds the shards that are not there yet: a coordinator that starts again adds nothing. */
  add(shards: number): Promise<void>;
  /** Takes one shard after another, for ever. */
  work(compute: (shard: number) => Uint8Array): Promise<void>;
  /** Results by shard, once all are there; tells how many there are. */
  results(shards: number, tell: (done: number) => void): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** Milliseconds after which a shard is given to another worker: longer than the longest one takes. */
export const PATIENCE = 3000;
