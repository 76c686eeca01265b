/** Groups of tabs, and of threads. */
import { checkOptions } from '../checks.js';
import { GROUP_OPTIONS, type GroupOptions } from './channel.js';
import { checkRun, type Group } from './group.js';
import { messageGroup } from './message-group.js';

/**
 * A group over BroadcastChannel: tabs and workers of one origin, or threads of one Node process. Where there are Web Locks (pages,
 * workers), a rank that has been closed is named within a second; otherwise at the time-out.
 *
 * @param options - `run`: a name that all ranks of this run share and no other; the rest as `messageGroup`
 */
export async function broadcastGroup(options: GroupOptions & { run: string }): Promise<Group> {
  checkOptions('broadcastGroup', options, ['run', ...GROUP_OPTIONS]);
  const { run, ...rest } = options;
  checkRun(run);
  const name = `batchnorm-wasm ${run}`, alive = (rank: number) => `${name} ${rank}`;
  const locks = (globalThis.navigator as Navigator | undefined)?.locks as LockManager | undefined;
  const channel = new BroadcastChannel(name);
  try {
    return await messageGroup({
      publish: (bytes) => channel.postMessage(bytes),
      async subscribe(listener) {
        // A lock is held until its process ends; shared, so that nobody waits for a rank of an earlier run.
        const release = locks ? await hold(locks, alive(rest.rank)) : () => {};
        channel.onmessage = ({ data }) => { if (data instanceof Uint8Array) listener(data); };
        return () => {
          channel.close();
          release();
        };
      },
      ...(locks && {
        async gone(ranks: readonly number[]) {
          const { held = [] } = await locks.query();
          return ranks.filter((rank) => !held.some((lock) => lock.name === alive(rank)));
        },
      }),
    }, rest);
  } catch (error) {
    channel.close();
    throw error;
  }
}

/** Resolves when the lock is held, to what gives it back. */
function hold(locks: LockManager, name: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    locks.request(name, { mode: 'shared' }, () => new Promise<void>((release) => resolve(release))).catch(reject);
  });
}
