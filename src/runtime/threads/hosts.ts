/** What hosts do differently: how a worker is started, how many cores there are, and whether a thread may sleep. */

import type { Start } from './worker.js';
import { WORKER } from './worker-text.js';

/** What Node's workers and those of the web have in common, and what only one of them has. */
interface AnyWorker {
  postMessage(start: Start): void;
  terminate(): unknown;
  unref?(): void;
  on?(name: string, listener: (event: Partial<ErrorEvent> | number) => void): void;
  addEventListener?(name: string, listener: (event: Partial<ErrorEvent> | number) => void): void;
}

/** What is used of the built-in modules of Node, Deno and Bun. */
interface Builtins {
  'node:worker_threads': { Worker: new (text: string, options: { eval: true; execArgv: string[]; env: object }) => AnyWorker };
  'node:os': { availableParallelism?(): number };
}

/** A built-in module, found without an import, which a bundler would follow. */
function builtin<N extends keyof Builtins>(name: N): Builtins[N] | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: N): Builtins[N] | undefined } };
  return process?.getBuiltinModule?.(name);
}

/** Why no worker can share memory here, as far as that can be told beforehand. */
export function obstacle(): string | undefined {
  if (typeof SharedArrayBuffer === 'function' && (builtin('node:worker_threads') || globalThis.crossOriginIsolated !== false)) return undefined;
  return 'no SharedArrayBuffer; a page must be served with the headers "Cross-Origin-Opener-Policy: same-origin" and '
    + '"Cross-Origin-Embedder-Policy: require-corp"';
}

export interface StartedWorker {
  /** Ends it wherever it is. */
  terminate(): unknown;
}

/**
 * Starts a worker that does not keep the process alive.
 *
 * @param make - the user's own, where the text of one may not be run
 * @param failed - called once or more, never before this has returned, if it could not start or has ended
 * @throws {Error} whatever the host throws where it allows no workers.
 */
export function startWorker(start: Start, make: (() => Worker) | undefined, failed: (reason: string) => void): StartedWorker {
  const worker: AnyWorker = (make ?? packagedWorker)();
  // An event of the web, an error, or the exit code of a worker of Node.
  const listener = (event: Partial<ErrorEvent> | number) => {
    if (typeof event === 'number') return failed('a worker has ended');
    // Handled: otherwise it is an error of the page.
    event.preventDefault?.();
    failed(event.message || 'a worker could not start; a Content-Security-Policy needs "worker-src blob:", or use the option "worker"');
  };
  // Workers of Node have on(), those of the web know no exit.
  for (const name of ['error', 'exit', 'messageerror']) (worker.on ?? worker.addEventListener!).call(worker, name, listener);
  worker.unref?.();
  try {
    worker.postMessage(start);
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return worker;
}

function packagedWorker(): AnyWorker {
  const threads = builtin('node:worker_threads');
  // Without what the process was started with: preloaded modules would be loaded into every worker.
  if (threads) return new threads.Worker(WORKER, { eval: true, execArgv: [], env: {} });
  const url = URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' }));
  // The fetch of a worker's script begins in the constructor.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  return new Worker(url);
}

/** Cores of this machine. */
export function cores(): number {
  const os = builtin('node:os');
  return os?.availableParallelism?.() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** Whether this thread may sleep: all but that of a page may. */
export function maySleep(words: Int32Array): boolean {
  try {
    Atomics.wait(words, 0, Atomics.load(words, 0) + 1, 0);
    return true;
  } catch {
    return false;
  }
}
