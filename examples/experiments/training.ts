/** Trains one network and measures its accuracy. Most experiments repeat this under other conditions. */
import * as tf from '@tensorflow/tfjs-core';
import type { batchNorm } from '../mnist/batchnorm-op.js';
import { type Batch, batches, type Dataset, PIXELS, readDataset, take, wholeBatch } from '../mnist/data.js';
import { accuracyOf, estimatePopulation } from '../mnist/evaluate.js';
import { type Activation, initialWeights, Network, type Normalisation } from '../mnist/network.js';

export interface Conditions {
  readonly activation: Activation;
  /** Hidden layers, of 100 units each. */
  readonly layers: number;
  readonly learningRate: number;
  /** Standard deviation of the initial weights, which are Gaussian. */
  readonly stddev: number;
  readonly batchSize: number;
  readonly steps: number;
}

/** Settings that all runs of an experiment share. */
export interface Scale {
  readonly testImages: number;
  /** Training batches of 60 for the statistics of Alg. 2. */
  readonly statisticsBatches: number;
}

export const FULL: Scale = { testImages: 10_000, statisticsBatches: 50 };
export const QUICK: Scale = { testImages: 200, statisticsBatches: 2 };
export const UNITS = 100;
export const PAPER_BATCH = 60;

export interface Outcome {
  /** Fraction of the test images classified correctly, with the statistics of Alg. 2; 0 if the loss was no longer finite. */
  readonly accuracy: number;
  readonly finite: boolean;
}

let datasets: { readonly train: Dataset; readonly test: Dataset } | undefined;

/** MNIST, read once. */
export function mnist(): { readonly train: Dataset; readonly test: Dataset } {
  datasets ??= { train: readDataset('train'), test: readDataset('t10k') };
  return datasets;
}

export function testBatch(count: number): Batch {
  const { images, labels } = mnist().test;
  return wholeBatch({ images: images.subarray(0, count * PIXELS), labels: labels.subarray(0, count) });
}

/** A network with the initial weights of the seed, which are the same with and without batch norm. `operation`: as `NetworkOptions`. */
export function networkOf(
  { activation, layers, learningRate, stddev }: Conditions, norm: Normalisation, seed: number, operation?: typeof batchNorm,
): Network {
  const weights = initialWeights(stddev, seed, new Array<number>(layers).fill(UNITS));
  const network = new Network(weights, { norm, learningRate, activation, ...(operation && { operation }) });
  tf.dispose(weights);
  return network;
}

/**
 * Trains until the end or until the loss is not finite. The batches are the same with and without batch norm.
 *
 * @param visit - called after each step, counted from 1
 */
export function trainSteps(
  network: Network, { batchSize, steps }: Conditions, seed: number, visit: (step: number, loss: number) => void,
): { readonly finite: boolean } {
  const source = batches(mnist().train, batchSize, `${seed} training`);
  for (let step = 1; step <= steps; step++) {
    const batch = source.next().value;
    const loss = network.trainStep(batch);
    batch.x.dispose();
    if (!Number.isFinite(loss)) return { finite: false };
    visit(step, loss);
  }
  return { finite: true };
}

/** Training batches for Alg. 2, the same for all runs of a seed. The caller disposes of them. */
export function statisticsBatches(count: number, seed: number): Batch[] {
  return take(batches(mnist().train, PAPER_BATCH, `${seed} statistics`), count);
}

/** One run from start to end. Calls `tick` once per step, including the steps that a diverged run skips. */
export function train(conditions: Conditions, norm: Normalisation, seed: number, scale: Scale, tick: () => void): Outcome {
  return outcomeOf(networkOf(conditions, norm, seed), conditions, seed, scale, tick);
}

/** Trains a network as `train` does, and disposes of it. */
export function outcomeOf(network: Network, conditions: Conditions, seed: number, scale: Scale, tick: () => void): Outcome {
  let done = 0;
  const { finite } = trainSteps(network, conditions, seed, () => {
    done++;
    tick();
  });
  for (; done < conditions.steps; done++) tick();
  const accuracy = finite ? testAccuracy(network, seed, scale) : 0;
  network.dispose();
  return { accuracy, finite };
}

/** With the statistics of Alg. 2. */
function testAccuracy(network: Network, seed: number, scale: Scale): number {
  const test = testBatch(scale.testImages), statistics = statisticsBatches(scale.statisticsBatches, seed);
  estimatePopulation(network, statistics);
  for (const bn of network.norms) bn.eval();
  const accuracy = tf.tidy(() => accuracyOf(network.forward(test.x).logits, test.labels));
  tf.dispose([test.x, ...statistics.map(({ x }) => x)]);
  return accuracy;
}
