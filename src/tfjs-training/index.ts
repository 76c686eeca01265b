/**
 * Training of convolutional nets on the wasm backend of TensorFlow.js 4.22, which has no kernels for most of their gradients.
 *
 * @module batchnorm-wasm/tfjs-training
 */
import type * as tfc from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { describe } from '../checks.js';
import { registerDilatedGradients } from './dilated.js';
import { registerDilatedLayer } from './dilated-layer.js';
import { type Kernel, MISSING, REPLACED } from './kernels.js';
import { productKernel } from './products.js';

const BACKEND = 'wasm', PRODUCT = 'BatchMatMul';
const NEEDED = ['engine', 'registerKernel', 'registerGradient', 'getKernel', 'backend_util', 'conv2d'] as const;

/** Kernels of this package, so that none is registered twice. */
const own = new WeakSet<tfc.KernelFunc>();

/**
 * Registers what the wasm backend of tfjs lacks for training convolutional nets: gradients of tf.conv2d with respect to the
 * filter, of tf.depthwiseConv2d, of tf.maxPool (the backend's own is wrong) and of tf.gather, as the cpu backend has them; of
 * convolutions with dilations, which no backend has; and faster gradients of convolutions and dense layers. Other backends
 * stay as they are.
 *
 * Import backends first, or call this once more after. Calling it again changes nothing.
 *
 * @param tf - the namespace of @tensorflow/tfjs, or { ...core, ...layers }; without layers those with a dilationRate stay as they are
 * @throws {TypeError} tf is anything else.
 */
export function registerTrainingKernels(tf: unknown): void {
  const core = tf as typeof tfc, { layers } = (tf ?? {}) as Partial<typeof tfl>;
  for (const name of NEEDED) {
    if ((tf as typeof tfc | null | undefined)?.[name] === undefined) {
      throw new TypeError(`registerTrainingKernels() expected the namespace of @tensorflow/tfjs, got ${describe(tf)} without "${name}"`);
    }
  }
  const product = core.getKernel(PRODUCT, BACKEND);
  if (product === undefined) return;
  if (!own.has(product.kernelFunc)) replace(core, PRODUCT, productKernel(core, product.kernelFunc));
  for (const [name, kernel] of Object.entries(MISSING)) {
    if (core.getKernel(name, BACKEND) === undefined) replace(core, name, composed(core, kernel));
  }
  for (const [name, kernel] of Object.entries(REPLACED)) {
    if (!own.has(core.getKernel(name, BACKEND)?.kernelFunc)) replace(core, name, composed(core, kernel));
  }
  registerDilatedGradients(core, BACKEND);
  if (layers) registerDilatedLayer(core, layers, BACKEND);
}

/** A kernel made of operations, which leaves no tensor but its result. */
function composed(tf: typeof tfc, kernel: Kernel): tfc.KernelFunc {
  return ({ inputs, attrs }) => tf.tidy(() => kernel(tf, inputs as Record<string, tfc.Tensor>, attrs as never));
}

/** Keeps what else the backend has registered with the kernel: it prepares itself when the backend starts. */
function replace(tf: typeof tfc, kernelName: string, kernelFunc: tfc.KernelFunc): void {
  const stock = tf.getKernel(kernelName, BACKEND);
  if (stock !== undefined) tf.unregisterKernel(kernelName, BACKEND);
  own.add(kernelFunc);
  tf.registerKernel({ ...stock, kernelName, backendName: BACKEND, kernelFunc });
}
