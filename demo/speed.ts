/** The race of the implementations: a form, one worker per race, and bars. */
import { element, setText } from './page.js';
import { lengthOf, type Race, type RaceReport, type Side } from './race.js';

/** 256 MB per tensor: several sides hold three. */
const MOST_VALUES = 1 << 26;

/** @param onBusy - called when a race begins and when it has ended */
export function bindSpeed(onBusy: (busy: boolean) => void): void {
  const form = element<HTMLFormElement>('speed-form'), button = element<HTMLButtonElement>('speed-run');
  let stop: (() => void) | null = null;
  form.addEventListener('input', () => { if (!stop) showSize(readForm()); });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (stop) {
      stop();
      return;
    }
    const race = readForm();
    if (!showSize(race)) return;
    button.textContent = 'Stop';
    onBusy(true);
    stop = runRace(race, () => {
      stop = null;
      button.textContent = 'Compare';
      onBusy(false);
    });
  });
}

function readForm(): Race {
  const number = (id: string) => element<HTMLInputElement>(id).valueAsNumber;
  return {
    n: number('speed-n'), channels: number('speed-c'), size: number('speed-size'),
    layout: element<HTMLSelectElement>('speed-layout').value as Race['layout'],
    operation: element<HTMLSelectElement>('speed-operation').value as Race['operation'],
    tfjs: element<HTMLInputElement>('speed-tfjs').checked,
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

/** The table of times, with its bars and the line of the copy limit. */
class Bars {
  readonly #times = new Map<Side | 'copy', number>();
  readonly #rows = new Map(Array.from(document.querySelectorAll<HTMLElement>('[data-side]'), (row) => [row.dataset.side as Side, row]));

  constructor({ tfjs, operation }: Race) {
    for (const side of this.#rows.keys()) this.#setTime(side, side === 'tfjs' && !tfjs ? 'not selected' : '…');
    setText('copy-time', '…');
    setText('speed-note', tfjs && operation === 'backward' ? 'The backward of TensorFlow.js includes a forward.' : '');
    this.#draw();
  }

  add(side: Side | 'copy', time: number): void {
    this.#times.set(side, time);
    if (side === 'copy') setText('copy-time', milliseconds(time));
    else this.#setTime(side, `${milliseconds(time)}, ${short(time / this.#times.get('copy')!)}×`);
    this.#draw();
  }

  fail(side: Side, message: string): void {
    this.#setTime(side, 'failed');
    setText('speed-note', message);
  }

  summary(): string {
    const time = this.#times.get('tensor')!;
    const times = ([['javascript', 'plain TypeScript'], ['tfjs', 'TensorFlow.js']] as const)
      .filter(([side]) => this.#times.has(side))
      .map(([side, name]) => `${short(this.#times.get(side)! / time)} times that of ${name}`);
    return `With tensors, the speed is ${times.join(' and ')}.`;
  }

  #setTime(side: Side, text: string): void {
    this.#rows.get(side)!.querySelector('.time')!.textContent = text;
  }

  /** Scales all bars to the longest time. */
  #draw(): void {
    const most = Math.max(...this.#times.values()), share = (side: Side | 'copy') => (this.#times.get(side) ?? 0) / most;
    for (const [side, row] of this.#rows) {
      row.style.setProperty('--share', String(share(side)));
      row.style.setProperty('--copy', this.#times.size > 1 ? String(share('copy')) : '-1');
    }
  }
}

function milliseconds(time: number): string {
  return `${short(time)} ms`;
}

/** Two digits, or all digits before the point. */
function short(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}
