import { instantiateSync } from '@assemblyscript/loader';
import type { DType, Kernels } from './kernels.js';
import { packaged } from './packaged.js';

type Exports =
  { [name in Exclude<keyof Kernels, 'packMask' | 'scratchBytes' | 'small' | 'least'> as `${name}_f32` | `${name}_f64`]: Kernels[name] } &
  Record<'pack_mask_f32' | 'pack_mask_f64', Kernels['packMask']> & { scratch_bytes: Kernels['scratchBytes'] };

/** Why this engine cannot run the kernel module: no WebAssembly, no SIMD, no permission to compile. Undefined: it can. */
export function refusal(): string | undefined {
  try {
    packaged();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** A memory for the kernels; or why this engine has none, for instance since its address space is limited. */
export function wasmMemory(maximumPages: number): WebAssembly.Memory | string {
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: maximumPages });
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The kernels as WebAssembly over a memory.
 *
 * @throws {WebAssembly.CompileError} where the module cannot be compiled here.
 */
export function wasmKernels(
  memory: WebAssembly.Memory, source: WebAssembly.Module | BufferSource = packaged(),
): Record<DType, Kernels> {
  const module = 'byteLength' in source ? new WebAssembly.Module(source) : source;
  const exports = instantiate(module, { env: { memory } }).exports as unknown as Exports;
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

/** An instance by AssemblyScript's loader, whose own `exports` would cost three times as much per call as the instance's. */
function instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports): WebAssembly.Instance {
  try {
    return instantiateSync(module, imports).instance;
  } catch {
    // The loader needs a TextDecoder for strings. The kernels have none, so they run without it, and without the loader.
  }
  return new WebAssembly.Instance(module, imports);
}
