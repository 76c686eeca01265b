/** The race of the implementations: a form, one worker per race, and bars. */
import { element, setText } from '../page/dom.js';
import { Bars } from './bars.js';
import { lengthOf, type Race, type RaceReport } from './race.js';

/** 256 MB per tensor: several sides hold three. */
const MOST_VALUES = 1 << 26;

/** @param onBusy - called when a race begins and when it has ended */
export function bindSpeed(onBusy: (busy: boolean) => void): void {
  const form = element<HTMLFormElement>('speed-form'), button = element<HTMLButtonElement>('speed-run');
  prepareThreads();
  let stop: (() => void) | null = null;
  form.addEventListener('input', () => { if (!stop) showSize(readForm()); });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (stop) stop();
    else start();
  });
  // The headline has a number as soon as somebody looks.
  const seen = new IntersectionObserver(([entry]) => {
    if (!entry!.isIntersecting) return;
    seen.disconnect();
    if (!stop && !button.disabled) start();
  }, { threshold: 0.5 });
  seen.observe(element('speed-table'));

  function start(): void {
    const race = readForm();
    if (!showSize(race)) return;
    button.textContent = 'Stop';
    onBusy(true);
    stop = runRace(race, () => {
      stop = null;
      button.textContent = 'Measure';
      onBusy(false);
    });
  }
}

/** As many threads as there are cores; where the page may not share memory, one and the reason. */
function prepareThreads(): void {
  const slider = element<HTMLInputElement>('speed-threads'), cores = navigator.hardwareConcurrency || 2;
  const show = () => setText('speed-threads-value', slider.value);
  slider.max = String(Math.max(cores, 2));
  if (!crossOriginIsolated) {
    slider.value = '1';
    slider.disabled = true;
    setText('speed-threads-note', 'Threads need a page with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.');
  }
  slider.addEventListener('input', show);
  show();
}

function readForm(): Race {
  const number = (id: string) => element<HTMLInputElement>(id).valueAsNumber;
  return {
    n: number('speed-n'), channels: number('speed-c'), size: number('speed-size'),
    layout: element<HTMLSelectElement>('speed-layout').value as Race['layout'],
    operation: element<HTMLSelectElement>('speed-operation').value as Race['operation'],
    tfjs: element<HTMLInputElement>('speed-tfjs').checked,
    threads: number('speed-threads'),
  };
}

/** Shows the size of the tensor; false if it is too large, or too small for a variance. */
function showSize(race: Race): boolean {
  const length = lengthOf(race), { n, channels, size } = race;
  const possible = length <= MOST_VALUES && n * size * size > 1;
  setText('speed-status', possible
    ? `${n} × ${channels} × ${size} × ${size}: ${(length / 1e6).toPrecision(2)} million values, ${((length * 4) / 1e6).toPrecision(2)} MB.`
    : `A tensor must have at least 2 values per channel and at most ${MOST_VALUES / 2 ** 20} million in total; got ${Number.isNaN(length) ? 'an empty field' : length.toLocaleString('en')}.`);
  return possible;
}

/** Starts a race; returns a function that stops it early. */
function runRace(race: Race, onEnd: () => void): () => void {
  const bars = new Bars(race);
  const size = element('speed-status').textContent!;
  setText('speed-status', `${size} Measuring …`);
  const worker = new Worker(new URL('./speed-worker.ts', import.meta.url), { type: 'module' });
  const end = (text: string) => {
    setText('speed-status', `${size} ${text}`);
    worker.terminate();
    onEnd();
  };
  worker.addEventListener('error', ({ message }) => end(`Measuring failed: ${message}`));
  worker.addEventListener('message', ({ data }: MessageEvent<RaceReport>) => {
    if (data.type === 'time') bars.add(data.side, data.milliseconds);
    else if (data.type === 'unable') bars.fail(data.side, data.message);
    else end(bars.summary());
  });
  worker.postMessage(race);
  return () => end('Stopped.');
}
