import { SHIFT, TEXT } from './binary.js';

/** Most bytes are one character, see scripts/embed.mjs, which writes the text. */
const SINGLE = 93;

let compiled: WebAssembly.Module | undefined;

/**
 * The kernel module that comes with the package, compiled on first use.
 *
 * @throws {Error} where WebAssembly, its SIMD or compiling at run time is missing.
 */
export function packaged(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(packagedBytes());
  return compiled;
}

/** Its bytes. */
export function packagedBytes(): Uint8Array<ArrayBuffer> {
  const text = TEXT, bytes = new Uint8Array(text.length);
  let length = 0, page = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 32;
    if (digit < SINGLE) {
      bytes[length++] = page + digit - SHIFT;
      page = 0;
    } else page = (digit - SINGLE + 1) * SINGLE;
  }
  return bytes.subarray(0, length);
}
