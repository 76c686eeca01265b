/** Trains the network with and without batch norm, from the same weights and step by step on the same batches. */
import { type Batch, batches, readDataset, take, wholeBatch } from './data.js';
import { evaluate, type Measurement } from './evaluate.js';
import { initialWeights, Network } from './network.js';
import type { Progress } from './progress.js';

export const BATCH_SIZE = 60;
export const STDDEV = 0.1;
export const STATISTICS_BATCHES = 200;
const EVALUATIONS = 40;

export interface Settings {
  readonly steps: number;
  readonly lr: number;
  readonly seed: number;
}

/** The results of one of the networks. */
export interface Run {
  readonly name: string;
  /** Before the first step, after the last, and evenly spaced in between. */
  readonly measurements: Measurement[];
  /** Cross-entropy of the latest training batch. */
  loss: number;
  /** Milliseconds in training steps, without evaluations. */
  trainingTime: number;
}

/** The runs without and with batch norm. */
export function runExperiment({ steps, lr, seed }: Settings, progress: Progress): readonly [Run, Run] {
  const train = readDataset('train');
  const test = wholeBatch(readDataset('t10k'));
  const statistics = take(batches(train, BATCH_SIZE, `${seed} statistics`), STATISTICS_BATCHES);
  const weights = initialWeights(STDDEV, seed);
  const without = { network: new Network(weights, { norm: 'none', learningRate: lr }), run: newRun('without batch norm') };
  const withNorm = { network: new Network(weights, { norm: 'batch', learningRate: lr }), run: newRun('with batch norm') };
  const both = [without, withNorm];
  const runs = [without.run, withNorm.run] as const;
  const evaluateBoth = (step: number) => {
    for (const { network, run } of both) run.measurements.push(evaluate(network, step, test, statistics));
  };

  const dueAt = new Set(Array.from({ length: EVALUATIONS }, (_, i) => Math.ceil(((i + 1) * steps) / EVALUATIONS)));
  const source = batches(train, BATCH_SIZE, `${seed} training`);
  evaluateBoth(0);
  progress.start();
  for (let step = 1; step <= steps; step++) {
    const batch = source.next().value;
    for (const { network, run } of both) trainStep(network, run, batch, step);
    batch.x.dispose();
    if (dueAt.has(step)) evaluateBoth(step);
    progress.update(step, runs);
  }
  return runs;
}

/** @throws {Error} if the loss is not finite. */
function trainStep(network: Network, run: Run, batch: Batch, step: number): void {
  const start = performance.now();
  run.loss = network.trainStep(batch);
  run.trainingTime += performance.now() - start;
  if (!Number.isFinite(run.loss)) {
    throw new Error(`The loss ${run.name} is ${run.loss} at step ${step}: try a smaller --lr`);
  }
}

function newRun(name: string): Run {
  return { name, measurements: [], loss: Number.NaN, trainingTime: 0 };
}
