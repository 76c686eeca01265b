import { instantiateSync } from '@assemblyscript/loader';
import type { DType, Kernels } from './kernels.js';
import { packaged } from './packaged.js';

type Exports =
  { [name in Exclude<keyof Kernels, 'packMask' | 'scratchBytes'> as `${name}_f32` | `${name}_f64`]: Kernels[name] } &
  Record<'pack_mask_f32' | 'pack_mask_f64', Kernels['packMask']> & { scratch_bytes: Kernels['scratchBytes'] };

/** Why this engine cannot run the kernel module: no WebAssembly, no SIMD, no permission to compile. Undefined: it can. */
export function refusal(): string | undefined {
  try {
    packaged();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
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
      packMask: exports.pack_mask_f32,
      moments: exports.moments_f32, affine: exports.affine_f32, reduce: exports.reduce_f32, gradient: exports.gradient_f32,
      scratchBytes: exports.scratch_bytes,
    },
    float64: {
      packMask: exports.pack_mask_f64,
      moments: exports.moments_f64, affine: exports.affine_f64, reduce: exports.reduce_f64, gradient: exports.gradient_f64,
      scratchBytes: exports.scratch_bytes,
    },
  };
}
