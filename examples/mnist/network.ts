/** A fully connected network with or without batch norm before its nonlinearities; by default the one of section 4.1. */
import * as tf from '@tensorflow/tfjs-core';
import { BatchNorm } from 'batchnorm-wasm';
import { batchNorm, detachedBatchNorm } from './batchnorm-op.js';
import { type Batch, CLASSES, PIXELS } from './data.js';

const HIDDEN = [100, 100, 100];

export type Activation = 'sigmoid' | 'relu';

/** 'detached': batch norm whose gradient treats mean and variance as constants, which section 2 warns against. */
export type Normalisation = 'none' | 'batch' | 'detached';

export interface NetworkOptions {
  readonly norm: Normalisation;
  readonly learningRate: number;
  /** Default 'sigmoid'. */
  readonly activation?: Activation;
  /** What normalises; default: what `norm` says. */
  readonly operation?: typeof batchNorm;
}

/** Values inside the network for images [N, 784]. */
export interface Activations {
  /** For each hidden layer W u [N, units], the input of batch norm. */
  readonly products: tf.Tensor2D[];
  /** For each hidden layer the input of the nonlinearity, [N, units]. */
  readonly inputs: tf.Tensor2D[];
  /** [N, 10] */
  readonly logits: tf.Tensor2D;
}

type Matrix = tf.Variable<tf.Rank.R2>;

interface HiddenLayer {
  /** [inputs, units] */
  readonly weight: Matrix;
  /** [units]; with batch norm this is beta, since its mean cancels any bias before it (section 3.2). */
  readonly bias: tf.Variable;
  /** gamma [units]; null in the network without batch norm. */
  readonly norm: { readonly gamma: tf.Variable; readonly bn: BatchNorm } | null;
}

/** Gaussian weights [inputs, units] of the hidden layers and of the output layer. */
export function initialWeights(stddev: number, seed: number, hidden: readonly number[] = HIDDEN): tf.Tensor2D[] {
  const sizes = [PIXELS, ...hidden, CLASSES];
  return sizes.slice(1).map((units, layer) => {
    // Never 0, which tfjs does not accept as a seed.
    const layerSeed = (sizes.length - 1) * seed + layer + 1;
    return tf.randomNormal<tf.Rank.R2>([sizes[layer]!, units], 0, stddev, 'float32', layerSeed);
  });
}

/** A network that learns by gradient descent. */
export class Network {
  /** The BatchNorm of each hidden layer; empty in the network without batch norm. */
  readonly norms: readonly BatchNorm[];
  readonly #hidden: readonly HiddenLayer[];
  readonly #output: { readonly weight: Matrix; readonly bias: tf.Variable };
  readonly #optimizer: tf.Optimizer;
  readonly #activation: Activation;
  readonly #batchNorm: typeof batchNorm;

  /** @param weights - copied: [inputs, units] of the hidden layers, then of the output layer */
  constructor(weights: readonly tf.Tensor2D[], { norm, learningRate, activation = 'sigmoid', operation }: NetworkOptions) {
    const layers = weights.map((weight) => {
      const units = weight.shape[1];
      return { weight: tf.variable(weight), bias: tf.variable(tf.zeros([units])), units };
    });
    this.#output = layers.pop()!;
    this.#hidden = layers.map(({ weight, bias, units }) => {
      if (norm === 'none') return { weight, bias, norm: null };
      // The paper's convention averages over all batches since the last reset, as Alg. 2 does.
      const bn = new BatchNorm(units, { convention: 'paper' });
      return { weight, bias, norm: { gamma: tf.variable(tf.ones([units])), bn } };
    });
    this.norms = this.#hidden.flatMap(({ norm }) => norm?.bn ?? []);
    this.#optimizer = tf.train.sgd(learningRate);
    this.#activation = activation;
    this.#batchNorm = operation ?? (norm === 'detached' ? detachedBatchNorm : batchNorm);
  }

  /** @param x - images [N, 784] */
  forward(x: tf.Tensor2D): Activations {
    const products: tf.Tensor2D[] = [], inputs: tf.Tensor2D[] = [];
    let h = x;
    for (const { weight, bias, norm } of this.#hidden) {
      const product = tf.matMul<tf.Tensor2D>(h, weight);
      const input = norm ? this.#batchNorm(norm.bn, product, norm.gamma, bias) : tf.add<tf.Tensor2D>(product, bias);
      products.push(product);
      inputs.push(input);
      h = this.#activation === 'sigmoid' ? tf.sigmoid(input) : tf.relu(input);
    }
    return { products, inputs, logits: tf.add(tf.matMul(h, this.#output.weight), this.#output.bias) };
  }

  /** One step of stochastic gradient descent on a batch; returns its mean cross-entropy before the step. */
  trainStep({ x, labels }: Batch): number {
    return tf.tidy(() => {
      const target = tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES);
      const loss = () => tf.losses.softmaxCrossEntropy(target, this.forward(x).logits) as tf.Scalar;
      return this.#optimizer.minimize(loss, true)!.dataSync()[0]!;
    });
  }

  /** Frees weights and biases. */
  dispose(): void {
    for (const { weight, bias, norm } of this.#hidden) tf.dispose([weight, bias, norm ? norm.gamma : []]);
    tf.dispose([this.#output.weight, this.#output.bias]);
  }
}
