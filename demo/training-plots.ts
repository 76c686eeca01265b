/** Figure 1: accuracy and loss against steps; Figure 2: what enters the nonlinearities. */
import type uPlot from 'uplot';
import type { Activation } from './activation.js';
import { BINS, HISTOGRAM_RANGE, type Measurement } from './experiment.js';
import { axis, colour, destroyPlot, lineOf, makePlot, stepScale } from './plots.js';

const NETWORKS = ['without', 'with'] as const;
/** Where the slope of the nonlinearity is less than 7 % of its most. */
const SATURATED = { sigmoid: 4, tanh: 2, relu: 0 } as const;

const host = (id: string) => document.getElementById(id)!;

/** Test accuracy and loss of both networks. */
export function accuracyPlots(): (history: readonly Measurement[]) => void {
  const accuracy = makePlot(host('accuracy-plot'), {
    scales: { x: stepScale, y: { range: [0, 1] } },
    axes: [axis(30), axis(46, { values: (_, ticks) => ticks.map((tick) => `${Math.round(tick * 100)} %`) })],
    series: [{}, lineOf('without'), lineOf('with')],
  }, [[], [], []]);
  const loss = makePlot(host('loss-plot'), {
    scales: { x: stepScale, y: { distr: 3, range: [0.1, 20] } },
    axes: [axis(30), axis(46, { values: (_, ticks) => ticks.map((tick) => ([0.1, 0.3, 1, 3, 10].includes(tick) ? String(tick) : '')), splits: () => [0.1, 0.3, 1, 3, 10] })],
    series: [{}, lineOf('without'), lineOf('with')],
  }, [[], [], []]);
  return (history) => {
    const steps = history.map(({ step }) => step);
    const of = (value: 'accuracy' | 'loss') => NETWORKS.map((_, i) => history.map(({ networks }) => {
      const { [value]: number, divergedAt } = networks[i]!;
      return divergedAt === null && Number.isFinite(number) ? number : null;
    }));
    accuracy.setData([steps, ...of('accuracy')] as uPlot.AlignedData);
    loss.setData([steps, ...of('loss')] as uPlot.AlignedData);
  };
}

/** A ridge a layer, the first on top, each scaled to its own height. */
export function histogramPlots(): (latest: Measurement, activation: Activation) => void {
  let plots: uPlot[] = [];
  let shown = '';
  return (latest, activation) => {
    const depth = latest.networks[0].histograms.length, range = HISTOGRAM_RANGE[activation];
    const wanted = `${depth} ${activation}`;
    const data = latest.networks.map(({ histograms }) => ridges(histograms, range));
    if (wanted === shown) {
      plots.forEach((plot, i) => { plot.setData(data[i]!); });
      return;
    }
    plots.forEach(destroyPlot);
    plots = NETWORKS.map((network, i) => makePlot(host(`histogram-${network}`), ridgeOptions(network, depth, activation), data[i]!));
    shown = wanted;
  };
}

/** The bins' centres, then for each layer its ridge and the ground it stands on. */
function ridges(histograms: readonly Float32Array[], range: number): uPlot.AlignedData {
  const centres = Array.from({ length: BINS }, (_, bin) => ((bin + 0.5) / BINS * 2 - 1) * range);
  const series = histograms.flatMap((bins, layer) => {
    const ground = histograms.length - 1 - layer, most = Math.max(...bins) || 1;
    return [Array.from(bins, (share) => ground + (0.9 * share) / most), centres.map(() => ground)];
  });
  return [centres, ...series];
}

function ridgeOptions(network: 'without' | 'with', depth: number, activation: Activation): Omit<uPlot.Options, 'width' | 'height'> {
  const range = HISTOGRAM_RANGE[activation];
  const ridge = lineOf(network, { width: 1.5 });
  return {
    scales: { x: { time: false, range: [-range, range] }, y: { range: [-0.05, depth] } },
    axes: [
      axis(30, { grid: { show: false } }),
      axis(26, {
        splits: () => Array.from({ length: depth }, (_, i) => i), values: (_, grounds) => grounds.map((ground) => `${depth - ground}`),
      }),
    ],
    series: [{}, ...Array.from({ length: depth }, () => [{ ...ridge, dash: [] }, { width: 0, points: { show: false } }]).flat()],
    bands: Array.from({ length: depth }, (_, layer) => ({ series: [2 * layer + 1, 2 * layer + 2], fill: () => colour(`${network}-fill`) })),
    hooks: { drawClear: [(plot) => shadeSaturated(plot, activation)] },
  };
}

function shadeSaturated(plot: uPlot, activation: Activation): void {
  const { left, top, width, height } = plot.bbox;
  const limit = SATURATED[activation];
  const from = plot.valToPos(-limit, 'x', true), to = plot.valToPos(limit, 'x', true);
  plot.ctx.fillStyle = colour('shade');
  plot.ctx.fillRect(left, top, from - left, height);
  if (activation !== 'relu') plot.ctx.fillRect(to, top, left + width - to, height);
}

/** 15th, 50th and 85th percentile of the inputs of one unit, both networks over one range. */
export function percentilePlots(): (history: readonly Measurement[], layer: number) => void {
  let range: [number, number] = [-1, 1];
  const plots = NETWORKS.map((network) => {
    const line = lineOf(network);
    return makePlot(host(`percentiles-${network}`), {
      scales: { x: stepScale, y: { range: () => range } },
      axes: [axis(30), axis(38)],
      series: [{}, { ...line, width: 1 }, line, { ...line, width: 1 }],
      bands: [{ series: [3, 1], fill: () => colour(`${network}-fill`) }],
    }, [[], [], [], []]);
  });
  return (history, layer) => {
    const steps = history.map(({ step }) => step);
    const bands = NETWORKS.map((_, i) => [0, 1, 2].map((p) => history.map(({ networks }) => {
      const value = networks[i]!.percentiles[layer]![p]!;
      return Number.isFinite(value) ? value : null;
    })));
    const most = Math.max(1, ...bands.flat(2).map((value) => Math.abs(value ?? 0)));
    const half = niceAbove(most);
    range = [-half, half];
    plots.forEach((plot, i) => { plot.setData([steps, ...bands[i]!] as uPlot.AlignedData); });
  };
}

/** The least of 1, 1.5, 2, 3, 5, 7, 10, ... times a power of ten that is not below. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 5, 7, 10].find((step) => step * power >= value)!;
}
