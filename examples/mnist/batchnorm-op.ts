/** Batch norm as differentiable operations of tfjs. */
import * as tf from '@tensorflow/tfjs-core';
import { type BatchNorm, moments } from 'batchnorm-wasm';

/** x [N, C] normalised by `bn`, times gamma [C], plus beta [C]; differentiable with respect to all three. */
export function batchNorm(bn: BatchNorm, x: tf.Tensor2D, gamma: tf.Tensor, beta: tf.Tensor): tf.Tensor2D {
  const op = tf.customGrad((...inputs) => {
    const [x, gamma, beta] = inputs as [tf.Tensor2D, tf.Tensor, tf.Tensor];
    bn.weight!.set(gamma.dataSync());
    bn.bias!.set(beta.dataSync());
    const y = bn.forward(x.dataSync<'float32'>(), x.shape);
    const context = bn.context!;
    const gradFunc = (dy: tf.Tensor) => {
      const { dx, dweight, dbias } = bn.backward(dy.dataSync<'float32'>(), { context });
      return [tf.tensor2d(dx, x.shape), tf.tensor1d(dweight as Float32Array), tf.tensor1d(dbias as Float32Array)];
    };
    return { value: tf.tensor2d(y, x.shape), gradFunc };
  });
  return op(x, gamma, beta) as tf.Tensor2D;
}

/**
 * The same output in training, but its gradient treats mean and variance of the batch as constants, as if they were
 * computed outside the gradient step (section 2). Uses the backward of eval mode with the batch statistics as running ones.
 */
export function detachedBatchNorm(bn: BatchNorm, x: tf.Tensor2D, gamma: tf.Tensor, beta: tf.Tensor): tf.Tensor2D {
  if (!bn.training) return batchNorm(bn, x, gamma, beta);
  const { mean, m2, count } = moments(x.dataSync<'float32'>(), x.shape);
  bn.runningMean!.set(mean);
  bn.runningVar!.set(m2.map((sum) => sum / count));
  bn.eval();
  const y = batchNorm(bn, x, gamma, beta);
  bn.train();
  return y;
}
