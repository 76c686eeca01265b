/**
 * The layers of a network, one row each, the first on top: a ridge of the inputs of its nonlinearity, and a bar of its gradient.
 * Text is in elements of its own: uPlot writes the numbers of an axis again only if its range has changed, so they would be old.
 */
import type { Activation } from '../network/activation.js';
import { BINS } from '../network/experiment.js';
import { make, makeSvg, setAttributes, showText } from '../page/dom.js';
import { flatRanges, type LayerView } from './layer-view.js';

interface Row {
  readonly item: HTMLElement;
  readonly ridge: SVGElement;
  readonly flat: HTMLElement;
  readonly bar: HTMLElement;
  readonly gradient: HTMLElement;
  readonly label: HTMLElement;
}

/** @returns a function that shows the layers of a measurement in the list `host` */
export function layerRows(host: HTMLElement): (views: readonly LayerView[], activation: Activation) => void {
  let rows: Row[] = [];
  let drawn = '';
  return (views, activation) => {
    const wanted = `${views.length} ${activation}`;
    if (drawn !== wanted) {
      rows = views.map((_, layer) => makeRow(layer + 1, activation));
      host.replaceChildren(...rows.map(({ item }) => item));
      drawn = wanted;
    }
    views.forEach((view, layer) => { showRow(rows[layer]!, view); });
  };
}

function makeRow(number: number, activation: Activation): Row {
  const ridge = makeSvg('path', { class: 'ridge-line' });
  const shades = flatRanges(activation).map(({ from, to }) => makeSvg('rect', { x: from, width: to - from, height: 1, class: 'flat-range' }));
  const picture = makeSvg('svg', { viewBox: `0 0 ${BINS} 1`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...shades, ridge);
  const flat = make('span', 'flat-share'), gradient = make('span', 'gradient-size'), bar = make('i', ''), label = make('span', 'hidden');
  for (const part of [flat, gradient]) part.setAttribute('aria-hidden', 'true');
  const index = make('span', 'index', String(number));
  index.setAttribute('aria-hidden', 'true');
  const item = make('li', '', index, make('div', 'ridge-box'), flat, make('span', 'gradient-bar', bar), gradient, label);
  item.querySelector('.ridge-box')!.append(picture);
  return { item, ridge, flat, bar, gradient, label };
}

function showRow({ ridge, flat, bar, gradient, label }: Row, view: LayerView): void {
  setAttributes(ridge, { d: view.ridge });
  showText(flat, view.flat);
  bar.style.transform = `scaleX(${view.bar.toFixed(3)})`;
  showText(gradient, view.gradient);
  showText(label, view.label);
}
