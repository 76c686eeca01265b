/** Fine-tuning with both batch norms, one after the other: a button, the loss against seconds, and images per second. */
import type uPlot from 'uplot';
import { CLASSES } from '../network/data.js';
import { element, make, setText, showText } from '../page/dom.js';
import { short } from '../page/numbers.js';
import { axis, lineOf, makePlot } from '../page/plots.js';
import { NETWORK_NAMES, type NetworkName } from '../training/names.js';
import type { Report } from './finetune-worker.js';
import { STEPS } from './steps.js';

interface Step {
  /** Since the start of the first step. */
  readonly seconds: number;
  readonly milliseconds: number;
  /** Before the step. */
  readonly loss: number;
}

/** The faster one first, so that visitors see a result soon. */
const ORDER: readonly NetworkName[] = ['with', 'without'];
const DOING = { with: 'Training with the batch norm of this package …', without: 'Training with the batch norm of TensorFlow.js …' };
/** That the axis has room for at first. */
const SECONDS = 10;

/** @param onBusy - called when training begins and when it has ended */
export function bindFinetune(onBusy: (busy: boolean) => void): void {
  const button = element<HTMLButtonElement>('finetune-run'), label = button.textContent!;
  const plot = lossPlot(), cells = lossCells();
  let steps: Record<NetworkName, Step[]> = { with: [], without: [] };
  let stop: (() => void) | null = null;

  function show(): void {
    plot.setData(columns(steps));
    NETWORK_NAMES.forEach((name, k) => { cells.forEach((row, i) => { showText(row[k]!, steps[name][i]?.loss.toFixed(3) ?? '–'); }); });
    const speeds = NETWORK_NAMES.map((name) => imagesPerSecond(steps[name]));
    NETWORK_NAMES.forEach((name, i) => { setText(`finetune-${name}`, speeds[i] ? short(speeds[i]) : '–'); });
    setText('finetune-factor', speeds[0] && speeds[1] ? short(speeds[1] / speeds[0]) : '–');
  }

  function add(side: NetworkName, milliseconds: number, loss: number): void {
    setText('finetune-status', DOING[side]);
    const before = steps[side].at(-1);
    steps[side].push({ seconds: before ? before.seconds + before.milliseconds / 1_000 : 0, milliseconds, loss });
    show();
  }

  function end(text: string): void {
    stop?.();
    stop = null;
    button.textContent = label;
    setText('finetune-status', text);
    onBusy(false);
  }

  function train([side, ...rest]: readonly NetworkName[]): void {
    if (!side) {
      end('Both have trained.');
      return;
    }
    setText('finetune-status', 'Loading …');
    const worker = new Worker(new URL('./finetune-worker.ts', import.meta.url), { type: 'module' });
    stop = () => worker.terminate();
    worker.addEventListener('error', ({ message }) => end(`Training failed: ${message}`));
    worker.addEventListener('message', ({ data }: MessageEvent<Report>) => {
      if (data.type === 'failed') end(`Training failed: ${data.message}`);
      else if (data.type === 'step') add(side, data.milliseconds, data.loss);
      else {
        worker.terminate();
        train(rest);
      }
    });
    worker.postMessage(side);
  }

  button.addEventListener('click', () => {
    if (stop) {
      end('Stopped.');
      return;
    }
    steps = { with: [], without: [] };
    show();
    button.textContent = 'Stop';
    onBusy(true);
    train(ORDER);
  });
}

/** By the median step. */
function imagesPerSecond(steps: readonly Step[]): number | undefined {
  const times = steps.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b), median = times[times.length >> 1];
  return median && (CLASSES / median) * 1_000;
}

/** The losses of both sides over all of their times: null where a side has none. */
function columns(steps: Record<NetworkName, readonly Step[]>): uPlot.AlignedData {
  const rows = NETWORK_NAMES.flatMap((name) => steps[name].map(({ seconds, loss }) => ({ name, seconds, loss })));
  rows.sort((a, b) => a.seconds - b.seconds);
  return [rows.map(({ seconds }) => seconds), ...NETWORK_NAMES.map((name) => rows.map((row) => (row.name === name ? row.loss : null)))];
}

/** A row for each step. */
function lossCells(): HTMLElement[][] {
  const rows = Array.from({ length: STEPS }, () => NETWORK_NAMES.map(() => make('td', '', '–')));
  element<HTMLTableElement>('finetune-table').tBodies[0]!.replaceChildren(...rows.map((row, i) => {
    const header = make('th', '', String(i + 1));
    header.setAttribute('scope', 'row');
    return make('tr', '', header, ...row);
  }));
  return rows;
}

function lossPlot(): uPlot {
  return makePlot(element('finetune-plot'), {
    scales: { x: { time: false, range: (_, __, max) => [0, Math.max(max ?? 0, SECONDS)] }, y: { range: [0, 3] } },
    axes: [axis(30), axis(38)],
    series: [{}, ...NETWORK_NAMES.map((name) => ({ ...lineOf(name), spanGaps: true }))],
  }, [[], [], []]);
}
