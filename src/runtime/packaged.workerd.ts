/** Stands in for packaged.ts under the `workerd` condition: that host compiles modules at deployment, never later. */
import module from '../kernels.wasm';

export function packaged(): WebAssembly.Module {
  return module;
}

/** @throws {TypeError} always: that host has no shared memory for which they would be needed. */
export function packagedBytes(): Uint8Array<ArrayBuffer> {
  throw new TypeError('packagedBytes() expected a host that compiles modules at run time, got workerd');
}
