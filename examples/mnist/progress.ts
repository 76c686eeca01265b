/** Progress while the experiment runs: a bar on a terminal, a line every 5 % elsewhere. */
import { Presets, SingleBar } from 'cli-progress';

/** What is shown of one side of the experiment. */
interface Run {
  readonly loss: number;
  readonly measurements: readonly { readonly accuracy: number }[];
}

export class Progress {
  readonly #steps: number;
  readonly #bar: SingleBar | null;
  #start = 0;

  constructor(steps: number) {
    this.#steps = steps;
    const format = '{bar} {percentage}%  loss {loss}  test {accuracy}  {rate} steps/s  {left} left';
    const options = { format, barsize: 12, stream: process.stdout };
    this.#bar = process.stdout.isTTY ? new SingleBar(options, Presets.shades_classic) : null;
  }

  start(): void {
    this.#start = performance.now();
    this.#bar?.start(this.#steps, 0, { loss: '-', accuracy: '-', rate: '-', left: '-' });
  }

  /** Must be called after each step; steps count from 1. */
  update(step: number, runs: readonly Run[]): void {
    const seconds = (performance.now() - this.#start) / 1000;
    const values = {
      loss: runs.map(({ loss }) => loss.toFixed(3)).join('/'),
      accuracy: `${runs.map(({ measurements }) => (100 * measurements.at(-1)!.accuracy).toFixed(1)).join('/')} %`,
      rate: (step / seconds).toFixed(0),
      left: duration((seconds / step) * (this.#steps - step)),
    };
    if (this.#bar) {
      this.#bar.update(step, values);
    } else if (this.#twentieths(step) > this.#twentieths(step - 1)) {
      const { loss, accuracy, rate, left } = values;
      const place = `step ${step} of ${this.#steps}`;
      console.log(`${place}: loss ${loss}, test accuracy ${accuracy}, ${rate} steps/s, ${left} left`);
    }
  }

  #twentieths(step: number): number {
    return Math.floor((20 * step) / this.#steps);
  }

  stop(): void {
    this.#bar?.stop();
  }
}

/** Seconds as 7m05s. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
}
