/** Sets up tfjs on its WebAssembly backend, with the gradient of a convolution, which that lacks. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';

const require = createRequire(import.meta.url);

/** The namespace that `@tensorflow/tfjs` would be. */
export const tf: typeof core & typeof layers = { ...require('@tensorflow/tfjs-core'), ...require('@tensorflow/tfjs-layers') };

/** To be awaited before any tensor is made. */
export async function startBackend(name: 'wasm' | 'cpu' = 'wasm'): Promise<void> {
  require('@tensorflow/tfjs-backend-cpu');
  const { setWasmPaths } = require('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  await tf.setBackend(name);
}

/**
 * The gradient of a convolution of stride 1 and padding 'same' by its filter is a convolution too: of x with dy, samples
 * taken as channels. The wasm backend of tfjs has no kernel of its own for it.
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
