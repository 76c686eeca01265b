/** The kernel module for a shared memory: that of a runtime with threads, or of the threaded build of the tfjs wasm backend. */
import { packagedBytes } from './packaged.js';

let compiled: WebAssembly.Module | undefined;

/** Whether workers may share a memory. */
export function isShared({ buffer }: WebAssembly.Memory): boolean {
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
}

/** The kernel module for a shared memory. Nothing in the kernels has to be atomic, so that it is the one that there is. */
export function packagedShared(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(importShared(packagedBytes()));
  return compiled;
}

/** The import section of the kernel module, without its number and its length: one import, "env" "memory", a memory of at least one page. */
const IMPORT = '\x01\x03env\x06memory\x02\x00\x01';
/** The flags of a memory that is shared and has a maximum, which it must have. */
const SHARED = 3;
/** The maximum, in LEB128: a memory that is imported may not have a larger one. */
const MOST_PAGES = [0x80, 0x80, 0x04];

/**
 * The kernel module with its only import, a memory, declared as shared.
 *
 * @throws {TypeError} not the kernel module.
 */
export function importShared(module: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = module.findIndex((_, i) => [...IMPORT].every((letter, k) => module[i + k] === letter.charCodeAt(0)));
  if (at < 0) throw new TypeError('"module" expected the kernel module, got another');
  const end = at + IMPORT.length, flags = end - 2;
  const bytes = [...module.subarray(0, end), ...MOST_PAGES, ...module.subarray(end)];
  bytes[at - 1]! += MOST_PAGES.length;
  bytes[flags] = SHARED;
  return Uint8Array.from(bytes);
}
