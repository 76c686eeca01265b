/** The race of the implementations: a form, a worker for each race, and bars. */
import { element, setText } from './page.js';
import { lengthOf, type Race, type RaceReport, type Side } from './race.js';

/** 256 MB a tensor: several sides hold three. */
const MOST_VALUES = 1 << 26;

/** @param onBusy - told when a race begins and when it has ended */
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

/** Says how large the tensor is; false where it is too large, or too small for a variance. */
function showSize(race: Race): boolean {
  const length = lengthOf(race), { n, channels, size } = race;
  const possible = length <= MOST_VALUES && n * size * size > 1;
  setText('speed-status', possible
    ? `${n} × ${channels} × ${size} × ${size}: ${(length / 1e6).toPrecision(2)} million values, ${((length * 4) / 1e6).toPrecision(2)} MB.`
    : `A tensor takes at least 2 values a channel and at most ${MOST_VALUES / 2 ** 20} million, got ${Number.isNaN(length) ? 'no number' : length.toLocaleString('en')}.`);
  return possible;
}

/** Begins a race; returns what stops it before its end. */
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

/** The table of times, its bars and the line of the copy. */
class Bars {
  readonly #times = new Map<Side | 'copy', number>();
  readonly #rows = new Map(Array.from(document.querySelectorAll<HTMLElement>('[data-side]'), (row) => [row.dataset.side as Side, row]));

  constructor({ tfjs, operation }: Race) {
    for (const side of this.#rows.keys()) this.#setTime(side, side === 'tfjs' && !tfjs ? 'not asked' : '…');
    setText('copy-time', '…');
    setText('speed-note', tfjs && operation === 'backward' ? 'TensorFlow.js runs its forward in its backward.' : '');
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
    return `With tensors the speed is ${times.join(' and ')}.`;
  }

  #setTime(side: Side, text: string): void {
    this.#rows.get(side)!.querySelector('.time')!.textContent = text;
  }

  /** All to the scale of the longest. */
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

/** Two digits, or all before the point. */
function short(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}
