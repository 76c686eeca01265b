/** Trains both networks in a worker, a few milliseconds at a time so that commands get through. */
import { pixelsOf, readDatasets } from './data.js';
import { EXAMPLES, Experiment, type Measurement } from './experiment.js';
import type { Settings } from './settings.js';

export type Command =
  /** Starts a new experiment; its reports carry the number `run`. */
  | { type: 'start'; run: number; settings: Settings; seed: number }
  | { type: 'train' }
  | { type: 'pause' };

export interface Example {
  /** [28 * 28], 0 or 1. */
  readonly pixels: Uint8Array;
  readonly label: number;
}

export type Report =
  | { type: 'examples'; examples: readonly Example[] }
  | { type: 'measurement'; run: number; measurement: Measurement; finished: boolean }
  | { type: 'failed'; message: string };

/** Training ends after this many images: 40 epochs. */
const IMAGES = 240_000;
/** Images between two measurements, once training is under way. */
const IMAGES_BETWEEN = 1_500;
const FEWEST_STEPS_BETWEEN = 5;
const TURN = 25;

const datasets = fetch(new URL('../mnist.bin', import.meta.url)).then(async (response) => {
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${response.statusText}`);
  return readDatasets(await response.arrayBuffer());
});
datasets.then(({ test }) => {
  const examples = Array.from({ length: EXAMPLES }, (_, i) => ({ pixels: pixelsOf(test, i), label: test.labels[i]! }));
  report({ type: 'examples', examples });
}, ({ message }: Error) => report({ type: 'failed', message }));

let current: { run: number; settings: Settings; experiment: Experiment; measureAt: number } | null = null;
let training = false;
let scheduled = false;
let latestRun = 0;

addEventListener('message', ({ data }: MessageEvent<Command>) => {
  if (data.type === 'start') void start(data);
  else {
    training = data.type === 'train';
    schedule();
  }
});

async function start({ run, settings, seed }: Extract<Command, { type: 'start' }>): Promise<void> {
  latestRun = run;
  const loaded = await datasets;
  // Dragging a slider requests many experiments; only the last one is needed.
  if (run !== latestRun) return;
  current?.experiment.dispose();
  current = { run, settings, experiment: new Experiment(loaded, settings, seed), measureAt: 0 };
  measure();
  schedule();
}

function schedule(): void {
  if (scheduled || !training || !current) return;
  scheduled = true;
  setTimeout(turn);
}

function turn(): void {
  scheduled = false;
  if (!training || !current) return;
  const end = performance.now() + TURN;
  while (!finished() && performance.now() < end) {
    current.experiment.train();
    if (current.experiment.step >= current.measureAt || finished()) {
      measure();
      break;
    }
  }
  if (finished()) training = false;
  schedule();
}

function finished(): boolean {
  const { experiment, settings } = current!;
  return experiment.dead || experiment.step * settings.batchSize >= IMAGES;
}

/** Measures the first steps more often, since most happens there. */
function measure(): void {
  const { run, experiment, settings } = current!;
  report({ type: 'measurement', run, measurement: experiment.measure(), finished: finished() });
  const steps = Math.min(Math.round(IMAGES_BETWEEN / settings.batchSize), Math.round(experiment.step / 8));
  // The first step at once: the visitor sees that something happens.
  current!.measureAt = experiment.step === 0 ? 1 : experiment.step + Math.max(steps, FEWEST_STEPS_BETWEEN);
}

function report(message: Report): void {
  postMessage(message);
}
