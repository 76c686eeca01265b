/** What every test file shares: the axes it runs over, a runtime of every kind, and data. */
import { createRuntime, createThreadedRuntime, type Runtime, type RuntimeOptions } from '../src/index.js';
import { DTYPES, LAYOUTS } from './data.js';
import { BROWSER } from './host.js';

export * from './data.js';
export { random } from './random.js';

export const KINDS = ['wasm-simd', 'javascript', 'wasm-threads'] as const;

export type Kind = (typeof KINDS)[number];

/** Every combination of runtime kind, dtype and layout. */
export const COMBINATIONS = KINDS.flatMap((kind) =>
  DTYPES.flatMap((dtype) => LAYOUTS.map((layout) => ({ kind, dtype, layout }))),
);

/**
 * A runtime of a kind. With threads, in Node, it shares out every call, cut as finely as slices can be, and typed arrays are staged in the memory
 * that threads share; in browsers it is what ships.
 */
export function makeRuntime(kind: Kind, options: Omit<RuntimeOptions, 'kind'> = {}): Runtime {
  if (kind !== 'wasm-threads') return createRuntime({ kind, ...options });
  return (threadedEngine ?? createThreadedRuntime)({ threads: 2, ...options }, { grid: FINEST, governed: false, apart: false });
}

/** The file is loaded beside src/index.ts, whose classes it shares; in browsers it would be another copy. */
const threadedEngine = BROWSER ? undefined : (await import('../src/runtime/threads/threaded-runtime.js')).threadedEngine;

/** Every call is cut, into slices of one position. */
export const FINEST = { least: 0, slice: 1, rows: 1, planes: 1, sums: 1 };

/** One runtime per kind for all tests of a file; tests to which it matters check that all memory is given back. */
export const RUNTIMES: Record<Kind, Runtime> = {
  'wasm-simd': createRuntime({ kind: 'wasm-simd' }),
  javascript: createRuntime({ kind: 'javascript' }),
  'wasm-threads': makeRuntime('wasm-threads'),
};
await RUNTIMES['wasm-threads'].ready;
