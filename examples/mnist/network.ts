/** The network of section 4.1: 784 - 100 - 100 - 100 - 10, sigmoid units, with or without batch norm before them. */
import * as tf from '@tensorflow/tfjs-core';
import { BatchNorm } from 'batchnorm-wasm';
import { batchNorm } from './batchnorm-op.js';
import { type Batch, CLASSES, PIXELS } from './data.js';

const SIZES = [PIXELS, 100, 100, 100, CLASSES];

type Matrix = tf.Variable<tf.Rank.R2>;

interface HiddenLayer {
  /** [inputs, units] */
  readonly weight: Matrix;
  /** [units]; beta where there is batch norm, whose mean cancels any bias before it (section 3.2). */
  readonly bias: tf.Variable;
  /** gamma [units]; null in the network without batch norm. */
  readonly norm: { readonly gamma: tf.Variable; readonly bn: BatchNorm } | null;
}

/** Gaussian weights [inputs, units] of the four layers. */
export function initialWeights(stddev: number, seed: number): tf.Tensor2D[] {
  return SIZES.slice(1).map((units, layer) => {
    // Never 0, which is no seed to tfjs.
    const layerSeed = 4 * seed + layer + 1;
    return tf.randomNormal<tf.Rank.R2>([SIZES[layer]!, units], 0, stddev, 'float32', layerSeed);
  });
}

/** One of the two networks compared. */
export class Network {
  /** The BatchNorm of each hidden layer; none in the network without. */
  readonly norms: readonly BatchNorm[];
  readonly #hidden: readonly HiddenLayer[];
  readonly #output: { readonly weight: Matrix; readonly bias: tf.Variable };
  readonly #optimizer: tf.Optimizer;

  /** @param weights - copied: [inputs, units] of the hidden layers, then of the output layer */
  constructor(weights: readonly tf.Tensor2D[], withBatchNorm: boolean, learningRate: number) {
    const layers = weights.map((weight) => {
      const units = weight.shape[1];
      return { weight: tf.variable(weight), bias: tf.variable(tf.zeros([units])), units };
    });
    this.#output = layers.pop()!;
    this.#hidden = layers.map(({ weight, bias, units }) => {
      if (!withBatchNorm) return { weight, bias, norm: null };
      // The paper's convention averages over all batches since the last reset, as Alg. 2 does.
      const bn = new BatchNorm(units, { convention: 'paper' });
      return { weight, bias, norm: { gamma: tf.variable(tf.ones([units])), bn } };
    });
    this.norms = this.#hidden.flatMap(({ norm }) => norm?.bn ?? []);
    this.#optimizer = tf.train.sgd(learningRate);
  }

  /** For images x [N, 784]: what enters the sigmoids of the last hidden layer [N, 100], and the logits [N, 10]. */
  forward(x: tf.Tensor2D): { sigmoidInput: tf.Tensor2D; logits: tf.Tensor2D } {
    let sigmoidInput = x;
    let h = x;
    for (const { weight, bias, norm } of this.#hidden) {
      const product = tf.matMul<tf.Tensor2D>(h, weight);
      sigmoidInput = norm ? batchNorm(norm.bn, product, norm.gamma, bias) : tf.add(product, bias);
      h = tf.sigmoid(sigmoidInput);
    }
    return { sigmoidInput, logits: tf.add(tf.matMul(h, this.#output.weight), this.#output.bias) };
  }

  /** One step of stochastic gradient descent on a batch; returns its mean cross-entropy before the step. */
  trainStep({ x, labels }: Batch): number {
    return tf.tidy(() => {
      const target = tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES);
      const loss = () => tf.losses.softmaxCrossEntropy(target, this.forward(x).logits) as tf.Scalar;
      return this.#optimizer.minimize(loss, true)!.dataSync()[0]!;
    });
  }
}
