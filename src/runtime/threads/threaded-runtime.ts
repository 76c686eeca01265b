/** Runtimes that use several cores. Nothing else imports the pool, so that who does not ask for threads does not load it. */
import { checkInteger, checkOptions, wrongKind } from '../../checks.js';
import { Engine, type Runtime } from '../engine.js';
import type { DType, Kernels } from '../kernels.js';
import { type Allocator, FirstFit, MAXIMUM_BYTES, type Memory, PAGE } from '../memory.js';
import { createRuntime, memoryOptionsOf, type RuntimeOptions } from '../runtime.js';
import { importShared, packagedShared } from '../shared.js';
import { refusal, wasmKernels } from '../wasm.js';
import { obstacle } from './hosts.js';
import { Pool } from './pool.js';
import { slicedKernels } from './sliced.js';
import { GRID, type Grid } from './slices.js';

/** Options of {@link createThreadedRuntime}. */
export interface ThreadedRuntimeOptions {
  /** How many threads work at once, the caller's among them: a positive integer. More than there are cores gain nothing. */
  threads: number;
  /** The bytes of the kernel module, for hosts that cannot read those inside the package. */
  module?: WebAssembly.Module | BufferSource;
  /** Upper bound of the memory of tensors, and of that in which typed arrays are staged, in bytes; default and most: 4 GiB less 64 KiB. */
  maximumBytes?: number;
  /** Makes a worker of `batchnorm-wasm/worker.js`, for pages whose Content-Security-Policy forbids workers from blob: addresses. */
  worker?: () => Worker;
}

/**
 * A runtime whose calls use up to `threads` cores.
 *
 * It can be used at once: calls stay synchronous, and are made on fewer threads until workers have started. Results are the same bits for any
 * number of threads. Tensors live in a memory that the threads share, and small ones are left to the caller; typed arrays are processed
 * by the caller alone, as with `createRuntime`. Where the host allows no workers or no shared memory, `threads` says so and the console
 * says why. Workers keep no process alive, and end with `dispose`.
 *
 * @throws {TypeError} `threads` is not a number. @throws {RangeError} `threads` is not a positive integer.
 */
export function createThreadedRuntime(options: ThreadedRuntimeOptions): Runtime {
  return threadedEngine(options, USUAL);
}

/** What tests change. */
export interface Tuning {
  readonly grid: Grid;
  /** Whether to stop sharing calls where that does not pay. */
  readonly governed: boolean;
  /** Whether typed arrays are staged in an engine of their own. */
  readonly apart: boolean;
}

const USUAL: Tuning = { grid: GRID, governed: true, apart: true };

export function threadedEngine(options: ThreadedRuntimeOptions, tuning: Tuning): Engine {
  const { threads, worker, own } = threadedOptionsOf(options);
  const several = threads > 1 ? engineOfSeveral(threads, worker, own, tuning) : undefined;
  if (several !== undefined) return several;
  // One thread works through the same slices. The plain kernels, which stand in where there is no WebAssembly, have none.
  const alone = createRuntime(own) as Engine, { kind, kernels, resources: { allocator } } = alone;
  return kind === 'javascript' ? alone : engineOf(allocator, kernels, new Pool(1, false, warn), () => alone, tuning);
}

/** An engine with workers, or nothing where there can be none. */
function engineOfSeveral(threads: number, worker: (() => Worker) | undefined, own: RuntimeOptions, tuning: Tuning): Engine | undefined {
  const { module: given, maximumBytes = MAXIMUM_BYTES } = own, reason = (given ? undefined : refusal()) ?? obstacle();
  if (reason !== undefined) return warn(reason);
  try {
    const module = sharedModule(given), allocator = sharedAllocator(maximumBytes), memory = allocator.memory as unknown as WebAssembly.Memory;
    const pool = new Pool(threads, tuning.governed, warn), kernels = wasmKernels(memory, module);
    pool.start(module, memory, worker);
    return engineOf(allocator, kernels, pool, () => createRuntime(own) as Engine, tuning);
  } catch (error) {
    return warn(String(error));
  }
}

/** An engine over a shared memory that somebody else allocates. Where no worker can be had, one thread works through the same slices. */
export function engineOver(allocator: Allocator, memory: WebAssembly.Memory, threads: number): Engine {
  const module = packagedShared(), pool = new Pool(threads, true, warn);
  pool.start(module, memory, undefined);
  return engineOf(allocator, wasmKernels(memory, module), pool, undefined, USUAL);
}

function engineOf(
  allocator: Allocator, kernels: Record<DType, Kernels>, pool: Pool, makeStager: (() => Engine) | undefined, { grid, apart }: Tuning,
): Engine {
  const sliced = slicedKernels(kernels, allocator.memory, pool, grid);
  const engine = new Engine('wasm-simd', allocator, sliced, pool, apart ? makeStager : undefined);
  // Ends the workers of an engine that nobody can reach any more.
  registry ??= new FinalizationRegistry((lost) => lost.dispose());
  registry.register(engine, pool);
  return engine;
}

let registry: FinalizationRegistry<Pool> | undefined;

/** The least maximum that is tried. */
const LEAST_MAXIMUM = 268_435_456;

/** A shared memory must state its maximum, for which some hosts reserve addresses and refuse a large one: iOS above 1 GiB. */
function sharedAllocator(maximumBytes: number): FirstFit {
  for (let maximum = Math.floor(maximumBytes / PAGE); ; maximum = Math.ceil(maximum / 2)) {
    try {
      // The type of `buffer` is another where it is shared.
      return new FirstFit(new WebAssembly.Memory({ initial: 1, maximum, shared: true }) as unknown as Memory, maximum * PAGE);
    } catch (error) {
      if (maximum * PAGE <= LEAST_MAXIMUM) throw error;
    }
  }
}

function sharedModule(given: ThreadedRuntimeOptions['module']): WebAssembly.Module {
  if (given === undefined) return packagedShared();
  if (!('byteLength' in given)) throw new TypeError('several threads need the bytes of "module"');
  const { buffer = given, byteOffset, byteLength } = given as Uint8Array;
  return new WebAssembly.Module(importShared(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)));
}

const said = new Set<string>();

/** Says once what keeps threads from working. */
function warn(reason: string): undefined {
  if (said.has(reason)) return;
  said.add(reason);
  globalThis.console?.warn(`batchnorm-wasm: fewer threads than asked for: ${reason}`);
}

/** The options of `createThreadedRuntime`, read once and checked. */
function threadedOptionsOf(options: ThreadedRuntimeOptions) {
  checkOptions('createThreadedRuntime', options, ['threads', 'module', 'maximumBytes', 'worker']);
  const { threads, worker } = options, own = memoryOptionsOf(options);
  checkInteger('threads', threads, 1);
  if (worker !== undefined && typeof worker !== 'function') throw wrongKind('worker', 'a function that makes a Worker', worker);
  return { threads, worker, own };
}
