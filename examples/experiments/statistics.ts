/** Moving averages against the statistics of Alg. 2. */
import * as tf from '@tensorflow/tfjs-core';
import { BatchNorm, recalibrate } from 'batchnorm-wasm';
import type { Batch } from '../mnist/data.js';
import { accuracyOf } from '../mnist/evaluate.js';
import type { Network } from '../mnist/network.js';
import { type Conclusion, distinct, experiment, median, type Panel, percent, percentRange, type Row, type Table } from './experiment.js';
import {
  type Conditions, FULL, networkOf, PAPER_BATCH, QUICK, type Scale, statisticsBatches, testBatch, trainSteps, UNITS,
} from './training.js';

export interface StatisticsRow extends Row {
  readonly step: number;
  readonly statistics: string;
  /** Of the test images. */
  readonly accuracy: number;
  readonly loss: number;
}

interface Settings extends Scale {
  readonly conditions: Conditions;
  /** Steps after which the statistics are compared. */
  readonly steps: readonly number[];
}

/** Weights of the new batch; null is the plain average since the first step. */
const MOMENTA = [0.1, 0.01, 0.001, null];
const ALGORITHM = 'Alg. 2';
const POPULATION = 'population';
const nameOf = (momentum: number | null) => (momentum === null ? 'cumulative average' : `momentum ${momentum}`);
/** Accuracies that differ by at most this much count as equal. */
const CLOSE = 0.01;

export const runningStatistics = experiment<Settings, StatisticsRow>({
  name: 'statistics',
  title: 'Moving averages against Alg. 2',
  claim: 'Inference uses the mean and variance of training batches with frozen parameters (Alg. 2); moving averages track the ' +
    'accuracy of a model as it trains (section 3.1).',
  method: `The network of section 4.1 with learning rate 1, trained once per seed on batches of ${PAPER_BATCH}. At every step, the ` +
    'same batch statistics enter moving averages with several momenta. The statistics of Alg. 2 and of the population are computed ' +
    `from ${FULL.statisticsBatches} training batches by \`recalibrate\`.`,
  settings: (quick) => {
    const steps = quick ? [2, 6] : [20, 50, 100, 200, 500, 1000, 2000];
    return {
      ...(quick ? QUICK : FULL), steps,
      conditions: {
        activation: 'sigmoid', layers: 3, learningRate: 1, stddev: 0.1, batchSize: PAPER_BATCH, steps: steps.at(-1)!,
      },
    };
  },
  ticks: ({ conditions }) => conditions.steps,
  run(settings, seed, tick) {
    const network = networkOf(settings.conditions, 'batch', seed), rows: StatisticsRow[] = [];
    const trackers = MOMENTA.map((momentum) => network.norms.map(() => new BatchNorm(UNITS, { momentum })));
    const test = testBatch(settings.testImages), statistics = statisticsBatches(settings.statisticsBatches, seed);
    trainSteps(network, settings.conditions, seed, (step) => {
      for (const norms of trackers) norms.forEach((tracker, i) => { track(tracker, network.norms[i]!); });
      if (settings.steps.includes(step)) {
        const compare = (name: string) => { rows.push({ seed, step, statistics: name, ...evaluate(network, test) }); };
        trackers.forEach((norms, k) => {
          norms.forEach((tracker, i) => { copyStatistics(tracker, network.norms[i]!); });
          compare(nameOf(MOMENTA[k]!));
        });
        for (const estimator of ['paper', 'population'] as const) {
          recalibrateNetwork(network, statistics, estimator);
          compare(estimator === 'paper' ? ALGORITHM : POPULATION);
        }
      }
      tick();
    });
    network.dispose();
    tf.dispose([test.x, ...statistics.map(({ x }) => x)]);
    return rows;
  },
  conclude,
  table,
  panels,
});

/** Updates the running statistics of `tracker` with the latest batch of another module. The tracker has no values of it. */
function track(tracker: BatchNorm, { context }: BatchNorm): void {
  const { mean, variance, count } = context!;
  tracker.forwardWith({ mean, m2: variance.map((value) => value * count), count }, new Float32Array(0), [0, UNITS]);
}

function copyStatistics(from: BatchNorm, to: BatchNorm): void {
  to.runningMean!.set(from.runningMean!);
  to.runningVar!.set(from.runningVar!);
}

