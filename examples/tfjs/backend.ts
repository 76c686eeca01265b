/** Sets up tfjs on one of its backends. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';

const require = createRequire(import.meta.url);

/** The same namespace as `@tensorflow/tfjs`. */
export const tf: typeof core & typeof layers = { ...require('@tensorflow/tfjs-core'), ...require('@tensorflow/tfjs-layers') };

export type Backend = 'wasm' | 'cpu';

/** Must be awaited before any tensor is created. Both backends are there from then on. */
export async function startBackend(name: Backend = 'wasm'): Promise<void> {
  require('@tensorflow/tfjs-backend-cpu');
  const { setWasmPaths } = require('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  await tf.setBackend(name);
}
