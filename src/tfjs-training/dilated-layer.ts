/** Dilated layers of tfjs in training: they call tf.fused.conv2d, which has a gradient of its own that refuses dilations. */
import type * as tfc from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { isDilated } from './window.js';

type Tensor = tfc.Tensor;
type Call = (this: Conv2D, inputs: Tensor | Tensor[], kwargs: object) => Tensor | Tensor[];

/** The parts of tf.layers.conv2d that are used. */
interface Conv2D {
  readonly kernel: tfl.LayerVariable;
  readonly bias: tfl.LayerVariable | null;
  readonly activation: { apply(x: Tensor): Tensor } | null;
  readonly strides: [number, number];
  readonly padding: 'same' | 'valid';
  readonly dilationRate: [number, number];
  readonly dataFormat: 'channelsFirst' | 'channelsLast';
}

/** Calls of this package, so that none is put around itself. */
const own = new WeakSet<Call>();

/** Lets tf.layers.conv2d with a dilationRate train on a backend: there it calls tf.conv2d while gradients are recorded. */
export function registerDilatedLayer(tf: typeof tfc, layers: typeof tfl.layers, backend: string): void {
  const prototype = Object.getPrototypeOf(layers.conv2d({ filters: 1, kernelSize: 1 })) as { call: Call };
  const stock = prototype.call;
  if (own.has(stock)) return;
  prototype.call = function (inputs, kwargs) {
    const records = tf.engine().state.gradientDepth > 0 && tf.getBackend() === backend;
    return records && isDilated(this.dilationRate) ? convolve(tf, this, inputs) : stock.call(this, inputs, kwargs);
  };
  own.add(prototype.call);
}

function convolve(tf: typeof tfc, layer: Conv2D, inputs: Tensor | Tensor[]): Tensor {
  return tf.tidy(() => {
    const first = layer.dataFormat === 'channelsFirst', x = Array.isArray(inputs) ? inputs[0]! : inputs;
    const image = (first ? tf.transpose(x, [0, 2, 3, 1]) : x) as tfc.Tensor4D;
    let y: Tensor = tf.conv2d(image, layer.kernel.read() as tfc.Tensor4D, layer.strides, layer.padding, 'NHWC', layer.dilationRate);
    if (layer.bias) y = tf.add(y, layer.bias.read());
    if (layer.activation) y = layer.activation.apply(y);
    return first ? tf.transpose(y, [0, 3, 1, 2]) : y;
  });
}
