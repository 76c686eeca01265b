/** The results of a race. */
import { setText } from '../page/dom.js';
import { short } from '../page/numbers.js';
import type { Race, Side } from './race.js';

/** The table of times, with its bars and the line of the copy limit, and the headline. */
export class Bars {
  readonly #times = new Map<Side | 'copy', number>();
  readonly #rows = new Map(Array.from(document.querySelectorAll<HTMLElement>('[data-side]'), (row) => [row.dataset.side as Side, row]));

  constructor({ tfjs, threads, operation }: Race) {
    const absent = new Set<Side>([...(tfjs ? [] : ['tfjs' as const]), ...(threads > 1 ? [] : ['threads' as const])]);
    for (const side of this.#rows.keys()) this.#setTime(side, absent.has(side) ? 'not selected' : '…');
    setText('speed-thread-count', String(Math.max(threads, 2)));
    setText('copy-time', '…');
    setText('speed-factor', '…');
    setText('speed-note', tfjs && operation === 'backward' ? 'The backward of TensorFlow.js includes a forward.' : '');
    this.#draw();
  }

  add(side: Side | 'copy', time: number): void {
    this.#times.set(side, time);
    if (side === 'copy') setText('copy-time', milliseconds(time));
    else this.#setTime(side, `${milliseconds(time)}, ${short(time / this.#times.get('copy')!)}×`);
    const plain = this.#times.get('javascript'), own = this.#times.get('tensor');
    if (plain && own) setText('speed-factor', short(plain / own));
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
      .map(([side, name]) => `${short(this.#times.get(side)! / time)} times as fast as ${name}`);
    return `With tensors, this package is ${times.join(' and ')}.`;
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
