/** TensorFlow.js as a side of the race, loaded only on demand. */
import * as tf from '@tensorflow/tfjs-core';
import { type Race, type Runner, shapeOf } from './race.js';
import { startBackend } from './tfjs-backend.js';

const EPS = 1e-5;

/** Tensors stay in the backend. Its batchNorm only supports channels-last; channels-first uses broadcasting operations. */
export async function tfjs(race: Race, data: Float32Array): Promise<Runner> {
  await startBackend();
  const first = race.layout === 'channels-first', { channels } = race;
  const perChannel = first ? [1, channels, 1, 1] : [channels];
  const axes = first ? [0, 2, 3] : [0, 1, 2];
  const x = tf.tensor(data, shapeOf(race));
  const weight = tf.ones(perChannel), bias = tf.zeros(perChannel), mean = tf.zeros(perChannel), variance = tf.ones(perChannel);
  const normalize = (x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor) => (first
    ? tf.add(tf.mul(tf.sub(x, mean), tf.mul(tf.rsqrt(tf.add(variance, EPS)), weight)), bias)
    : tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, bias as tf.Tensor1D, weight as tf.Tensor1D, EPS));
  const train = (x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor) => {
    const batch = tf.moments(x, axes, first);
    return normalize(x, batch.mean, batch.variance, weight, bias);
  };
  const gradients = tf.grads(train as (...inputs: tf.Tensor[]) => tf.Tensor);
  const operations: Record<Race['operation'], () => tf.Tensor | tf.Tensor[]> = {
    eval: () => normalize(x, mean, variance, weight, bias),
    train: () => train(x, weight, bias),
    backward: () => gradients([x, weight, bias], x),
  };
  return {
    run: () => { tf.dispose(tf.tidy(operations[race.operation])); },
    dispose: () => { tf.dispose([x, weight, bias, mean, variance]); },
  };
}
