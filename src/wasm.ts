import { instantiateSync } from '@assemblyscript/loader';
import { BINARY } from './binary.js';
import type { DType, Kernels } from './kernels.js';

type Kernel = keyof Kernels;
type Exports = { [name in Kernel as `${name}_f32` | `${name}_f64`]: Kernels[name] };

let compiled: WebAssembly.Module | undefined, compiledShared: WebAssembly.Module | undefined;

function bytes(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(BINARY), (character) => character.charCodeAt(0));
}

/** The kernel module that comes with the package, compiled on first use (26 kB: about 0.1 ms). */
function packaged(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(bytes());
  return compiled;
}

/** The same module, importing a shared memory. Nothing in the kernels needs to be atomic. */
function packagedShared(): WebAssembly.Module {
  compiledShared ??= new WebAssembly.Module(importShared(bytes()));
  return compiledShared;
}

const IMPORTS = 2, MEMORY = 2;
/** A shared memory has a maximum, and that of the import may not be smaller: 65536 pages, in LEB128. */
const SHARED = 3, MOST_PAGES = [0x80, 0x80, 0x04];

/** The module with its only import, a memory, declared as shared. The sections before it are left as they are. */
export function importShared(module: Uint8Array): Uint8Array<ArrayBuffer> {
  let at = 8;
  const number = () => {
    let value = 0, byte = 0x80;
    for (let shift = 0; byte & 0x80; shift += 7) {
      byte = module[at++]!;
      value |= (byte & 0x7f) << shift;
    }
    return value;
  };
  const section = () => ({ start: at, id: module[at++]!, size: number() });
  let { start, id, size } = section();
  while (id !== IMPORTS) {
    at += size;
    ({ start, id, size } = section());
  }
  const body = at, end = at + size;
  number();
  for (let name = 0; name < 2; name++) {
    const length = number();
    at += length;
  }
  if (module[at++] !== MEMORY) throw new TypeError('the kernel module expected to import a memory');
  const names = module.subarray(body, at);
  at++;
  const pages = at;
  number();
  const content = [...names, SHARED, ...module.subarray(pages, at), ...MOST_PAGES];
  // The section stays far below 128 bytes, so that its size is one byte.
  return Uint8Array.from([...module.subarray(0, start), IMPORTS, content.length, ...content, ...module.subarray(end)]);
}

/** Whether this engine can run the kernel module. False where WebAssembly, its SIMD or run-time compilation is missing. */
export function hasWasmSimd(): boolean {
  try {
    return packaged() instanceof WebAssembly.Module;
  } catch {
    return false;
  }
}

/**
 * The kernels as WebAssembly over a memory.
 *
 * @throws {WebAssembly.CompileError} where the module cannot be compiled here.
 */
export function wasmKernels(
  memory: WebAssembly.Memory, source: WebAssembly.Module | BufferSource = isShared(memory) ? packagedShared() : packaged(),
): Record<DType, Kernels> {
  // The loader's own `exports` wraps each call and costs three times as much a call as the instance's.
  const exports = instantiateSync(source, { env: { memory } }).instance.exports as unknown as Exports;
  return {
    float32: {
      moments: exports.moments_f32, affine: exports.affine_f32, reduce: exports.reduce_f32, gradient: exports.gradient_f32,
    },
    float64: {
      moments: exports.moments_f64, affine: exports.affine_f64, reduce: exports.reduce_f64, gradient: exports.gradient_f64,
    },
  };
}

function isShared({ buffer }: WebAssembly.Memory): boolean {
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
}
