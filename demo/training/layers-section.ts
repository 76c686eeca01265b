/** The layers of both networks: in the diagrams, in the section on them, and percentiles of one layer against steps. */
import { HISTOGRAM_RANGE, type Measurement } from '../network/experiment.js';
import type { Settings } from '../network/settings.js';
import { element, make, setText } from '../page/dom.js';
import { powerOfTen } from '../page/numbers.js';
import { layerRows } from './layer-rows.js';
import { DECADES, layerViews } from './layer-view.js';
import { NETWORK_NAMES } from './names.js';
import { percentilePlots } from './training-plots.js';

const FLAT_TEXT = {
  sigmoid: 'beyond ±4, where the slope is below 7 % of its maximum.',
  tanh: 'beyond ±2, where the slope is below 7 % of its maximum.',
  relu: 'below 0, where the slope is 0.',
};

export function layersSection(history: () => readonly Measurement[]): { start(settings: Settings): void; show(): void } {
  const slider = element<HTMLInputElement>('layer');
  const lists = NETWORK_NAMES.map((name) => ['diagram', 'layers'].map((place) => layerRows(element(`${place}-${name}`))));
  const showPercentiles = percentilePlots();
  let activation: Settings['activation'] = 'sigmoid';

  function showLayer(): void {
    const text = `${slider.value} of ${slider.max}`;
    setText('layer-value', text);
    slider.setAttribute('aria-valuetext', text);
    if (history().length > 0) showPercentiles(history(), slider.valueAsNumber - 1);
  }

  slider.addEventListener('input', showLayer);
  for (const axis of document.querySelectorAll('.gradient-axis')) {
    axis.replaceChildren(...[DECADES.from, (DECADES.from + DECADES.to) / 2, DECADES.to].map((power) => make('span', '', powerOfTen(10 ** power))));
  }
  return {
    start(settings) {
      ({ activation } = settings);
      slider.max = String(settings.depth);
      slider.value = slider.max;
      showLayer();
      setText('flat-text', FLAT_TEXT[activation]);
      const range = HISTOGRAM_RANGE[activation];
      for (const axis of document.querySelectorAll('.input-axis')) {
        axis.replaceChildren(...[-range, -range / 2, 0, range / 2, range].map((tick) => make('span', '', String(tick).replace('-', '−'))));
      }
    },
    show() {
      const latest = history().at(-1)!;
      lists.forEach((places, i) => {
        const views = layerViews(latest.networks[i]!, activation);
        for (const showRows of places) showRows(views, activation);
      });
      showLayer();
    },
  };
}
