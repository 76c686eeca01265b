/** The network of section 4.1 with any depth: 784 binary pixels, hidden layers of 100 units, 10 digits; plain SGD. */
import { BatchNorm } from 'batchnorm-wasm';
import { random, standardNormal } from '../test/random.js';
import { type Activation, activate, differentiate } from './activation.js';
import { CLASSES, type Dataset, PIXELS } from './data.js';
import { addOuter, addRows, multiply, multiplyTransposed } from './matrix.js';

export const UNITS = 100;

interface Layer {
  /** [inputs, units] */
  readonly weight: Float32Array;
  /** [units]; null before batch norm: its mean would cancel the bias, and its beta replaces it (section 3.2). */
  readonly bias: Float32Array | null;
  readonly norm: BatchNorm | null;
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
      norm: withBatchNorm ? new BatchNorm(UNITS) : null,
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
   * In training, normalises with the statistics of these images (Alg. 1), otherwise with the running ones.
   */
  forward(data: Dataset, rows: Uint32Array, training: boolean): Float32Array {
    const n = rows.length;
    let input: Float32Array | null = null;
    for (const { weight, bias, norm, x, y, h } of this.layers) {
      if (input) multiply(x, input, weight, n, UNITS, UNITS);
      else addPixels(x, weight, data, rows);
      if (norm) norm.train(training).forward(x.subarray(0, n * UNITS), [n, UNITS], { out: y.subarray(0, n * UNITS) });
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
    const n = rows.length, depth = this.layers.length, output = this.#output;
    const g = this.forward(data, rows, true);
    const loss = crossEntropy(g, data, rows);
    rows.forEach((row, i) => { g[i * CLASSES + data.labels[row]!]! -= 1; });
    for (let i = 0; i < g.length; i++) g[i]! /= n;

    multiplyTransposed(this.#g, g, output.weight, n, CLASSES, UNITS);
    addOuter(output.weight, -learningRate, this.layers[depth - 1]!.h, g, n, UNITS, CLASSES);
    addRows(output.bias, -learningRate, g, n, CLASSES);
    for (let layer = depth - 1; layer >= 0; layer--) this.#descend(layer, data, rows, learningRate);
    return loss;
  }

  /** Turns the gradient with respect to a layer's outputs into that with respect to its inputs, and updates its parameters. */
  #descend(layer: number, data: Dataset, rows: Uint32Array, learningRate: number): void {
    const { weight, bias, norm, h } = this.layers[layer]!;
    const n = rows.length, g = this.#g.subarray(0, n * UNITS);
    differentiate(this.#activation, g, h, n * UNITS);
    if (norm) {
      const { dweight, dbias } = norm.backward(g, { out: g });
      for (let unit = 0; unit < UNITS; unit++) {
        norm.weight![unit]! -= learningRate * dweight![unit]!;
        norm.bias![unit]! -= learningRate * dbias![unit]!;
      }
    } else addRows(bias!, -learningRate, g, n, UNITS);

    if (layer === 0) {
      addToPixels(weight, -learningRate, g, data, rows);
      return;
    }
    multiplyTransposed(this.#gBefore, g, weight, n, UNITS, UNITS);
    addOuter(weight, -learningRate, this.layers[layer - 1]!.h, g, n, UNITS, UNITS);
    [this.#g, this.#gBefore] = [this.#gBefore, this.#g];
  }

  dispose(): void {
    for (const { norm } of this.layers) norm?.dispose();
  }
}

/** Mean of -log p of the correct digit; infinite if p underflows. */
export function crossEntropy(probabilities: Float32Array, { labels }: Dataset, rows: Uint32Array): number {
  return rows.reduce((sum, row, i) => sum - Math.log(probabilities[i * CLASSES + labels[row]!]!), 0) / rows.length;
}

/** x [rows, units] = images times weight: sums the weights [units] of the pixels that are 1, four at a time. */
function addPixels(x: Float32Array, weight: Float32Array, { on, starts }: Dataset, rows: Uint32Array): void {
  x.fill(0, 0, rows.length * UNITS);
  for (let i = 0; i < rows.length; i++) {
    const end = starts[rows[i]! + 1]!, to = i * UNITS;
    let at = starts[rows[i]!]!;
    for (; at + 3 < end; at += 4) {
      const w0 = on[at]! * UNITS, w1 = on[at + 1]! * UNITS, w2 = on[at + 2]! * UNITS, w3 = on[at + 3]! * UNITS;
      for (let unit = 0; unit < UNITS; unit++) {
        x[to + unit]! += weight[w0 + unit]! + weight[w1 + unit]! + weight[w2 + unit]! + weight[w3 + unit]!;
      }
    }
    for (; at < end; at++) {
      const from = on[at]! * UNITS;
      for (let unit = 0; unit < UNITS; unit++) x[to + unit]! += weight[from + unit]!;
    }
  }
}

/** weight += transposed(images) (factor * g); leaves g multiplied by factor. */
function addToPixels(weight: Float32Array, factor: number, g: Float32Array, { on, starts }: Dataset, rows: Uint32Array): void {
  for (let i = 0; i < g.length; i++) g[i]! *= factor;
  for (let i = 0; i < rows.length; i++) {
    const end = starts[rows[i]! + 1]!;
    for (let at = starts[rows[i]!]!; at < end; at++) {
      const to = on[at]! * UNITS, from = i * UNITS;
      for (let unit = 0; unit < UNITS; unit++) weight[to + unit]! += g[from + unit]!;
    }
  }
}

function addBias(y: Float32Array, x: Float32Array, bias: Float32Array, n: number): void {
  const units = bias.length;
  for (let i = 0; i < n * units; i += units) {
    for (let unit = 0; unit < units; unit++) y[i + unit] = x[i + unit]! + bias[unit]!;
  }
}

/** In place, on rows of 10. */
function softmax(logits: Float32Array, n: number): void {
  for (let row = 0; row < n; row++) {
    const values = logits.subarray(row * CLASSES, (row + 1) * CLASSES);
    const most = Math.max(...values);
    let sum = 0;
    for (let i = 0; i < CLASSES; i++) sum += values[i] = Math.exp(values[i]! - most);
    for (let i = 0; i < CLASSES; i++) values[i]! /= sum;
  }
}
