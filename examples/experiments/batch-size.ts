/** What the batch size does. */
import { type Conclusion, distinct, percent } from './experiment.js';
import { LABELS, medianAccuracy, pick, type SweepRow, sweep } from './sweep.js';

const SIZES = [2, 4, 8, 16, 32, 64, 128, 256];
const RATES = { sigmoid: 1, relu: 0.1 };

export const batchSize = sweep({
  name: 'batch-size',
  title: 'What the batch size does',
  claim: 'Mean and variance are estimated from the mini-batch (section 3), so they are noisier if the batch is smaller. The ' +
    'paper does not say how small a batch may be. Expected: batch norm is behind with few images and ahead with many.',
  method: `Networks of 3 x 100 hidden units, Gaussian weights with standard deviation 0.1, 400 steps of plain SGD at every batch ` +
    `size (larger batches therefore see more images), learning rate ${RATES.sigmoid} for sigmoid and ${RATES.relu} for ReLU. The test ` +
    'always uses the statistics of Alg. 2 over batches of 60.',
  axis: { name: 'images in a batch', log: true },
  cases: (quick) => (['sigmoid', 'relu'] as const).flatMap((activation) =>
    (quick ? [2, 60] : SIZES).map((at) => ({
      net: LABELS[activation], at,
      conditions: { activation, layers: 3, learningRate: RATES[activation], stddev: 0.1, batchSize: at, steps: quick ? 6 : 400 },
    }))),
  conclude,
});

export function conclude(rows: readonly SweepRow[]): Conclusion {
  const nets = distinct(rows.map(({ net }) => net)).map((net) => {
    const sizes = distinct(rows.map(({ at }) => at)).sort((a, b) => a - b);
    const gains = sizes.map((at) => medianAccuracy(pick(rows, net, true), at) - medianAccuracy(pick(rows, net, false), at));
    return { net, sizes, gains };
  });
  const text = nets.map(({ net, sizes, gains }) => {
    const ahead = sizes.filter((_, i) => gains[i]! > 0);
    const signed = (gain: number) => `${gain < 0 ? '' : '+'}${percent(gain)}`;
    return `${net}: batch norm is ahead with ${ahead.join(', ') || 'no number of'} images; it changes the accuracy by ` +
      `${signed(gains[0]!)} points with ${sizes[0]} images and ${signed(gains.at(-1)!)} with ${sizes.at(-1)}`;
  });
  return { shows: nets.every(({ gains }) => gains[0]! < 0 && gains.at(-1)! > 0), text: `${text.join('; ')}.` };
}
