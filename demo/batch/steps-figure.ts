/** The steps of a batch as rows of dots over one axis: x, its mean, its spread, x̂ and y. The values of x can be dragged. */
import { makeSvg, setAttributes } from '../page/dom.js';
import { decimal } from '../page/numbers.js';
import { SIZE, type Steps } from './steps.js';

/** The axis, in the units of x. */
const LEAST = -6, MOST = 12;
/** In pixels, as in the style sheet: the height of a step, and the margin at both ends of the axis. */
const ROW = 70, MARGIN = 14;
const ROWS = { x: ROW * 0.5, spread: ROW * 2.5, normalised: ROW * 3.5, y: ROW * 4.5 };
const HEIGHT = 5 * ROW + 18;
const KEY_STEP = 0.25;

/** @returns a function that shows a batch; `onMove` receives a value that the visitor moved */
export function batchFigure(host: HTMLElement, onMove: (i: number, value: number) => void): (x: Float64Array, steps: Steps) => void {
  const line = (name: string) => makeSvg('line', { class: name });
  const dots = (name: string) => Array.from({ length: SIZE }, () => makeSvg('circle', { r: 6, class: `dot ${name}` }));
  const mean = line('mean'), spread = makeSvg('rect', { class: 'spread', height: ROW * 0.5, y: ROWS.spread - ROW * 0.25 });
  const links = Array.from({ length: SIZE }, () => [line('link'), line('link')] as const);
  const rows = { x: dots('x'), normalised: dots('normalised'), y: dots('y') };
  const grips = rows.x.map((_, i) => grip(i, onMove));
  const svg = makeSvg('svg', { role: 'group', 'aria-label': 'The eight values of the batch, and what each step makes of them' },
    ...grid(), spread, mean, ...links.flat(), ...Object.values(rows).flat(), ...grips, dragging(host, grips, onMove));
  host.replaceChildren(svg);

  const choose = (chosen: number) => {
    for (const marks of [links.map(([first]) => first), links.map(([, second]) => second), rows.x, rows.normalised, rows.y]) {
      marks.forEach((mark, i) => { mark.classList.toggle('chosen', i === chosen); });
      // On top of the others.
      svg.insertBefore(marks[chosen]!, grips[0]!);
    }
  };
  grips.forEach((handle, i) => { handle.addEventListener('focus', () => choose(i)); });
  choose(0);

  let shown: [Float64Array, Steps] | undefined;
  /** In pixels, so that dots are round at any width. */
  function show(x: Float64Array, steps: Steps): void {
    shown = [x, steps];
    const at = scale(host.clientWidth), deviation = Math.sqrt(steps.variance);
    setAttributes(mean, { x1: at(steps.mean), x2: at(steps.mean), y1: ROWS.x, y2: ROWS.spread + ROW * 0.25 });
    setAttributes(spread, { x: at(steps.mean - deviation), width: at(deviation) - at(-deviation) });
    for (let i = 0; i < SIZE; i++) {
      const from = at(x[i]!), middle = at(steps.normalised[i]!), to = at(steps.y[i]!);
      setAttributes(links[i]![0], { x1: from, y1: ROWS.x, x2: middle, y2: ROWS.normalised });
      setAttributes(links[i]![1], { x1: middle, y1: ROWS.normalised, x2: to, y2: ROWS.y });
      setAttributes(rows.x[i]!, { cx: from, cy: ROWS.x });
      setAttributes(rows.normalised[i]!, { cx: middle, cy: ROWS.normalised });
      setAttributes(rows.y[i]!, { cx: to, cy: ROWS.y });
      setAttributes(grips[i]!, { cx: from, cy: ROWS.x, 'aria-valuenow': x[i]!.toFixed(2), 'aria-valuetext': `${decimal(x[i]!)}, y ${decimal(steps.y[i]!)}` });
    }
  }
  new ResizeObserver(() => {
    placeGrid(svg, scale(host.clientWidth));
    if (shown) show(...shown);
  }).observe(host);
  return show;
}

function scale(width: number): (value: number) => number {
  return (value) => MARGIN + ((clamp(value) - LEAST) / (MOST - LEAST)) * Math.max(width - 2 * MARGIN, 0);
}

const clamp = (value: number) => Math.min(Math.max(value, LEAST), MOST);

/** A ring around a value of x, which is a slider for keyboards and screen readers. */
function grip(i: number, onMove: (i: number, value: number) => void): SVGElement {
  const handle = makeSvg('circle', {
    r: 12, class: 'grip', tabindex: 0, role: 'slider', 'aria-label': `value ${i + 1}`, 'aria-valuemin': LEAST, 'aria-valuemax': MOST,
  });
  handle.addEventListener('keydown', (event) => {
    const now = Number(handle.getAttribute('aria-valuenow'));
    const to = { ArrowRight: now + KEY_STEP, ArrowUp: now + KEY_STEP, ArrowLeft: now - KEY_STEP, ArrowDown: now - KEY_STEP, Home: LEAST, End: MOST }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onMove(i, clamp(to));
  });
  return handle;
}

/** The row of x, in which a pointer takes the nearest value: their rings overlap. */
function dragging(host: HTMLElement, grips: readonly SVGElement[], onMove: (i: number, value: number) => void): SVGElement {
  const strip = makeSvg('rect', { class: 'strip', width: '100%', y: ROWS.x - ROW * 0.35, height: ROW * 0.7 });
  let taken = 0;
  strip.addEventListener('pointerdown', (event) => {
    const at = event.clientX - host.getBoundingClientRect().left;
    const distances = grips.map((handle) => Math.abs(Number(handle.getAttribute('cx')) - at));
    taken = distances.indexOf(Math.min(...distances));
    strip.setPointerCapture(event.pointerId);
    grips[taken]!.focus({ preventScroll: true });
    event.preventDefault();
  });
  strip.addEventListener('pointermove', (event) => {
    if (!strip.hasPointerCapture(event.pointerId)) return;
    const { left, width } = host.getBoundingClientRect();
    onMove(taken, clamp(LEAST + ((event.clientX - left - MARGIN) / (width - 2 * MARGIN)) * (MOST - LEAST)));
  });
  return strip;
}

const TICKS = [-6, -3, 0, 3, 6, 9, 12];

/** Vertical lines at ticks, with their numbers between the rows of x̂ and the end, and a rule for each row of dots. */
function grid(): SVGElement[] {
  const rules = [ROWS.x, ROWS.normalised, ROWS.y].map((y) => makeSvg('line', { class: 'rule', x1: 0, x2: '100%', y1: y, y2: y }));
  const ticks = TICKS.flatMap((tick) => {
    const text = makeSvg('text', { 'data-tick': tick, y: HEIGHT - 4, 'aria-hidden': 'true' });
    text.textContent = decimal(tick, 0);
    return [makeSvg('line', { class: 'grid', 'data-tick': tick, y1: 0, y2: HEIGHT - 18 }), text];
  });
  return [...ticks, ...rules];
}

function placeGrid(svg: SVGElement, at: (value: number) => number): void {
  for (const mark of svg.querySelectorAll<SVGElement>('[data-tick]')) {
    const x = at(Number(mark.dataset.tick));
    setAttributes(mark, mark.tagName === 'text' ? { x } : { x1: x, x2: x });
  }
}
