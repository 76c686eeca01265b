/** Plots one batch before and after, and the running statistics against batches. */
import type uPlot from 'uplot';
import { element } from './page.js';
import { axis, colour, makePlot } from './plots.js';

/** Statistics of one batch (unbiased variance), and the running statistics after it. */
export interface Track {
  readonly mean: number;
  readonly variance: number;
  readonly runningMean: number;
  readonly runningVar: number;
}

let batchPlot: uPlot | undefined;
let runningPlots: uPlot[] | undefined;

/** Draws one line per value: y in training, x, y in evaluation. */
export function showBatchPlot(x: Float64Array, train: Float64Array, evaluation: Float64Array): void {
  const lines = Array.from(x, (value, i) => [train[i]!, value, evaluation[i]!]).reverse();
  const data: uPlot.AlignedData = [[0, 1, 2], ...lines];
  const names = ['y, train', 'x', 'y, eval'];
  batchPlot ??= makePlot(element('batch-plot'), {
    scales: { x: { time: false, range: [-0.25, 2.25] }, y: { range: [-6, 12] } },
    axes: [axis(30, { splits: () => [0, 1, 2], values: () => names, grid: { width: 1, stroke: () => colour('line') } }), axis(38)],
    series: [{}, ...lines.map((_, i) => {
      const first = i === lines.length - 1, stroke = () => colour(first ? 'with' : 'muted');
      return { stroke, width: first ? 2.5 : 1, points: { show: true, size: first ? 9 : 6, stroke, fill: stroke } };
    })],
  }, data);
  batchPlot.setData(data);
}

export function showRunningPlots(tracks: readonly Track[], truth: { mean: number; variance: number }): void {
  const batches = tracks.map((_, i) => i + 1);
  const data = [
    [batches, tracks.map(() => truth.mean), tracks.map(({ mean }) => mean), tracks.map(({ runningMean }) => runningMean)],
    [batches, tracks.map(() => truth.variance), tracks.map(({ variance }) => variance), tracks.map(({ runningVar }) => runningVar)],
  ] as uPlot.AlignedData[];
  runningPlots ??= [
    makeRunningPlot('running-mean-plot', [0, 6], data[0]!), makeRunningPlot('running-var-plot', [0, 12], data[1]!),
  ];
  runningPlots.forEach((plot, i) => { plot.setData(data[i]!); });
}

function makeRunningPlot(id: string, range: [number, number], data: uPlot.AlignedData): uPlot {
  const muted = () => colour('muted');
  return makePlot(element(id), {
    scales: { x: { time: false, range: (_, __, max) => [0, Math.max(max ?? 0, 20)] }, y: { range } },
    axes: [axis(30), axis(38)],
    series: [
      {},
      { stroke: muted, width: 1, dash: [4, 4], points: { show: false } },
      { stroke: muted, width: 0, paths: () => null, points: { show: true, size: 4, stroke: muted, fill: muted } },
      { stroke: () => colour('with'), width: 2, points: { show: tracksFew, size: 5, fill: () => colour('with'), stroke: () => colour('with') } },
    ],
  }, data);
}

/** A line through a single batch would be invisible, so few batches are drawn as points. */
function tracksFew(plot: uPlot): boolean {
  return plot.data[0].length < 3;
}
