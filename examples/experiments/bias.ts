/** A gradient that ignores the normalisation, section 2. */
import { BatchNorm } from 'batchnorm-wasm';
import { random, standardNormal } from '../../test/random.js';
import { CLASSES } from '../mnist/data.js';
import type { Network } from '../mnist/network.js';
import { type Conclusion, distinct, experiment, median, type Panel, type Row, type Table } from './experiment.js';
import { imagesOf, matrix, product } from './linear.js';
import { type Conditions, mnist, networkOf, PAPER_BATCH, trainSteps } from './training.js';

export interface BiasRow extends Row {
  /** A bias alone, or the network of section 4.1. */
  readonly part: 'bias' | 'network';
  /** Whether the gradient includes the normalisation. */
  readonly full: boolean;
  readonly step: number;
  /** For 'bias' the largest |b|; for 'network' the largest |mean| of a batch that any of its batch norms subtracts. */
  readonly largest: number;
  /** Cross-entropy of the batch; for 'network' the mean over the steps since the previous row. */
  readonly loss: number;
}

interface Settings {
  readonly biasSteps: number;
  readonly biasRate: number;
  readonly network: Conditions;
  /** Rows per run. */
  readonly points: number;
}

export const biasGrowth = experiment<Settings, BiasRow>({
  name: 'bias',
  title: 'A gradient that ignores the normalisation',
  claim: 'If the gradient step treats the mean as a constant, a bias before the normalisation grows indefinitely while the loss ' +
    'remains the same. If the normalisation also scales, the model blows up (section 2).',
  method: `First the thought experiment, in float64: ${CLASSES} logits BN(W u + b) of ${PAPER_BATCH} MNIST images, where gradient ` +
    'descent with rate 1 moves only b. Then the network of section 4.1, trained as a whole with rate 0.5. The full gradient is that ' +
    'of a backward in training; the other is that of a backward in eval with the statistics of the batch, which treats them as constants.',
  settings: (quick) => ({
    biasSteps: quick ? 20 : 1000, biasRate: 1, points: quick ? 4 : 20,
    network: {
      activation: 'sigmoid', layers: 3, learningRate: 0.5, stddev: 0.1, batchSize: PAPER_BATCH, steps: quick ? 8 : 2000,
    },
  }),
  ticks: ({ biasSteps, network }) => 2 * (biasSteps + network.steps),
  run: (settings, seed, tick) => [true, false].flatMap((full) => [
    ...moveBias(settings, full, seed, tick), ...trainNetwork(settings, full, seed, tick),
  ]),
  conclude,
  table,
  panels,
});

function moveBias({ biasSteps, biasRate, points }: Settings, full: boolean, seed: number, tick: () => void): BiasRow[] {
  const { train } = mnist(), next = standardNormal(random(seed)), start = seed * PAPER_BATCH, shape = [PAPER_BATCH, CLASSES];
  const images = imagesOf(train, start, PAPER_BATCH);
  const { values } = product(images, matrix(images.columns, CLASSES, () => 0.1 * next()));
  const labels = train.labels.subarray(start, start + PAPER_BATCH);
  const b = new Float64Array(CLASSES);
  // The running statistics are exactly those of the latest batch, so eval gives the same y.
  const bn = new BatchNorm(CLASSES, { dtype: 'float64', momentum: 1, runningVariance: 'biased' });
  const rows: BiasRow[] = [];
  for (let step = 0; ; step++) {
    const x = values.map((value, i) => value + b[i % CLASSES]!);
    const y = bn.train().forward(x, shape);
    if (!full) bn.eval().forward(x, shape);
    const { loss, dy } = crossEntropy(y, labels);
    if (step % (biasSteps / points) === 0) {
      rows.push({ seed, part: 'bias', full, step, largest: Math.max(...b.map(Math.abs)), loss });
    }
    if (step === biasSteps) return rows;
    const { dx } = bn.backward(dy);
    dx.forEach((value, i) => { b[i % CLASSES]! -= biasRate * value; });
    tick();
  }
}

/** Mean over the images, and its gradient with respect to the logits [N, 10]. */
function crossEntropy(logits: Float64Array, labels: Uint8Array): { loss: number; dy: Float64Array } {
  const dy = new Float64Array(logits.length);
  let loss = 0;
  labels.forEach((label, i) => {
    const row = logits.subarray(i * CLASSES, (i + 1) * CLASSES), most = Math.max(...row);
    const total = row.reduce((sum, value) => sum + Math.exp(value - most), 0);
    loss -= (row[label]! - most - Math.log(total)) / labels.length;
    row.forEach((value, c) => {
      dy[i * CLASSES + c] = (Math.exp(value - most) / total - (c === label ? 1 : 0)) / labels.length;
    });
  });
  return { loss, dy };
}

function trainNetwork({ network: conditions, points }: Settings, full: boolean, seed: number, tick: () => void): BiasRow[] {
  const network = networkOf(conditions, full ? 'batch' : 'detached', seed), rows: BiasRow[] = [];
  let losses: number[] = [];
  trainSteps(network, conditions, seed, (step, loss) => {
    losses.push(loss);
    if (step === 1 || step % (conditions.steps / points) === 0) {
      const average = losses.reduce((total, value) => total + value, 0) / losses.length;
      rows.push({ seed, part: 'network', full, step, largest: largestMean(network), loss: average });
      losses = [];
    }
    tick();
  });
  network.dispose();
  return rows;
}