/** Alg. 2: what enters each batch norm while the network normalises by batch, with the parameters as they are. */
function recalibrateNetwork(network: Network, statistics: readonly Batch[], estimator: 'paper' | 'population'): void {
  const products = statistics.map(({ x }) => {
    const tensors = tf.tidy(() => network.forward(x).products);
    const values = tensors.map((tensor) => tensor.dataSync<'float32'>());
    tf.dispose(tensors);
    return values;
  });
  network.norms.forEach((bn, layer) => {
    recalibrate(bn, products.map((of) => ({ x: of[layer]!, shape: [of[layer]!.length / UNITS, UNITS] })), { estimator });
  });
}

function evaluate(network: Network, { x, labels }: Batch): { accuracy: number; loss: number } {
  for (const bn of network.norms) bn.eval();
  const outcome = tf.tidy(() => {
    const { logits } = network.forward(x);
    const target = tf.oneHot(tf.tensor1d(labels, 'int32'), logits.shape[1]);
    return { accuracy: accuracyOf(logits, labels), loss: tf.losses.softmaxCrossEntropy(target, logits).dataSync()[0]! };
  });
  for (const bn of network.norms) bn.train();
  return outcome;
}

export function conclude(rows: readonly StatisticsRow[]): Conclusion {
  const steps = distinct(rows.map(({ step }) => step)), last = steps.at(-1)!;
  const at = (step: number, statistics: string) =>
    rows.filter((row) => row.step === step && row.statistics === statistics).sort((a, b) => a.seed - b.seed);
  const averages = distinct(rows.map(({ statistics }) => statistics)).filter((name) => name !== ALGORITHM && name !== POPULATION);
  /** The largest difference to Alg. 2 over the seeds. */
  const gap = (step: number, name: string) =>
    Math.max(...at(step, name).map(({ accuracy }, i) => Math.abs(accuracy - at(step, ALGORITHM)[i]!.accuracy)));
  const since = averages.map((name) => {
    const close = [...steps].reverse().findIndex((step) => gap(step, name) > CLOSE);
    const from = close === -1 ? steps[0] : steps[steps.length - close];
    return `${name} ${from === undefined ? 'never' : `from step ${from} on`}`;
  });
  const ends = [ALGORITHM, ...averages].map((name) => `${name} ${percent(median(at(last, name).map(({ accuracy }) => accuracy)))}`);
  return {
    shows: averages.some((name) => gap(last, name) <= CLOSE),
    text: `Test accuracy after ${last} steps in per cent: ${ends.join(', ')}. Within ${100 * CLOSE} point of Alg. 2 with every seed: ` +
      `${since.join(', ')}. Population statistics change the accuracy of Alg. 2 by at most ${percent(gap(last, POPULATION))} points.`,
  };
}

function namesOf(rows: readonly StatisticsRow[]): string[] {
  return distinct(rows.map(({ statistics }) => statistics));
}

function table(rows: readonly StatisticsRow[]): Table {
  const names = namesOf(rows);
  return [
    ['step', ...names],
    ...distinct(rows.map(({ step }) => step)).map((step) => [
      String(step),
      ...names.map((name) => {
        const own = rows.filter((row) => row.step === step && row.statistics === name);
        return `${percentRange(own.map(({ accuracy }) => accuracy))}; loss ${median(own.map(({ loss }) => loss)).toFixed(3)}`;
      }),
    ]),
  ];
}

function panels(rows: readonly StatisticsRow[]): readonly Panel[] {
  const steps = distinct(rows.map(({ step }) => step));
  const panel = (field: 'accuracy' | 'loss', name: string, range: { min: number; max?: number }): Panel => ({
    title: name,
    x: { name: 'step', log: true },
    y: { name, ...range },
    series: namesOf(rows).filter((statistics) => statistics !== POPULATION).map((statistics) => {
      const own = rows.filter((row) => row.statistics === statistics);
      return {
        name: statistics,
        line: steps.map((step) => [step, median(own.filter((row) => row.step === step).map((row) => row[field]))] as const),
        dots: own.map((row) => [row.step, row[field]] as const),
      };
    }),
  });
  return [panel('accuracy', 'test accuracy', { min: 0, max: 1 }), panel('loss', 'test loss', { min: 0, max: 3 })];
}
