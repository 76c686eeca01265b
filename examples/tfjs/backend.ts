/** Sets up tfjs on its WebAssembly backend and adds the gradient of a convolution, which the backend lacks. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';

const require = createRequire(import.meta.url);

/** The same namespace as `@tensorflow/tfjs`. */
export const tf: typeof core & typeof layers = { ...require('@tensorflow/tfjs-core'), ...require('@tensorflow/tfjs-layers') };

/** Must be awaited before any tensor is created. */
export async function startBackend(name: 'wasm' | 'cpu' = 'wasm'): Promise<void> {
  require('@tensorflow/tfjs-backend-cpu');
  const { setWasmPaths } = require('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  await tf.setBackend(name);
}

/**
 * Registers a kernel that the wasm backend of tfjs lacks: the gradient of a convolution with respect to its filter, for
 * stride 1 and padding 'same'. This gradient is itself a convolution of x with dy, with the samples as channels.
 */
export function registerConvGradient(): void {
  tf.registerKernel({
    kernelName: 'Conv2DBackpropFilter', backendName: 'wasm',
    kernelFunc: ({ inputs, attrs }) => tf.tidy(() => {
      const [x, dy] = [inputs.x, inputs.dy] as core.Tensor4D[], [height = 1, width = 1] = attrs!.filterShape as number[];
      const around = (size: number): [number, number] => [(size - 1) >> 1, size >> 1];
      const padded = tf.pad(x!, [[0, 0], around(height), around(width), [0, 0]]);
      const correlated = tf.conv2d(
        tf.transpose(padded, [3, 1, 2, 0]) as core.Tensor4D, tf.transpose(dy!, [1, 2, 0, 3]) as core.Tensor4D, 1, 'valid');
      return tf.transpose(correlated, [1, 2, 0, 3]);
    }),
  });
}
