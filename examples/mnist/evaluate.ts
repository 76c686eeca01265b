/** Measures what Figure 1 shows of a network at one step. */
import * as tf from '@tensorflow/tfjs-core';
import type { Batch } from './data.js';
import type { Network } from './network.js';

/** The unit of the last hidden layer whose sigmoid is shown: any is typical, so the first. */
const UNIT = 0;
export const PERCENTILES = [15, 50, 85];

/** Measured over the whole test set; with batch norm, using the statistics of Alg. 2. */
export interface Measurement {
  readonly step: number;
  /** Fraction of the test images classified correctly. */
  readonly accuracy: number;
  /** Of the input of one sigmoid of the last hidden layer, in the order of PERCENTILES. */
  readonly percentiles: readonly number[];
}

/** @param statistics - training batches from which Alg. 2 computes mean and variance */
export function evaluate(network: Network, step: number, test: Batch, statistics: readonly Batch[]): Measurement {
  estimatePopulation(network, statistics);
  for (const bn of network.norms) bn.eval();
  const measurement = tf.tidy(() => {
    const { inputs, logits } = network.forward(test.x);
    const ofUnit = tf.gather(inputs.at(-1)!, [UNIT], 1).dataSync<'float32'>().sort();
    const percentiles = PERCENTILES.map((p) => percentile(ofUnit, p));
    return { step, accuracy: accuracyOf(logits, test.labels), percentiles };
  });
  for (const bn of network.norms) bn.train();
  return measurement;
}

/** Fraction of the images whose largest logit is that of their digit. */
export function accuracyOf(logits: tf.Tensor2D, labels: Uint8Array): number {
  const largest = tf.argMax(logits, 1);
  const predicted = largest.dataSync();
  largest.dispose();
  return labels.reduce((count, label, i) => (predicted[i] === label ? count + 1 : count), 0) / labels.length;
}

/**
 * Alg. 2, lines 8 to 10: with frozen parameters, the running statistics become the mean of the batch means and the mean of
 * the unbiased batch variances. Statistics from training steps are discarded.
 */
export function estimatePopulation(network: Network, statistics: readonly Batch[]): void {
  if (network.norms.length === 0) return;
  for (const bn of network.norms) bn.resetRunningStats();
  for (const { x } of statistics) {
    tf.tidy(() => {
      network.forward(x);
    });
  }
}

/** Percentile of ascending values, interpolated linearly between the two nearest ranks. */
function percentile(sorted: Float32Array, p: number): number {
  const rank = (p / 100) * (sorted.length - 1);
  const low = Math.floor(rank);
  const high = Math.ceil(rank);
  return sorted[low]! + (rank - low) * (sorted[high]! - sorted[low]!);
}
