/** The two networks of a comparison, without and with batch norm, from the same start and on the same batches. */
import { random } from '../../test/random.js';
import { batches, CLASSES, type Dataset } from './data.js';
import { crossEntropy } from './loss.js';
import { initialWeights, Network, UNITS } from './network.js';
import type { Settings } from './settings.js';

export const PERCENTILES = [15, 50, 85] as const;
export const BINS = 64;
/** Histograms span inputs of the nonlinearity from minus this to plus this; values beyond are counted in the end bins. */
export const HISTOGRAM_RANGE = { sigmoid: 8, tanh: 4, relu: 4 } as const;
/** Number of test images that are shown with the networks' answers. */
export const EXAMPLES = 12;
/** The unit whose percentiles are shown: any is typical, so the first. */
const UNIT = 0;
const CHUNK = 100;

/** The performance of one network on the test images. */
export interface NetworkMeasurement {
  /** Fraction classified correctly. */
  readonly accuracy: number;
  /** Mean cross-entropy. */
  readonly loss: number;
  /** The step at which the training loss became NaN and the network stopped training, if it has. */
  readonly divergedAt: number | null;
  /** For each layer, a histogram [BINS] of its nonlinearity's inputs over all units, in fractions. */
  readonly histograms: readonly Float32Array[];
  /** For each layer, the size of the gradient at the inputs of its nonlinearity: `Network.gradientSizes` on the first images. */
  readonly gradients: readonly number[];
  /** The digits it reads in the first EXAMPLES test images. */
  readonly answers: readonly number[];
  /** For each layer, percentiles of one unit's inputs in the order of PERCENTILES. */
  readonly percentiles: readonly (readonly number[])[];
}

export interface Measurement {
  readonly step: number;
  readonly images: number;
  /** Without and with batch norm. */
  readonly networks: readonly [NetworkMeasurement, NetworkMeasurement];
}

export class Experiment {
  step = 0;
  readonly #settings: Settings;
  readonly #train: Dataset;
  readonly #test: Dataset;
  readonly #networks: readonly Network[];
  readonly #divergedAt: (number | null)[] = [null, null];
  readonly #batches: Generator<Uint32Array, never>;

  constructor({ train, test }: { train: Dataset; test: Dataset }, settings: Settings, seed: number) {
    const { depth, spread, activation, batchSize } = settings;
    const weights = initialWeights(depth, spread, seed);
    this.#networks = [false, true].map((norm) => new Network(weights, activation, norm, Math.max(batchSize, CHUNK)));
    this.#batches = batches(train.labels.length, batchSize, random(seed + 1));
    this.#settings = settings;
    this.#train = train;
    this.#test = test;
  }

  /** One step of each network that has not diverged. */
  train(): void {
    const rows = this.#batches.next().value;
    this.step++;
    this.#networks.forEach((network, i) => {
      if (this.#divergedAt[i] !== null) return;
      const loss = network.trainStep(this.#train, rows, this.#settings.learningRate);
      if (Number.isNaN(loss)) this.#divergedAt[i] = this.step;
    });
  }

  /** Whether both networks have diverged, so that nothing will change any more. */
  get dead(): boolean {
    return this.#divergedAt.every((step) => step !== null);
  }

  measure(): Measurement {
    const [without, withNorm] = this.#networks.map((network, i) => this.#measure(network, this.#divergedAt[i]!));
    return { step: this.step, images: this.step * this.#settings.batchSize, networks: [without!, withNorm!] };
  }

  #measure(network: Network, divergedAt: number | null): NetworkMeasurement {
    const { labels } = this.#test, count = labels.length, { layers } = network;
    const histograms = layers.map(() => new Float32Array(BINS));
    const unitInputs = layers.map(() => new Float32Array(count));
    const range = HISTOGRAM_RANGE[this.#settings.activation];
    const answers = new Uint8Array(count);
    let loss = 0;
    for (let start = 0; start < count; start += CHUNK) {
      const rows = Uint32Array.from({ length: Math.min(CHUNK, count - start) }, (_, i) => start + i);
      const probabilities = network.forward(this.#test, rows, false);
      loss += (crossEntropy(probabilities, this.#test, rows) * rows.length) / count;
      rows.forEach((row, i) => { answers[row] = likeliest(probabilities, i); });
      layers.forEach(({ y }, layer) => {
        countInto(histograms[layer]!, y, rows.length * UNITS, range, 1 / (count * UNITS));
        for (let i = 0; i < rows.length; i++) unitInputs[layer]![start + i] = y[i * UNITS + UNIT]!;
      });
    }
    const percentiles = unitInputs.map((inputs) => {
      inputs.sort();
      return PERCENTILES.map((p) => inputs[Math.round((p / 100) * (count - 1))]!);
    });
    // As in training, after everything that needs the outputs of an evaluation.
    const gradients = network.gradientSizes(this.#test, Uint32Array.from({ length: CHUNK }, (_, i) => i));
    const right = answers.reduce((sum, answer, i) => sum + (answer === labels[i] ? 1 : 0), 0);
    return { accuracy: right / count, loss, divergedAt, answers: [...answers.subarray(0, EXAMPLES)], gradients, histograms, percentiles };
  }

  dispose(): void {
    for (const network of this.#networks) network.dispose();
  }
}

function likeliest(probabilities: Float32Array, row: number): number {
  let best = 0;
  for (let digit = 1; digit < CLASSES; digit++) {
    if (probabilities[row * CLASSES + digit]! > probabilities[row * CLASSES + best]!) best = digit;
  }
  return best;
}

/** Adds `share` to the bin of each value; NaN has no bin. */
function countInto(bins: Float32Array, values: Float32Array, length: number, range: number, share: number): void {
  const scale = BINS / (2 * range);
  for (let i = 0; i < length; i++) {
    const bin = Math.floor((values[i]! + range) * scale);
    if (!Number.isNaN(bin)) bins[Math.min(Math.max(bin, 0), BINS - 1)]! += share;
  }
}
