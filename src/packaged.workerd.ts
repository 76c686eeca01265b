/** Stands in for packaged.ts under the `workerd` condition: that host compiles modules when it deploys, never later. */
import module from '../kernels.wasm';

export function packaged(): WebAssembly.Module {
  return module;
}
