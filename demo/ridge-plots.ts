/** Inputs of the nonlinearities: one ridge per layer, the first on top, each scaled to the same height. */
import type uPlot from 'uplot';
import type { Activation } from './activation.js';
import { BINS, HISTOGRAM_RANGE, type Measurement } from './experiment.js';
import { element } from './page.js';
import { axis, colour, destroyPlot, lineOf, makePlot, NETWORKS } from './plots.js';

type Histograms = readonly Float32Array[];

/** Beyond these inputs the slope of the nonlinearity is below 7 % of its maximum; for ReLU it is 0 below. */
const SATURATED = { sigmoid: 4, tanh: 2, relu: 0 } as const;

export function ridgePlots(): (latest: Measurement, activation: Activation) => void {
  let plots: Ridges[] = [];
  let shown = '';
  return ({ networks }, activation) => {
    const wanted = `${networks[0].histograms.length} ${activation}`;
    if (wanted !== shown) {
      for (const plot of plots) plot.destroy();
      plots = networks.map(({ histograms }, i) => new Ridges(NETWORKS[i]!, activation, histograms));
      shown = wanted;
    } else plots.forEach((plot, i) => { plot.show(networks[i]!.histograms); });
  };
}

/** The ridges of one network with a fixed depth. */
class Ridges {
  readonly #plot: uPlot;
  readonly #host: HTMLElement;
  readonly #activation: Activation;
  readonly #network: (typeof NETWORKS)[number];
  /** The share in the saturated range for each layer, as text. */
  #saturated: string[] = [];

  constructor(network: (typeof NETWORKS)[number], activation: Activation, histograms: Histograms) {
    this.#network = network;
    this.#activation = activation;
    this.#host = element(`histogram-${network}`);
    this.#describe(histograms);
    this.#plot = makePlot(this.#host, this.#options(histograms.length), ridges(histograms, HISTOGRAM_RANGE[activation]));
  }

  show(histograms: Histograms): void {
    this.#describe(histograms);
    this.#plot.setData(ridges(histograms, HISTOGRAM_RANGE[this.#activation]));
  }

  destroy(): void {
    destroyPlot(this.#plot);
  }

  #describe(histograms: Histograms): void {
    this.#saturated = histograms.map((bins) => `${Math.round(100 * saturatedShare(bins, this.#activation))} %`);
    const shares = this.#saturated.map((share, layer) => `layer ${layer + 1}: ${share}`).join(', ');
    this.#host.setAttribute('aria-label', `Inputs of the nonlinearities ${this.#network} batch norm. In the shaded range: ${shares}.`);
  }

  #options(depth: number): Omit<uPlot.Options, 'width' | 'height'> {
    const network = this.#network, range = HISTOGRAM_RANGE[this.#activation];
    const layers = Array.from({ length: depth }, (_, layer) => layer);
    const layerOf = (ground: number) => depth - 1 - ground;
    const ridge = { ...lineOf(network), width: 1.5, dash: [] }, ground = { width: 0, points: { show: false } };
    return {
      scales: { x: { time: false, range: [-range, range] }, y: { range: [-0.05, depth] } },
      axes: [
        axis(30, { grid: { show: false } }),
        axis(26, { splits: () => layers, values: (_, grounds) => grounds.map((ground) => String(layerOf(ground) + 1)) }),
        axis(44, {
          side: 1, scale: 'y', grid: { show: false },
          splits: () => layers, values: (_, grounds) => grounds.map((ground) => this.#saturated[layerOf(ground)]!),
        }),
      ],
      series: [{}, ...layers.flatMap(() => [ridge, ground])],
      bands: layers.map((layer) => ({ series: [2 * layer + 1, 2 * layer + 2], fill: () => colour(`${network}-fill`) })),
      hooks: { drawClear: [(plot) => shadeSaturated(plot, this.#activation)] },
    };
  }
}

/** The centres of the bins, then for each layer its ridge and its base line. */
function ridges(histograms: Histograms, range: number): uPlot.AlignedData {
  const centres = Array.from({ length: BINS }, (_, bin) => (((bin + 0.5) / BINS) * 2 - 1) * range);
  const series = histograms.flatMap((bins, layer) => {
    const ground = histograms.length - 1 - layer, most = Math.max(...bins) || 1;
    return [Array.from(bins, (share) => ground + (0.9 * share) / most), centres.map(() => ground)];
  });
  return [centres, ...series];
}

/** The share of inputs in the saturated range, whose limits lie between two bins. */
function saturatedShare(bins: Float32Array, activation: Activation): number {
  const limit = SATURATED[activation] / HISTOGRAM_RANGE[activation];
  return bins.reduce((sum, share, bin) => {
    const centre = ((bin + 0.5) / BINS) * 2 - 1;
    return centre < -limit || (activation !== 'relu' && centre > limit) ? sum + share : sum;
  }, 0);
}

function shadeSaturated(plot: uPlot, activation: Activation): void {
  const { left, top, width, height } = plot.bbox, limit = SATURATED[activation];
  const from = plot.valToPos(-limit, 'x', true), to = plot.valToPos(limit, 'x', true);
  plot.ctx.fillStyle = colour('shade');
  plot.ctx.fillRect(left, top, from - left, height);
  if (activation !== 'relu') plot.ctx.fillRect(to, top, left + width - to, height);
}