function largestMean({ norms }: Network): number {
  return Math.max(...norms.flatMap((bn) => Array.from(bn.context!.mean, Math.abs)));
}

const nameOf = (full: boolean) => (full ? 'full gradient' : 'statistics as constants');

interface Course {
  readonly first: BiasRow;
  readonly last: BiasRow;
}

/** The first and last row of each seed. */
function coursesOf(rows: readonly BiasRow[], part: BiasRow['part'], full: boolean): Course[] {
  return distinct(rows.map(({ seed }) => seed)).flatMap((seed) => {
    const own = rows.filter((row) => row.seed === seed && row.part === part && row.full === full);
    return own.length > 0 ? [{ first: own[0]!, last: own.at(-1)! }] : [];
  });
}

export function conclude(rows: readonly BiasRow[]): Conclusion {
  const bias = { full: coursesOf(rows, 'bias', true), constants: coursesOf(rows, 'bias', false) };
  const network = { full: coursesOf(rows, 'network', true), constants: coursesOf(rows, 'network', false) };
  const lossChange = Math.max(...bias.constants.map(({ first, last }) => Math.abs(last.loss / first.loss - 1)));
  const fullBias = Math.max(...bias.full.map(({ last }) => last.largest));
  const linear = Math.max(...bias.constants.map(({ last }) => linearity(rows, last)));
  const grows = Math.min(...bias.constants.map(({ last }) => last.largest)) > 1e6 * fullBias && linear < 1e-6;
  const of = (courses: readonly Course[], value: (course: Course) => number) => median(courses.map(value));
  const means = (courses: readonly Course[]) =>
    `${of(courses, ({ first }) => first.largest).toFixed(1)} to ${of(courses, ({ last }) => last.largest).toFixed(1)}`;
  const loss = (courses: readonly Course[]) => of(courses, ({ last }) => last.loss).toFixed(3);
  const steps = network.constants[0]!.last.step;
  const blownUp = network.constants.filter(({ first, last }) => last.step < network.full[0]!.last.step || last.loss > first.loss);
  return {
    shows: grows && lossChange < 1e-6,
    text: `A bias alone: after ${bias.constants[0]!.last.step} steps, |b| is ${of(bias.constants, ({ last }) => last.largest).toFixed(2)} ` +
      `(the same step each time, up to ${linear.toExponential(0)}), while the loss has changed by ${lossChange.toExponential(0)}; with the ` +
      `full gradient, |b| stays at ${fullBias.toExponential(0)}. In the network, the largest mean before a batch norm goes from ` +
      `${means(network.constants)} in ${steps} steps, with the full gradient from ${means(network.full)}; the training loss ends at ` +
      `${loss(network.constants)} against ${loss(network.full)}. ` +
      (blownUp.length === 0 ? 'The network does not blow up in that time: that part of the claim is not shown.' :
        `The network blows up with ${blownUp.length} of ${network.constants.length} seeds.`),
  };
}

/** The largest distance of a row from the straight line that ends at the last row. */
function linearity(rows: readonly BiasRow[], last: BiasRow): number {
  const own = rows.filter(({ seed, part, full }) => seed === last.seed && part === 'bias' && full === last.full);
  return Math.max(...own.map(({ step, largest }) => Math.abs(largest - (last.largest * step) / last.step))) / last.largest;
}

function medianAt(rows: readonly BiasRow[], part: BiasRow['part'], full: boolean, step: number, field: 'largest' | 'loss'): number {
  return median(rows.filter((row) => row.part === part && row.full === full && row.step === step).map((row) => row[field]));
}

function stepsOf(rows: readonly BiasRow[], part: BiasRow['part'], full: boolean): number[] {
  return distinct(rows.filter((row) => row.part === part && row.full === full).map(({ step }) => step));
}

function table(rows: readonly BiasRow[]): Table {
  return [
    ['', 'step', ...[true, false].flatMap((full) => [`${nameOf(full)}: largest`, 'loss'])],
    ...(['bias', 'network'] as const).flatMap((part) => {
      const steps = stepsOf(rows, part, true);
      return distinct([0, 0.25, 0.5, 1].map((at) => steps[Math.round(at * (steps.length - 1))]!)).map((step) => [
        part === 'bias' ? '&#124;b&#124; alone' : '&#124;mean&#124; in the network', String(step),
        ...[true, false].flatMap((full) => {
          if (!stepsOf(rows, part, full).includes(step)) return ['diverged', 'diverged'];
          const largest = medianAt(rows, part, full, step, 'largest');
          return [largest > 0 && largest < 0.01 ? largest.toExponential(0) : largest.toFixed(2), medianAt(rows, part, full, step, 'loss').toFixed(3)];
        }),
      ]);
    }),
  ];
}

function panels(rows: readonly BiasRow[]): readonly Panel[] {
  const panel = (title: string, part: BiasRow['part'], field: 'largest' | 'loss', name: string): Panel => ({
    title,
    x: { name: 'step', min: 0 },
    y: { name, min: 0 },
    series: [false, true].map((full) => ({
      name: nameOf(full),
      line: stepsOf(rows, part, full).map((step) => [step, medianAt(rows, part, full, step, field)] as const),
      dots: rows.filter((row) => row.part === part && row.full === full).map((row) => [row.step, row[field]] as const),
    })),
  });
  return [
    panel('a bias alone', 'bias', 'largest', 'largest |b|'),
    panel('the network', 'network', 'largest', 'largest |mean| before a batch norm'),
    panel('the network', 'network', 'loss', 'training loss'),
  ];
}
