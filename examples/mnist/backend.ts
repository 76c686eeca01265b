/** Sets up tfjs: its WebAssembly backend and its gradients. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

/** Must be awaited before any tensor is created. @param threads - default: that of tfjs */
export async function startBackend(threads?: number): Promise<void> {
  const require = createRequire(import.meta.url);
  setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  if (threads !== undefined) setThreadsCount(threads);
  await tf.setBackend('wasm');

  // tfjs-core has no gradients by itself. Uses require, since its files are ES modules without file extensions.
  require('@tensorflow/tfjs-core/dist/register_all_gradients.js');
  // The wasm backend is slow at products with a transposed factor: transposing first makes a step 3 times as fast.
  tf.registerGradient({
    kernelName: 'BatchMatMul',
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [tf.Tensor2D, tf.Tensor2D];
      return {
        a: () => tf.matMul(dy as tf.Tensor2D, tf.transpose(b)),
        b: () => tf.matMul(tf.transpose(a), dy as tf.Tensor2D),
      };
    },
  });
}
