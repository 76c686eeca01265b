/** What the page draws and writes of each layer of a network. The only source of both. */
import type { Activation } from '../network/activation.js';
import { BINS, HISTOGRAM_RANGE, type NetworkMeasurement } from '../network/experiment.js';
import { powerOfTen } from '../page/numbers.js';

/** Beyond these inputs the slope of the nonlinearity is below 7 % of its maximum; for ReLU it is 0 below. */
export const FLAT = { sigmoid: 4, tanh: 2, relu: 0 } as const;
/** The powers of ten that the bars of gradients span; what is beyond is drawn at the end. */
export const DECADES = { from: -8, to: 0 } as const;

export interface LayerView {
  /** The outline of the histogram as an SVG path, in a box of BINS by 1 with the base line at 1. */
  readonly ridge: string;
  /** The share of inputs where the nonlinearity is flat, as text. */
  readonly flat: string;
  /** The size of the gradient, as text and as a fraction of the bar. */
  readonly gradient: string;
  readonly bar: number;
  /** All of it in words. */
  readonly label: string;
}

export function layerViews({ histograms, gradients }: NetworkMeasurement, activation: Activation): LayerView[] {
  return histograms.map((bins, layer) => {
    const share = flatShare(bins, activation), size = gradients[layer]!;
    const flat = Number.isNaN(share) ? '–' : `${Math.round(100 * share)} %`;
    const gradient = Number.isFinite(size) ? powerOfTen(size) : '–';
    return {
      ridge: ridge(bins), flat, gradient, bar: barOf(size),
      label: `layer ${layer + 1}: ${flat} of the inputs in the flat range, gradient ${gradient}`,
    };
  });
}

/** The ranges of inputs where the nonlinearity is flat, in bins. */
export function flatRanges(activation: Activation): { from: number; to: number }[] {
  const limit = (BINS / 2) * (FLAT[activation] / HISTOGRAM_RANGE[activation]);
  const low = { from: 0, to: BINS / 2 - limit };
  return activation === 'relu' ? [low] : [low, { from: BINS / 2 + limit, to: BINS }];
}

/** The limits of flat ranges lie between two bins. NaN if there are no inputs, which happens when all are NaN. */
function flatShare(bins: Float32Array, activation: Activation): number {
  const sum = (from: number, to: number) => bins.subarray(from, to).reduce((total, share) => total + share, 0);
  return flatRanges(activation).reduce((share, { from, to }) => share + sum(from, to), 0) / sum(0, BINS);
}

/** The highest bin nearly fills the height. */
function ridge(bins: Float32Array): string {
  const most = Math.max(...bins) || 1;
  const points = Array.from(bins, (share, bin) => `${bin + 0.5} ${(1 - (0.92 * share) / most).toFixed(3)}`);
  return `M0 1L${points.join('L')}L${BINS} 1Z`;
}

function barOf(size: number): number {
  if (!Number.isFinite(size) || size === 0) return 0;
  return Math.min(Math.max((Math.log10(size) - DECADES.from) / (DECADES.to - DECADES.from), 0), 1);
}
