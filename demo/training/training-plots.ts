/** Plots against steps: accuracy and loss, and percentiles of the inputs of one nonlinearity. */
import type uPlot from 'uplot';
import type { Measurement } from '../network/experiment.js';
import { element } from '../page/dom.js';
import { axis, colour, lineOf, makePlot, stepScale } from '../page/plots.js';
import { NETWORK_NAMES } from './names.js';

const LOSS_TICKS = [0.1, 0.3, 1, 3, 10];

/** Test accuracy and loss of both networks. */
export function accuracyPlots(): (history: readonly Measurement[]) => void {
  const accuracy = makePlot(element('accuracy-plot'), {
    scales: { x: stepScale, y: { range: [0, 1] } },
    axes: [axis(30), axis(46, { values: (_, ticks) => ticks.map((tick) => `${Math.round(tick * 100)} %`) })],
    series: [{}, lineOf('without'), lineOf('with')],
  }, [[], [], []]);
  const loss = makePlot(element('loss-plot'), {
    scales: { x: stepScale, y: { distr: 3, range: [0.1, 20] } },
    axes: [axis(30), axis(46, { splits: () => LOSS_TICKS, filter: (_, ticks) => ticks, values: (_, ticks) => ticks.map(String) })],
    series: [{}, lineOf('without'), lineOf('with')],
  }, [[], [], []]);
  return (history) => {
    const steps = history.map(({ step }) => step);
    const of = (value: 'accuracy' | 'loss') => NETWORK_NAMES.map((_, i) => history.map(({ networks }) => {
      const { [value]: number, divergedAt } = networks[i]!;
      return divergedAt === null && Number.isFinite(number) ? number : null;
    }));
    accuracy.setData([steps, ...of('accuracy')] as uPlot.AlignedData);
    loss.setData([steps, ...of('loss')] as uPlot.AlignedData);
  };
}

/** 15th, 50th and 85th percentile of the inputs of one unit, with the same range for both networks. */
export function percentilePlots(): (history: readonly Measurement[], layer: number) => void {
  let range: [number, number] = [-1, 1];
  const plots = NETWORK_NAMES.map((network) => {
    const line = lineOf(network);
    return makePlot(element(`percentiles-${network}`), {
      scales: { x: stepScale, y: { range: () => range } },
      axes: [axis(30), axis(38)],
      series: [{}, { ...line, width: 1 }, line, { ...line, width: 1 }],
      bands: [{ series: [3, 1], fill: () => colour(`${network}-fill`) }],
    }, [[], [], [], []]);
  });
  return (history, layer) => {
    const steps = history.map(({ step }) => step);
    const bands = NETWORK_NAMES.map((_, i) => [0, 1, 2].map((p) => history.map(({ networks }) => {
      const value = networks[i]!.percentiles[layer]![p]!;
      return Number.isFinite(value) ? value : null;
    })));
    const most = Math.max(1, ...bands.flat(2).map((value) => Math.abs(value ?? 0)));
    const half = niceAbove(most);
    range = [-half, half];
    plots.forEach((plot, i) => { plot.setData([steps, ...bands[i]!] as uPlot.AlignedData); });
  };
}

/** The smallest number at or above `value` that is 1, 1.5, 2, 3, 5 or 7 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 5, 7, 10].find((step) => step * power >= value)!;
}
