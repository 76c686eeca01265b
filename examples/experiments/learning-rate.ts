/** The largest learning rate that still trains. */
import { type Conclusion, distinct } from './experiment.js';
import { LABELS, type SweepRow, sweep, TRAINED, trainedAt } from './sweep.js';
import { PAPER_BATCH } from './training.js';

const RATES = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];

export const learningRate = sweep({
  name: 'learning-rate',
  title: 'The largest learning rate that still trains',
  claim: 'Batch normalization enables higher learning rates (section 3.3). With a rate five times as high, plain Inception ' +
    'went to machine infinity; with batch norm it trained at a rate 30 times as high (section 4.2.1).',
  method: `Networks of 3 x 100 hidden units, Gaussian weights with standard deviation 0.1, 400 steps of plain SGD on batches of ` +
    `${PAPER_BATCH} images. A network trains if every seed reaches ${100 * TRAINED} % test accuracy.`,
  axis: { name: 'learning rate', log: true },
  cases: (quick) => (['sigmoid', 'relu'] as const).flatMap((activation) =>
    (quick ? [0.1, 1000] : RATES).map((at) => ({
      net: LABELS[activation], at,
      conditions: { activation, layers: 3, learningRate: at, stddev: 0.1, batchSize: PAPER_BATCH, steps: quick ? 6 : 400 },
    }))),
  conclude,
});

export function conclude(rows: readonly SweepRow[]): Conclusion {
  const nets = distinct(rows.map(({ net }) => net)).map((net) => ({
    net, without: trainedAt(rows, net, false).at(-1) ?? 0, withNorm: trainedAt(rows, net, true).at(-1) ?? 0,
  }));
  const largest = Math.max(...rows.map(({ at }) => at));
  const text = nets.map(({ net, without, withNorm }) => {
    const more = withNorm === largest ? ' (the largest tried)' : '';
    const ratio = without > 0 && withNorm > 0 ? ` (${Number((withNorm / without).toPrecision(2))} times)` : '';
    const upTo = (rate: number) => (rate === 0 ? 'none' : `up to ${rate}`);
    return `${net}: ${upTo(without)} without batch norm, ${upTo(withNorm)}${more} with it${ratio}`;
  });
  return { shows: nets.every(({ without, withNorm }) => withNorm > without), text: `${text.join('; ')}.` };
}
