import { isArrayBuffer } from '../arrays.js';
import { checkNumber, checkOneOf, checkOptions, wrongKind } from '../checks.js';
import { Engine, type Runtime } from './engine.js';
import { BufferMemory, FirstFit, MAXIMUM_BYTES, PAGE } from './memory.js';
import { reference } from './reference.js';
import { refusal, wasmKernels, wasmMemory } from './wasm.js';

/** Options of {@link createRuntime}. */
export interface RuntimeOptions {
  /** Default: 'wasm-simd' where the engine allows it and has memory for it, otherwise 'javascript', with a warning the first time. */
  kind?: 'wasm-simd' | 'javascript';
  /** The kernel module, compiled or as bytes, for hosts that forbid compiling the packaged bytes at run time. */
  module?: WebAssembly.Module | BufferSource;
  /**
   * Upper bound of the memory, in bytes; default and most: 4 GiB less 64 KiB. No address space beyond it is asked for either,
   * though an engine may reserve more: V8 up to 10 GiB, whatever the bound.
   */
  maximumBytes?: number;
}

/**
 * A runtime of its own: kernels and a memory that starts at 64 KiB and grows as needed.
 *
 * 'javascript' is the plain TypeScript implementation of the same kernels, with the same API.
 *
 * @throws {TypeError} where 'wasm-simd' is asked for and the engine has no WebAssembly SIMD or forbids compiling it.
 * @throws {RangeError} where it is asked for and the engine has no memory for it.
 */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  checkOptions('createRuntime', options, ['kind', 'module', 'maximumBytes']);
  const { kind: asked } = options, { module, maximumBytes } = memoryOptionsOf(options);
  checkOneOf('kind', asked, ['wasm-simd', 'javascript']);
  const kind = asked ?? (module ? 'wasm-simd' : defaultKind());
  if (kind === 'javascript') return plainEngine(maximumBytes);
  const reason = module && typeof WebAssembly === 'object' ? undefined : refusal();
  if (reason !== undefined) {
    throw new TypeError(`kind 'wasm-simd' expected an engine that compiles WebAssembly SIMD, got one that does not: ${reason}`);
  }
  const memory = wasmMemory(Math.floor(maximumBytes / PAGE));
  if (typeof memory === 'string') {
    if (asked || module) throw new RangeError(`kind 'wasm-simd' expected memory for WebAssembly, got none: ${memory}`);
    sayThatPlainKernelsStepIn(memory);
    return plainEngine(maximumBytes);
  }
  return new Engine(kind, new FirstFit(memory, maximumBytes), wasmKernels(memory, module));
}

function plainEngine(maximumBytes: number): Engine {
  const memory = new BufferMemory(1);
  return new Engine('javascript', new FirstFit(memory, maximumBytes), reference(memory));
}

/** 'wasm-simd' where the engine allows it; otherwise 'javascript', and a warning. */
function defaultKind(): Runtime['kind'] {
  const reason = refusal();
  if (reason === undefined) return 'wasm-simd';
  sayThatPlainKernelsStepIn(reason);
  return 'javascript';
}

let warned = false;

/** Once, and with what stands in the way. */
function sayThatPlainKernelsStepIn(reason: string): void {
  if (!warned) globalThis.console?.warn(`batchnorm-wasm: the plain kernels step in, which are several times slower: ${reason}`);
  warned = true;
}

let shared: Engine | undefined;

/** The runtime of layers that were given none, made on first use, and anew once it has been disposed. */
export function sharedRuntime(): Engine {
  if (shared === undefined || shared.disposed) shared = createRuntime() as Engine;
  return shared;
}

/** The options that runtimes of any kind have, read once and checked. */
export function memoryOptionsOf(options: Pick<RuntimeOptions, 'module' | 'maximumBytes'>) {
  const { module, maximumBytes = MAXIMUM_BYTES } = options;
  if (module !== undefined && !isModule(module)) throw wrongKind('module', 'a WebAssembly.Module or its bytes', module);
  checkNumber('maximumBytes', maximumBytes, PAGE, MAXIMUM_BYTES);
  return { module, maximumBytes };
}

/** Whether a value is a compiled module, or bytes that may be one. Asked of the engine, which does not look at a tag. */
function isModule(value: unknown): boolean {
  if (ArrayBuffer.isView(value) || isArrayBuffer(value)) return true;
  try {
    WebAssembly.Module.exports(value as WebAssembly.Module);
    return true;
  } catch {
    return false;
  }
}
