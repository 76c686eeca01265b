/** The spread of the initial weights that still trains. */
import { type Conclusion, distinct } from './experiment.js';
import { LABELS, type SweepRow, sweep, TRAINED, trainedAt } from './sweep.js';
import { PAPER_BATCH } from './training.js';

const SPREADS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];
/** Rates at which networks with and without batch norm train from a spread of 0.1; see the experiment on learning rates. */
const RATES = { sigmoid: 1, relu: 0.1 };

export const initialSpread = sweep({
  name: 'initial-spread',
  title: 'The spread of the initial weights that still trains',
  claim: 'Batch normalization lets us be less careful about initialization (abstract).',
  method: `Networks of 3 x 100 hidden units, all weights Gaussian, 400 steps of plain SGD on batches of ${PAPER_BATCH} images, learning ` +
    `rate ${RATES.sigmoid} for sigmoid and ${RATES.relu} for ReLU. A network trains if every seed reaches ${100 * TRAINED} % test accuracy.`,
  axis: { name: 'standard deviation of the initial weights', log: true },
  cases: (quick) => (['sigmoid', 'relu'] as const).flatMap((activation) =>
    (quick ? [0.1, 100] : SPREADS).map((at) => ({
      net: LABELS[activation], at,
      conditions: {
        activation, layers: 3, learningRate: RATES[activation], stddev: at, batchSize: PAPER_BATCH, steps: quick ? 6 : 400,
      },
    }))),
  conclude,
});

export function conclude(rows: readonly SweepRow[]): Conclusion {
  const nets = distinct(rows.map(({ net }) => net)).map((net) => ({
    net, without: trainedAt(rows, net, false), withNorm: trainedAt(rows, net, true),
  }));
  const tried = distinct(rows.map(({ at }) => at)).length;
  const range = (at: readonly number[]) =>
    (at.length === 0 ? 'none' : at.length === 1 ? `${at[0]}` : `${at.length} from ${at[0]} to ${at.at(-1)}`);
  const text = nets.map(({ net, without, withNorm }) =>
    `${net}: ${range(without)} without batch norm, ${range(withNorm)} with it`);
  return {
    shows: nets.every(({ without, withNorm }) => withNorm.length > without.length),
    text: `Spreads that train, of ${tried} tried: ${text.join('; ')}.`,
  };
}
