/** The page: sends commands to the training worker, and shows its reports as figures and text. */
import { bindBatch } from './batch.js';
import { bindSettings } from './controls.js';
import { showAnswers, showExamples } from './digits.js';
import type { Measurement } from './experiment.js';
import { element, percent, setText } from './page.js';
import { ridgePlots } from './ridge-plots.js';
import type { Settings } from './settings.js';
import { bindSpeed } from './speed.js';
import { showHistory } from './table.js';
import { accuracyPlots, percentilePlots } from './training-plots.js';
import { verdict } from './verdict.js';
import type { Command, Report } from './worker.js';

const SATURATED_TEXT = {
  sigmoid: 'beyond ±4, where the slope is below 7 % of its maximum.',
  tanh: 'beyond ±2, where the slope is below 7 % of its maximum.',
  relu: 'below 0, where the slope is 0.',
};
/** Milliseconds between two announcements. */
const ANNOUNCE_EVERY = 10_000;

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const send = (command: Command) => worker.postMessage(command);

const showAccuracy = accuracyPlots(), showRidges = ridgePlots(), showPercentiles = percentilePlots();
const trainButton = element<HTMLButtonElement>('train'), layerSlider = element<HTMLInputElement>('layer');
const settings = bindSettings(start);
let run = 0;
let seed = 1;
let history: Measurement[] = [];
/** Whether the visitor wants training; a hidden tab and the race below pause it temporarily. */
let training = !matchMedia('(prefers-reduced-motion: reduce)').matches;
let racing = false;
let finished = false;
let announcedAt = 0;

worker.addEventListener('message', ({ data }: MessageEvent<Report>) => {
  if (data.type === 'failed') {
    setText('verdict', `The images could not be loaded: ${data.message}`);
    return;
  }
  if (data.type === 'examples') {
    showExamples(data.examples);
    return;
  }
  if (data.run !== run) return;
  history.push(data.measurement);
  finished = data.finished;
  if (finished) setTraining(false);
  show();
});

worker.addEventListener('error', ({ message }) => setText('verdict', `Training failed: ${message}`));

function start(changed: Settings): void {
  history = [];
  finished = false;
  announcedAt = 0;
  setText('step', '0');
  layerSlider.max = String(changed.depth);
  layerSlider.value = String(changed.depth);
  showLayer();
  setText('saturated-text', SATURATED_TEXT[changed.activation]);
  send({ type: 'start', run: ++run, settings: changed, seed });
  setTraining(training);
}

function setTraining(wanted: boolean): void {
  training = wanted;
  trainButton.textContent = training ? 'Pause' : 'Train';
  if (!training && history.length > 0) announce(verdict(history.at(-1)!));
  send({ type: training && !racing && !document.hidden ? 'train' : 'pause' });
}

function show(): void {
  const latest = history.at(-1)!;
  showAccuracy(history);
  showRidges(latest, settings().activation);
  showPercentiles(history, layerSlider.valueAsNumber - 1);
  showAnswers(latest);
  showHistory(history);
  setText('step', latest.step.toLocaleString('en'));
  (['without', 'with'] as const).forEach((name, i) => {
    const { accuracy, divergedAt } = latest.networks[i]!;
    setText(`accuracy-${name}`, divergedAt === null ? percent(accuracy) : 'diverged');
  });
  const text = verdict(latest);
  setText('verdict', text);
  if (!training || history.length <= 2 || performance.now() - announcedAt > ANNOUNCE_EVERY) announce(text);
}

/** Screen readers read each announcement to its end: the visible sentence changes too often for them. */
function announce(text: string): void {
  announcedAt = performance.now();
  setText('announcement', text);
  element('accuracy-plot').setAttribute('aria-label', `Test accuracy against steps. ${text}`);
}

function showLayer(): void {
  const text = `${layerSlider.value} of ${layerSlider.max}`;
  setText('layer-value', text);
  layerSlider.setAttribute('aria-valuetext', text);
  if (history.length > 0) showPercentiles(history, layerSlider.valueAsNumber - 1);
}

trainButton.addEventListener('click', () => {
  if (finished) start(settings());
  setTraining(!training);
});
element('restart').addEventListener('click', () => start(settings()));
element('reseed').addEventListener('click', () => {
  seed++;
  start(settings());
});
layerSlider.addEventListener('input', showLayer);
document.addEventListener('visibilitychange', () => setTraining(training));

bindBatch();
bindSpeed((busy) => {
  racing = busy;
  setTraining(training);
});
start(settings());
