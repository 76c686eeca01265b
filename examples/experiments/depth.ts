/** Depth with a nonlinearity that saturates. */
import { type Conclusion, distinct } from './experiment.js';
import { type SweepRow, sweep, TRAINED, trainedAt } from './sweep.js';
import { PAPER_BATCH } from './training.js';

const DEPTHS = [3, 4, 5, 7, 10];
const RATES = [0.3, 3];

export const depth = sweep({
  name: 'depth',
  title: 'Depth with sigmoid units',
  claim: 'Batch normalization makes it possible to use saturating nonlinearities by preventing the network from getting stuck ' +
    'in the saturated modes (abstract; Inception with sigmoid units, section 4.2.2).',
  method: `Sigmoid networks with 3 to 10 hidden layers of 100 units, Gaussian weights with standard deviation 0.1, which is ` +
    `1 / sqrt(100), 600 steps of plain SGD on batches of ${PAPER_BATCH} images at two learning rates. A network trains if every ` +
    `seed reaches ${100 * TRAINED} % test accuracy.`,
  axis: { name: 'hidden layers', min: 2, max: 11 },
  cases: (quick) => RATES.flatMap((rate) =>
    (quick ? [3, 4] : DEPTHS).map((at) => ({
      net: `learning rate ${rate}`, at,
      conditions: {
        activation: 'sigmoid' as const, layers: at, learningRate: rate, stddev: 0.1, batchSize: PAPER_BATCH, steps: quick ? 6 : 600,
      },
    }))),
  conclude,
});

/** Compares the largest depths that train, each at the better of the learning rates. */
export function conclude(rows: readonly SweepRow[]): Conclusion {
  const nets = distinct(rows.map(({ net }) => net));
  const deepest = (batchNorm: boolean) => Math.max(0, ...nets.map((net) => trainedAt(rows, net, batchNorm).at(-1) ?? 0));
  const without = deepest(false), withNorm = deepest(true);
  const words = (layers: number) => (layers === 0 ? 'no networks' : `networks of up to ${layers} hidden layers`);
  const each = nets.map((net) => {
    const [plain, normalised] = [false, true].map((batchNorm) => trainedAt(rows, net, batchNorm).join(', ') || 'none');
    return `${net}: ${plain} without, ${normalised} with`;
  });
  return {
    shows: withNorm > without,
    text: `Without batch norm, ${words(without)} train; with it, ${words(withNorm)} do. Depths that train at ${each.join('; at ')}.`,
  };
}
