/** Gradients of dilated convolutions, which tfjs refuses on every backend. */
import type * as tfc from '@tensorflow/tfjs-core';
import * as convolution from './convolution.js';
import { isDilated, type WindowAttributes, windowOf } from './window.js';

type Core = typeof tfc;
type Tensor4D = tfc.Tensor4D;
type Gradients = { x: () => tfc.Tensor; filter: () => tfc.Tensor };
type Compute = (tf: Core, dy: Tensor4D, x: Tensor4D, filter: Tensor4D, attributes: WindowAttributes) => Gradients;

/** By the kernel whose gradient it is. */
const COMPUTE: Record<string, Compute> = {
  // Of operations: the gradient that tfjs has for its kernel Conv2DBackpropInput knows nothing of dilations.
  Conv2D: (tf, dy, x, filter, attributes) => {
    const window = windowOf(tf, x.shape, dy.shape, filter.shape, attributes);
    return {
      x: () => convolution.inputGradient(tf, dy, filter, window),
      filter: () => convolution.filterGradient(tf, x, dy, window),
    };
  },
  DepthwiseConv2dNative: (tf, dy, x, filter, attributes) => {
    const run = (name: string, inputs: object, shape: object) =>
      tf.engine().runKernel(`DepthwiseConv2dNativeBackprop${name}`, inputs as tfc.NamedTensorMap, { ...attributes, ...shape } as never);
    return {
      x: () => run('Input', { dy, filter }, { inputShape: x.shape }) as tfc.Tensor,
      filter: () => run('Filter', { x, dy }, { filterShape: filter.shape }) as tfc.Tensor,
    };
  },
};

/** Gradients of this package, so that none is registered twice. */
const own = new WeakSet<tfc.GradFunc>();

/** Lets tf.conv2d and tf.depthwiseConv2d with dilations be differentiated on a backend; all else is as before. */
export function registerDilatedGradients(tf: Core, backend: string): void {
  for (const [kernelName, compute] of Object.entries(COMPUTE)) {
    const stock = tf.getGradient(kernelName);
    if (stock === undefined || own.has(stock.gradFunc)) continue;
    const gradFunc: tfc.GradFunc = (dy, saved, attributes) => {
      const [x, filter] = saved as Tensor4D[], given = attributes as unknown as WindowAttributes;
      if (!isDilated(given.dilations) || tf.getBackend() !== backend) return stock.gradFunc(dy, saved, attributes);
      return { ...compute(tf, dy as Tensor4D, x!, filter!, given) };
    };
    own.add(gradFunc);
    tf.registerGradient({ ...stock, gradFunc });
  }
}
