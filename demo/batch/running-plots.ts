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

/** Running statistics before the first batch. */
const START = { mean: 0, variance: 1 };
/** Batches that an axis has room for at first. */
const FEWEST = 20;

let runningPlots: uPlot[] | undefined;

export function showRunningPlots(tracks: readonly Track[], truth: { mean: number; variance: number }): void {
  const end = Math.max(tracks.length + 1, FEWEST);
  const batches = [0, ...tracks.map((_, i) => i + 1), end];
  const column = (name: keyof Track, start: number | null) => [start, ...tracks.map((track) => track[name]), null];
  const data = [
    [batches, batches.map(() => truth.mean), column('mean', null), column('runningMean', START.mean)],
    [batches, batches.map(() => truth.variance), column('variance', null), column('runningVar', START.variance)],
  ] as uPlot.AlignedData[];
  runningPlots ??= [
    makeRunningPlot('running-mean-plot', [0, 6], data[0]!), makeRunningPlot('running-var-plot', [0, 12], data[1]!),
  ];
  runningPlots.forEach((plot, i) => { plot.setData(data[i]!); });
}

function makeRunningPlot(id: string, range: [number, number], data: uPlot.AlignedData): uPlot {
  const muted = () => colour('muted');
  return makePlot(element(id), {
    scales: { x: { time: false, range: (_, __, max) => [0, max ?? FEWEST] }, y: { range } },
    axes: [axis(30), axis(38)],
    series: [
      {},
      { stroke: muted, width: 1, dash: [4, 4], points: { show: false } },
      { stroke: muted, width: 0, paths: () => null, points: { show: true, size: 4, stroke: muted, fill: muted } },
      { stroke: () => colour('with'), width: 2, points: { show: false } },
    ],
  }, data);
}
