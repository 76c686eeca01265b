import { instantiateSync } from '@assemblyscript/loader';
import { BINARY } from './binary.js';
import type { DType, Kernels } from './kernels.js';

type Kernel = Exclude<keyof Kernels, 'widenMask'>;
type Exports = { [name in Kernel as `${name}_f32` | `${name}_f64`]: Kernels[name] } & { widen_mask: Kernels['widenMask'] };

let compiled: WebAssembly.Module | undefined;

/** The kernel module that comes with the package, compiled on first use (26 kB: about 0.1 ms). */
function packaged(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(BINARY), (character) => character.charCodeAt(0)));
  return compiled;
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
  memory: WebAssembly.Memory, source: WebAssembly.Module | BufferSource = packaged(),
): Record<DType, Kernels> {
  // The loader's own `exports` wraps each call and costs three times as much a call as the instance's.
  const exports = instantiateSync(source, { env: { memory } }).instance.exports as unknown as Exports;
  return {
    float32: {
      widenMask: exports.widen_mask,
      moments: exports.moments_f32, affine: exports.affine_f32, reduce: exports.reduce_f32, gradient: exports.gradient_f32,
    },
    float64: {
      widenMask: exports.widen_mask,
      moments: exports.moments_f64, affine: exports.affine_f64, reduce: exports.reduce_f64, gradient: exports.gradient_f64,
    },
  };
}
