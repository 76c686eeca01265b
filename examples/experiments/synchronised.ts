/** What synchronising the statistics of small batches does. */
import * as tf from '@tensorflow/tfjs-core';
import { type BatchNorm, backwardGhost, backwardParts, type Floats, forwardGhost, forwardParts } from 'batchnorm-wasm';
import { batchNorm } from '../mnist/batchnorm-op.js';
import type { Activation } from '../mnist/network.js';
import { type Conclusion, distinct, experiment, median, type Panel, percent, percentRange, type Row, type Table } from './experiment.js';
import { LABELS } from './sweep.js';
import { type Conditions, FULL, networkOf, outcomeOf, QUICK, type Scale } from './training.js';

export interface SynchronisedRow extends Row {
  readonly net: string;
  /** Images of each rank. */
  readonly at: number;
  readonly synchronised: boolean;
  readonly accuracy: number;
}

interface Settings extends Scale {
  readonly steps: number;
  readonly sizes: readonly number[];
}

const RANKS = 8;
const RATES = { sigmoid: 1, relu: 0.1 };
const ACTIVATIONS: readonly Activation[] = ['sigmoid', 'relu'];
const nameOf = (synchronised: boolean) => (synchronised ? 'synchronised' : 'each rank by itself');

export const synchronisedBatches = experiment<Settings, SynchronisedRow>({
  name: 'synchronised',
  title: 'Small batches on many ranks',
  claim: 'Statistics of few images are noisy (see the batch size). The paper trains on several machines (section 4.2) and does not ' +
    'say whether they share statistics. Expected: ranks with small batches train better if they do.',
  method: `The networks, rates and steps of the batch-size experiment, on ${RANKS} ranks with 2, 4 or 8 images each. The gradient is that ` +
    'of all images in both cases; only the statistics are those of each rank\'s images (`forwardGhost`) or of all ' +
    '(`forwardParts`, the same bits as `syncForward`). The test always uses the statistics of Alg. 2 over batches of 60.',
  settings: (quick) => ({ ...(quick ? QUICK : FULL), steps: quick ? 6 : 400, sizes: quick ? [2, 4] : [2, 4, 8] }),
  ticks: ({ steps, sizes }) => 2 * ACTIVATIONS.length * sizes.length * steps,
  run: (settings, seed, tick) => ACTIVATIONS.flatMap((activation) => settings.sizes.flatMap((at) => [false, true].map((synchronised) => {
    const conditions: Conditions = { activation, layers: 3, learningRate: RATES[activation], stddev: 0.1, batchSize: RANKS * at, steps: settings.steps };
    const { accuracy } = outcomeOf(networkOf(conditions, 'batch', seed, overRanks(at, synchronised)), conditions, seed, settings, tick);
    return { seed, net: LABELS[activation], at, synchronised, accuracy };
  }))),
  conclude,
  table,
  panels,
});

/** Batch norm over ranks of `size` images each, in one process; batches of another size (those of Alg. 2, the test) are one rank's. */
function overRanks(size: number, synchronised: boolean): typeof batchNorm {
  return (bn, x, gamma, beta) => {
    if (!bn.training || x.shape[0] !== RANKS * size) return batchNorm(bn, x, gamma, beta);
    return tf.customGrad((...inputs) => {
      const [x, gamma, beta] = inputs as [tf.Tensor2D, tf.Tensor, tf.Tensor];
      bn.weight!.set(gamma.dataSync());
      bn.bias!.set(beta.dataSync());
      const { y, backward } = (synchronised ? together : apart)(bn, x.dataSync<'float32'>(), x.shape, size);
      const gradFunc = (dy: tf.Tensor) => {
        const { dx, dweight, dbias } = backward(dy.dataSync<'float32'>());
        return [tf.tensor2d(dx, x.shape), tf.tensor1d(dweight as Float32Array), tf.tensor1d(dbias as Float32Array)];
      };
      return { value: tf.tensor2d(y, x.shape), gradFunc };
    })(x, gamma, beta) as tf.Tensor2D;
  };
}

interface Pass {
  readonly y: Float32Array;
  backward(dy: Float32Array): { dx: Float32Array; dweight: Floats | null; dbias: Floats | null };
}

function apart(bn: BatchNorm, x: Float32Array, shape: readonly number[], size: number): Pass {
  const { y, contexts } = forwardGhost(bn, x, shape, size);
  return { y: y as Float32Array, backward: (dy) => backwardGhost(bn, dy, contexts) as ReturnType<Pass['backward']> };
}

function together(bn: BatchNorm, x: Float32Array, [, channels = 0]: readonly number[], size: number): Pass {
  const slices = (values: Float32Array) => Array.from({ length: RANKS }, (_, rank) => values.subarray(rank * size * channels, (rank + 1) * size * channels));
  const joined = (parts: readonly Floats[]) => Float32Array.from(parts.flatMap((part) => Array.from(part)));
  const { y, contexts } = forwardParts(bn, slices(x).map((x) => ({ x, shape: [size, channels] })));
  return {
    y: joined(y),
    backward(dy) {
      const { dx, dweight, dbias } = backwardParts(bn, slices(dy), contexts);
      return { dx: joined(dx), dweight, dbias };
    },
  };
}

function accuraciesOf(rows: readonly SynchronisedRow[], net: string, at: number, synchronised: boolean): number[] {
  return rows.filter((row) => row.net === net && row.at === at && row.synchronised === synchronised).map(({ accuracy }) => accuracy);
}

const netsOf = (rows: readonly SynchronisedRow[]) => distinct(rows.map(({ net }) => net));
const sizesOf = (rows: readonly SynchronisedRow[]) => distinct(rows.map(({ at }) => at)).sort((a, b) => a - b);

export function conclude(rows: readonly SynchronisedRow[]): Conclusion {
  const nets = netsOf(rows).map((net) => ({
    net, gains: sizesOf(rows).map((at) => median(accuraciesOf(rows, net, at, true)) - median(accuraciesOf(rows, net, at, false))),
  }));
  const text = nets.map(({ net, gains }) => `${net}: synchronising changes the accuracy by ` +
    gains.map((gain, i) => `${gain < 0 ? '' : '+'}${percent(gain)} points with ${sizesOf(rows)[i]} images a rank`).join(', '));
  return { shows: nets.every(({ gains }) => gains.every((gain) => gain > 0)), text: `${text.join('; ')}.` };
}

function table(rows: readonly SynchronisedRow[]): Table {
  const columns = netsOf(rows).flatMap((net) => [false, true].map((synchronised) => ({ net, synchronised })));
  return [
    ['images of a rank', ...columns.map(({ net, synchronised }) => `${net}, ${nameOf(synchronised)}`)],
    ...sizesOf(rows).map((at) => [String(at), ...columns.map(({ net, synchronised }) => percentRange(accuraciesOf(rows, net, at, synchronised)))]),
  ];
}

function panels(rows: readonly SynchronisedRow[]): readonly Panel[] {
  return netsOf(rows).map((net) => ({
    title: net,
    x: { name: `images of each of ${RANKS} ranks`, log: true },
    y: { name: 'test accuracy', min: 0, max: 1 },
    series: [false, true].map((synchronised) => ({
      name: nameOf(synchronised),
      line: sizesOf(rows).map((at) => [at, median(accuraciesOf(rows, net, at, synchronised))] as const),
      dots: rows.filter((row) => row.net === net && row.synchronised === synchronised).map(({ at, accuracy }) => [at, accuracy] as const),
    })),
  }));
}
