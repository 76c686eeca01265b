/** Shows a few test images and the digits that the networks read in them. */
import type { Measurement } from './experiment.js';
import { element } from './page.js';
import { colour, NETWORKS, onScheme } from './plots.js';
import type { Example } from './worker.js';

const SIDE = 28;

let labels: number[] = [];
let answers: HTMLElement[][] = [];

export function showExamples(examples: readonly Example[]): void {
  labels = examples.map(({ label }) => label);
  const items = Array.from(element('digits').children);
  answers = items.map((item) => NETWORKS.map((network) => item.querySelector<HTMLElement>(`.${network}`)!));
  const draw = () => items.forEach((item, i) => { drawDigit(item.querySelector('canvas')!, examples[i]!); });
  draw();
  onScheme(draw);
}

export function showAnswers({ networks }: Measurement): void {
  answers.forEach((ofImage, i) => {
    ofImage.forEach((target, k) => {
      const answer = networks[k]!.answers[i]!;
      target.textContent = String(answer);
      target.classList.toggle('wrong', answer !== labels[i]);
    });
  });
}

function drawDigit(canvas: HTMLCanvasElement, { pixels, label }: Example): void {
  const context = canvas.getContext('2d')!;
  canvas.setAttribute('aria-label', `a handwritten ${label}`);
  context.clearRect(0, 0, SIDE, SIDE);
  context.fillStyle = colour('ink');
  pixels.forEach((pixel, i) => { if (pixel) context.fillRect(i % SIDE, Math.floor(i / SIDE), 1, 1); });
}
