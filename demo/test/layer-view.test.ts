import { describe, expect, it } from 'vitest';
import { BINS, HISTOGRAM_RANGE, type NetworkMeasurement } from '../network/experiment.js';
import { FLAT, flatRanges, layerViews } from '../training/layer-view.js';

const measured = (histograms: Float32Array[], gradients: number[]) => ({ histograms, gradients }) as unknown as NetworkMeasurement;
const even = new Float32Array(BINS).fill(1 / BINS);

describe.each(['sigmoid', 'tanh', 'relu'] as const)('a layer of %s', (activation) => {
  it('has the share of the bins beyond the limit in its flat range', () => {
    const share = (HISTOGRAM_RANGE[activation] - FLAT[activation]) / HISTOGRAM_RANGE[activation], sides = activation === 'relu' ? 1 : 2;
    const [view] = layerViews(measured([even], [1]), activation);
    expect(view!.flat).toBe(`${Math.round((100 * share * sides) / 2)} %`);
  });

  it('shades what it counts', () => {
    for (let bin = 0; bin < BINS; bin++) {
      const one = new Float32Array(BINS);
      one[bin] = 1;
      const [view] = layerViews(measured([one], [1]), activation);
      const shaded = flatRanges(activation).some(({ from, to }) => bin >= from && bin < to);
      expect(view!.flat, `bin ${bin}`).toBe(shaded ? '100 %' : '0 %');
    }
  });
});

it('draws the histogram, its highest bin nearly as high as the box', () => {
  const bins = Float32Array.from({ length: BINS }, (_, bin) => bin);
  const [view] = layerViews(measured([bins], [1]), 'sigmoid');
  const points = view!.ridge.slice(1, -1).split('L').map((point) => point.split(' ').map(Number));
  expect(points).toHaveLength(BINS + 2);
  points.slice(1, -1).forEach(([x, y], bin) => {
    expect(x).toBe(bin + 0.5);
    expect(1 - y!).toBeCloseTo((0.92 * bin) / (BINS - 1), 2);
  });
});

it.each([
  [1e-8, 0, '10⁻⁸'], [1e-12, 0, '10⁻¹²'], [1e-4, 0.5, '10⁻⁴'], [7.2e-7, 0.23, '7·10⁻⁷'], [0.0231, 0.8, '0.02'], [1, 1, '1'], [25, 1, '3·10¹'],
  [0, 0, '0'], [Number.NaN, 0, '–'], [Number.POSITIVE_INFINITY, 0, '–'],
])('draws a gradient of %s as a bar of %s and writes it as %s', (size, bar, text) => {
  const [view] = layerViews(measured([even], [size]), 'sigmoid');
  expect(view!.bar).toBeCloseTo(bar, 2);
  expect(view!.gradient).toBe(text);
  expect(view!.label).toContain(text);
});

it('has no share where all inputs are NaN', () => {
  expect(layerViews(measured([new Float32Array(BINS)], [Number.NaN]), 'relu')[0]!.flat).toBe('–');
});
