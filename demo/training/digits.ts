/** Shows a few test images and the digits that the networks read in them. */
import { PIXELS } from '../network/data.js';
import type { Measurement } from '../network/experiment.js';
import type { Example } from '../network/worker.js';
import { element, make } from '../page/dom.js';
import { colour, onScheme } from '../page/plots.js';
import { NETWORK_NAMES } from './names.js';

const SIDE = Math.sqrt(PIXELS);

interface Shown {
  readonly label: number;
  readonly canvas: HTMLCanvasElement;
  /** Without and with batch norm. */
  readonly answers: readonly HTMLElement[];
}

let shown: Shown[] = [];

export function showExamples(examples: readonly Example[]): void {
  shown = examples.map(({ label }) => ({ label, canvas: digitCanvas(label), answers: NETWORK_NAMES.map((network) => make('b', network, '–')) }));
  element('digits').replaceChildren(...shown.map(({ canvas, answers: [without, withNorm] }) => make('li', '', canvas, make(
    'span', '', make('span', 'hidden', 'without batch norm: '), without!, make('span', 'hidden', ' with: '), withNorm!,
  ))));
  const inputs = Array.from(document.querySelectorAll('.network .image'), (place) => {
    const canvas = digitCanvas(examples[0]!.label);
    place.replaceChildren(canvas);
    return canvas;
  });
  const draw = () => {
    shown.forEach(({ canvas }, i) => { drawDigit(canvas, examples[i]!); });
    for (const canvas of inputs) drawDigit(canvas, examples[0]!);
  };
  draw();
  onScheme(draw);
}

export function showAnswers({ networks }: Measurement): void {
  NETWORK_NAMES.forEach((network, k) => {
    const answers = networks[k]!.answers;
    shown.forEach(({ label, answers: targets }, i) => { showAnswer(targets[k]!, answers[i]!, label); });
    if (shown.length > 0) showAnswer(document.querySelector(`.network.${network} .answer`)!, answers[0]!, shown[0]!.label);
  });
}

function showAnswer(target: Element, answer: number, label: number): void {
  target.textContent = String(answer);
  target.classList.toggle('wrong', answer !== label);
}

function digitCanvas(label: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `a handwritten ${label}`);
  return canvas;
}

function drawDigit(canvas: HTMLCanvasElement, { pixels }: Example): void {
  const context = canvas.getContext('2d')!;
  context.clearRect(0, 0, SIDE, SIDE);
  context.fillStyle = colour('ink');
  pixels.forEach((pixel, i) => { if (pixel) context.fillRect(i % SIDE, Math.floor(i / SIDE), 1, 1); });
}
