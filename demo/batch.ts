/** Shows the effect of batch norm on one batch of eight values: before, after, the gradient, and the running statistics. */
import { BatchNorm } from 'batchnorm-wasm';
import { random, standardNormal } from '../test/random.js';
import { showBatchPlot, showRunningPlots, type Track } from './batch-plots.js';
import { bindSlider, decimal, element, setText } from './page.js';

const SIZE = 8;
const SHAPE = [SIZE, 1];
/** The distribution of the values. */
const TRUTH = { mean: 3, variance: 4 };
const MOMENTA = [0.01, 0.05, 0.1, 0.3, 0.6, 1] as const;
const MANY = 50;

/** The gradient of the first output alone. */
const DY = Float64Array.from({ length: SIZE }, (_, i) => (i === 0 ? 1 : 0));

interface Pass {
  readonly y: Float64Array;
  readonly dx: Float64Array;
}

export function bindBatch(): void {
  const slider = element<HTMLInputElement>('first-value');
  const rows = findRows();
  let momentum: number = MOMENTA[2];
  let bn = new BatchNorm(1, { dtype: 'float64', momentum });
  let gaussian = standardNormal(random(1));
  let x = new Float64Array(SIZE);
  let tracks: Track[] = [];

  function draw(): Float64Array<ArrayBuffer> {
    return Float64Array.from({ length: SIZE }, () => TRUTH.mean + Math.sqrt(TRUTH.variance) * gaussian());
  }

  /** Runs batches that update the running statistics, and shows the last one. */
  function take(count: number): void {
    for (let i = 0; i < count; i++) {
      x = draw();
      bn.train().forward(x, SHAPE);
      const { mean, variance } = bn.context!;
      tracks.push({
        mean: mean[0]!, variance: (variance[0]! * SIZE) / (SIZE - 1), runningMean: bn.runningMean![0]!, runningVar: bn.runningVar![0]!,
      });
    }
    slider.value = String(x[0]!);
    show();
  }

  function reset(): void {
    bn.dispose();
    bn = new BatchNorm(1, { dtype: 'float64', momentum });
    gaussian = standardNormal(random(1));
    tracks = [];
    take(1);
  }

  /** Forward and backward that do not change the running statistics. */
  function pass(training: boolean): Pass {
    const y = bn.train(training).forward(x, SHAPE, { updateStats: false });
    return { y, dx: bn.backward(DY).dx };
  }

  function show(): void {
    const train = pass(true), evaluation = pass(false);
    const columns = [x, train.y, evaluation.y, train.dx, evaluation.dx];
    for (let i = 0; i < SIZE; i++) rows.values[i]!.forEach((cell, k) => { cell.textContent = decimal(columns[k]![i]!); });
    rows.means.forEach((cell, k) => { cell.textContent = decimal(columns[k]!.reduce((sum, value) => sum + value, 0) / SIZE); });
    const first = decimal(x[0]!);
    setText('first-value-value', first);
    slider.setAttribute('aria-valuetext', first);
    setText('running-mean', decimal(bn.runningMean![0]!));
    setText('running-var', decimal(bn.runningVar![0]!));
    showBatchPlot(x, train.y, evaluation.y);
    showRunningPlots(tracks, TRUTH);
  }

  slider.addEventListener('input', () => {
    x[0] = slider.valueAsNumber;
    show();
  });
  bindSlider('momentum', MOMENTA, (value) => {
    momentum = value;
    reset();
  });
  element('next-batch').addEventListener('click', () => take(1));
  element('many-batches').addEventListener('click', () => take(MANY));
  element('reset-batches').addEventListener('click', reset);
  take(1);
}

function findRows(): { values: HTMLTableCellElement[][]; means: HTMLTableCellElement[] } {
  const table = element<HTMLTableElement>('batch-table');
  const cellsOf = (row: HTMLTableRowElement) => [...row.querySelectorAll('td')];
  return { values: Array.from(table.tBodies[0]!.rows, cellsOf), means: cellsOf(table.tFoot!.rows[0]!) };
}
