/** The first two sections: sends commands to the training worker, and shows its reports as figures and text. */
import { queryOf, startOf } from '../network/address.js';
import type { Measurement } from '../network/experiment.js';
import type { Settings } from '../network/settings.js';
import type { Command, Report } from '../network/worker.js';
import { element, setText } from '../page/dom.js';
import { announce, forgetAnnouncement, showNumbers } from './announcement.js';
import { bindSettings } from './controls.js';
import { showAnswers, showExamples } from './digits.js';
import { layersSection } from './layers-section.js';
import { showHistory } from './table.js';
import { accuracyPlots } from './training-plots.js';

interface Training {
  /** Pauses training while `busy`, whatever the visitor wants. */
  pauseWhile(busy: boolean): void;
  /** Settings and seed for the page's address. */
  query(): string;
}

export function bindTraining(): Training {
  const worker = new Worker(new URL('../network/worker.ts', import.meta.url), { type: 'module' });
  const send = (command: Command) => worker.postMessage(command);
  const trainButton = element<HTMLButtonElement>('train');
  const showAccuracy = accuracyPlots(), layers = layersSection(() => history);
  const initial = startOf(location.search);
  let seed = initial.seed;
  let run = 0;
  let history: Measurement[] = [];
  /** Whether the visitor wants training; a hidden tab and the race below pause it temporarily. */
  let training = !matchMedia('(prefers-reduced-motion: reduce)').matches;
  let racing = false;
  let finished = false;
  const settings = bindSettings(initial.settings, restart);
  const query = () => queryOf({ settings: settings(), seed });

  function start(changed: Settings): void {
    history = [];
    finished = false;
    forgetAnnouncement();
    setText('step', '0');
    layers.start(changed);
    send({ type: 'start', run: ++run, settings: changed, seed });
    setTraining(training);
  }

  /** Also puts the settings into the address, so that reloading keeps them. */
  function restart(changed: Settings): void {
    start(changed);
    const search = queryOf({ settings: changed, seed });
    window.history.replaceState(null, '', `${location.pathname}${search && `?${search}`}${location.hash}`);
  }

  function setTraining(wanted: boolean): void {
    training = wanted;
    trainButton.textContent = training ? 'Pause' : 'Train';
    if (!training && history.length > 0) announce(history);
    send({ type: training && !racing && !document.hidden ? 'train' : 'pause' });
  }

  function show(): void {
    const latest = history.at(-1)!;
    showAccuracy(history);
    layers.show();
    showAnswers(latest);
    showHistory(history);
    showNumbers(history, training);
  }

  worker.addEventListener('message', ({ data }: MessageEvent<Report>) => {
    if (data.type === 'failed') setText('verdict', `The images could not be loaded: ${data.message}`);
    else if (data.type === 'examples') showExamples(data.examples);
    else if (data.run === run) {
      history.push(data.measurement);
      finished = data.finished;
      if (finished) setTraining(false);
      show();
    }
  });
  worker.addEventListener('error', ({ message }) => setText('verdict', `Training failed: ${message}`));
  trainButton.addEventListener('click', () => {
    if (finished) start(settings());
    setTraining(!training);
  });
  element('restart').addEventListener('click', () => start(settings()));
  element('reseed').addEventListener('click', () => {
    seed++;
    restart(settings());
  });
  element('history').closest('details')!.addEventListener('toggle', () => { if (history.length > 0) showHistory(history); });
  document.addEventListener('visibilitychange', () => setTraining(training));
  start(settings());
  return {
    query,
    pauseWhile: (busy) => {
      racing = busy;
      setTraining(training);
    },
  };
}
