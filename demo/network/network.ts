/** The network of section 4.1 with any depth: 784 binary pixels, hidden layers of 100 units, 10 digits; plain SGD. */
import { BatchNorm } from 'batchnorm-wasm';
import { random, standardNormal } from '../../test/random.js';
import { type Activation, activate, differentiate } from './activation.js';
import { CLASSES, type Dataset, PIXELS } from './data.js';
import { crossEntropy, softmax } from './loss.js';
import { addOuter, addRows, multiply, multiplyTransposed } from './matrix.js';
import { addPixels, addToPixels } from './pixels.js';

export const UNITS = 100;

interface Layer {
  /** [inputs, units] */
  readonly weight: Float32Array;
  /** [units]; null before batch norm: its mean would cancel the bias, and its beta replaces it (section 3.2). */
  readonly bias: Float32Array | null;
  readonly norm: ReturnType<typeof normalisation> | null;
  /** [images, units]: output of the linear map, input of the nonlinearity, and output of the nonlinearity. */
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly h: Float32Array;
}

/** Gaussian weights [inputs, units] of the hidden layers, then of the output layer. */
export function initialWeights(depth: number, spread: number, seed: number): Float32Array[] {
  const gaussian = standardNormal(random(seed));
  return Array.from({ length: depth + 1 }, (_, layer) => {
    const inputs = layer === 0 ? PIXELS : UNITS, units = layer === depth ? CLASSES : UNITS;
    return Float32Array.from({ length: inputs * units }, () => spread * gaussian());
  });
}

const normalisation = () => new BatchNorm(UNITS);

export class Network {
  readonly layers: readonly Layer[];
  readonly #activation: Activation;
  readonly #output: { readonly weight: Float32Array; readonly bias: Float32Array };
  readonly #logits: Float32Array;
  /** Gradients of the loss with respect to a layer's outputs and inputs; the two arrays swap roles at each layer. */
  #g: Float32Array;
  #gBefore: Float32Array;

  /**
   * @param weights - copied
   * @param capacity - the largest number of images in a call
   */
  constructor(weights: readonly Float32Array[], activation: Activation, withBatchNorm: boolean, capacity: number) {
    const array = () => new Float32Array(capacity * UNITS);
    this.layers = weights.slice(0, -1).map((weight) => ({
      weight: weight.slice(),
      bias: withBatchNorm ? null : new Float32Array(UNITS),
      norm: withBatchNorm ? normalisation() : null,
      x: array(), y: array(), h: array(),
    }));
    this.#activation = activation;
    this.#output = { weight: weights.at(-1)!.slice(), bias: new Float32Array(CLASSES) };
    this.#logits = new Float32Array(capacity * CLASSES);
    this.#g = array();
    this.#gBefore = array();
  }

  /**
   * Probabilities [rows, 10] of the images in `rows`; the `y` of each layer then belongs to these images too. The next call
   * overwrites both.
   *
   * In training, normalises with the statistics of these images (Alg. 1), otherwise with the running ones. These are
   * updated in training, unless `updateStats` is false.
   */
  forward(data: Dataset, rows: Uint32Array, training: boolean, updateStats = true): Float32Array {
    const n = rows.length;
    let input: Float32Array | null = null;
    for (const { weight, bias, norm, x, y, h } of this.layers) {
      if (input) multiply(x, input, weight, n, UNITS, UNITS);
      else addPixels(x, weight, UNITS, data, rows);
      if (norm) norm.train(training).forward(x.subarray(0, n * UNITS), [n, UNITS], { out: y.subarray(0, n * UNITS), updateStats });
      else addBias(y, x, bias!, n);
      activate(this.#activation, h, y, n * UNITS);
      input = h;
    }
    multiply(this.#logits, input!, this.#output.weight, n, UNITS, CLASSES);
    addBias(this.#logits, this.#logits, this.#output.bias, n);
    const probabilities = this.#logits.subarray(0, n * CLASSES);
    softmax(probabilities, n);
    return probabilities;
  }

  /** One step of gradient descent; returns the mean cross-entropy of the batch before the step. */
  trainStep(data: Dataset, rows: Uint32Array, learningRate: number): number {
    const probabilities = this.forward(data, rows, true);
    const loss = crossEntropy(probabilities, data, rows);
    this.#backward(probabilities, data, rows, learningRate);
    return loss;
  }

  /**
   * For each layer, the root mean square, over images and units, of the derivative of an image's loss with respect to the input
   * of the nonlinearity, as a training step on these images would compute it. Changes neither parameters nor statistics.
   */
  gradientSizes(data: Dataset, rows: Uint32Array): number[] {
    return this.#backward(this.forward(data, rows, true, false), data, rows, null);
  }

  /** From the probabilities of a forward back to the first layer. Updates parameters unless the learning rate is null. */
  #backward(g: Float32Array, data: Dataset, rows: Uint32Array, learningRate: number | null): number[] {
    const n = rows.length, depth = this.layers.length, output = this.#output, sizes: number[] = Array(depth);
    rows.forEach((row, i) => { g[i * CLASSES + data.labels[row]!]! -= 1; });
    for (let i = 0; i < g.length; i++) g[i]! /= n;

    multiplyTransposed(this.#g, g, output.weight, n, CLASSES, UNITS);
    if (learningRate !== null) {
      addOuter(output.weight, -learningRate, this.layers[depth - 1]!.h, g, n, UNITS, CLASSES);
      addRows(output.bias, -learningRate, g, n, CLASSES);
    }
    for (let layer = depth - 1; layer >= 0; layer--) sizes[layer] = n * this.#descend(layer, data, rows, learningRate);
    return sizes;
  }

  /**
   * Turns the gradient with respect to a layer's outputs into that with respect to its inputs. Returns the root mean square of
   * the gradient between the two, with respect to the inputs of the nonlinearity.
   */
  #descend(layer: number, data: Dataset, rows: Uint32Array, learningRate: number | null): number {
    const { weight, bias, norm, h } = this.layers[layer]!;
    const n = rows.length, g = this.#g.subarray(0, n * UNITS);
    differentiate(this.#activation, g, h, n * UNITS);
    const size = Math.sqrt(g.reduce((sum, value) => sum + value * value, 0) / g.length);
    const gradients = norm?.backward(g, { out: g });
    if (learningRate !== null) {
      if (!gradients) addRows(bias!, -learningRate, g, n, UNITS);
      else {
        addRows(norm!.weight, -learningRate, gradients.dweight, 1, UNITS);
        addRows(norm!.bias, -learningRate, gradients.dbias, 1, UNITS);
      }
    }
    if (layer > 0) {
      multiplyTransposed(this.#gBefore, g, weight, n, UNITS, UNITS);
      if (learningRate !== null) addOuter(weight, -learningRate, this.layers[layer - 1]!.h, g, n, UNITS, UNITS);
      [this.#g, this.#gBefore] = [this.#gBefore, this.#g];
    } else if (learningRate !== null) addToPixels(weight, -learningRate, g, UNITS, data, rows);
    return size;
  }

  dispose(): void {
    for (const { norm } of this.layers) norm?.dispose();
  }
}

function addBias(y: Float32Array, x: Float32Array, bias: Float32Array, n: number): void {
  const units = bias.length;
  for (let i = 0; i < n * units; i += units) {
    for (let unit = 0; unit < units; unit++) y[i + unit] = x[i + unit]! + bias[unit]!;
  }
}
