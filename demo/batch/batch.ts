/** One batch of eight values, step by step, and the running statistics of many. */
import { BatchNorm } from 'batchnorm-wasm';
import { random, standardNormal } from '../../test/random.js';
import { element, setText } from '../page/dom.js';
import { decimal } from '../page/numbers.js';
import { bindSlider } from '../page/slider.js';
import { showRunningPlots, type Track } from './running-plots.js';
import { SIZE, type Steps, stepsOf } from './steps.js';
import { batchFigure } from './steps-figure.js';
import { showTable } from './steps-table.js';

const SHAPE = [SIZE, 1];
/** The distribution of the values. */
const TRUTH = { mean: 3, variance: 4 };
const MOMENTA = [0.01, 0.05, 0.1, 0.3, 0.6, 1] as const;
const MANY = 50;
const MODES = {
  train: {
    mean: 'Σ x / m', variance: 'Σ (x − μ)² / m',
    caption: 'Training, Algorithm 1 of the paper. Mean and variance follow the value that you move (orange), and all outputs follow them. The band is μ ± σ.',
  },
  eval: {
    mean: 'running mean', variance: 'running variance',
    caption: 'Evaluation, Algorithm 2 of the paper. Mean and variance are those of earlier batches and stay, so a value (orange) moves its own output alone.',
  },
} as const;

export function bindBatch(): void {
  let momentum: number = MOMENTA[2];
  let mode: keyof typeof MODES = 'train';
  let bn = new BatchNorm(1, { dtype: 'float64', momentum });
  let gaussian = standardNormal(random(1));
  let x = new Float64Array(SIZE);
  let tracks: Track[] = [];
  const gamma = element<HTMLInputElement>('gamma'), beta = element<HTMLInputElement>('beta');
  const showFigure = batchFigure(element('batch-figure'), (i, value) => {
    x[i] = value;
    show();
  });

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
    show();
  }

  function restart(): void {
    bn.dispose();
    bn = new BatchNorm(1, { dtype: 'float64', momentum });
    gaussian = standardNormal(random(1));
    tracks = [];
    take(1);
  }

  function show(): void {
    bn.weight![0] = gamma.valueAsNumber;
    bn.bias![0] = beta.valueAsNumber;
    const steps: Steps = stepsOf(bn.train(mode === 'train'), x);
    for (const slider of [gamma, beta]) {
      const text = decimal(slider.valueAsNumber);
      setText(`${slider.id}-value`, text);
      slider.setAttribute('aria-valuetext', text);
    }
    setText('mean-says', MODES[mode].mean);
    setText('variance-says', MODES[mode].variance);
    setText('step-mean', decimal(steps.mean));
    setText('step-variance', decimal(steps.variance));
    setText('batch-caption', MODES[mode].caption);
    setText('running-mean', decimal(bn.runningMean![0]!));
    setText('running-var', decimal(bn.runningVar![0]!));
    showFigure(x, steps);
    showTable(x, steps);
    showRunningPlots(tracks, TRUTH);
  }

  for (const slider of [gamma, beta]) slider.addEventListener('input', show);
  for (const radio of document.querySelectorAll<HTMLInputElement>('input[name="mode"]')) {
    radio.addEventListener('change', () => {
      mode = radio.value as typeof mode;
      show();
    });
  }
  bindSlider('momentum', MOMENTA, (value) => {
    momentum = value;
    restart();
  });
  element('next-batch').addEventListener('click', () => take(1));
  element('many-batches').addEventListener('click', () => take(MANY));
  element('reset-batches').addEventListener('click', () => {
    gamma.value = '1';
    beta.value = '0';
    restart();
  });
  take(1);
}
