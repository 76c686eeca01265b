/** Plots the running statistics against batches. */
import type uPlot from 'uplot';
import { element } from '../page/dom.js';
import { axis, colour, makePlot } from '../page/plots.js';

/** Statistics of one batch (unbiased variance), and the running statistics after it. */
export interface Track {
  readonly mean: number;
  readonly variance: number;
  readonly runningMean: number;
  readonly runningVar: number;
}

let runningPlots: uPlot[] | undefined;

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
