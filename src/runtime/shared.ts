/** The kernel module for a shared memory, such as that of the threaded build of the tfjs wasm backend. */
import { packaged, packagedBytes } from './packaged.js';

let compiled: WebAssembly.Module | undefined;

/** The kernel module for a memory, shared or not. Nothing in the kernels has to be atomic, so one module serves both. */
export function kernelModuleFor({ buffer }: WebAssembly.Memory): WebAssembly.Module {
  if (Object.prototype.toString.call(buffer) !== '[object SharedArrayBuffer]') return packaged();
  compiled ??= new WebAssembly.Module(importShared(packagedBytes()));
  return compiled;
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
