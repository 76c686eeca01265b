/** uPlot in the page's colours and with the size of its host element. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { NetworkName } from '../training/names.js';

export type Role = 'without' | 'with' | 'ink' | 'muted' | 'line' | 'shade' | 'without-fill' | 'with-fill';

const colours = new Map<Role, string>();
const plots = new Set<uPlot>();

/** A custom property as a colour that a canvas understands, in the current colour scheme. */
export function colour(role: Role): string {
  let value = colours.get(role);
  if (!value) {
    const probe = document.createElement('i');
    probe.style.color = `var(--${role})`;
    document.body.append(probe);
    value = getComputedStyle(probe).color;
    probe.remove();
    colours.set(role, value);
  }
  return value;
}

const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => {
  colours.clear();
  for (const plot of plots) plot.redraw(false);
});

/** Calls `draw` after the colours have changed; for drawings that are not plots. */
export function onScheme(draw: () => void): void {
  dark.addEventListener('change', draw);
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    for (const plot of plots) if (plot.root.parentElement === target) plot.setSize(sizeOf(target));
  }
});

function sizeOf(host: Element): { width: number; height: number } {
  return { width: Math.max(host.clientWidth, 1), height: host.clientHeight };
}

export function makePlot(host: HTMLElement, options: Omit<uPlot.Options, 'width' | 'height'>, data: uPlot.AlignedData): uPlot {
  const plot = new uPlot({ ...sizeOf(host), legend: { show: false }, cursor: { show: false }, ...options }, data, host);
  plots.add(plot);
  resized.observe(host);
  return plot;
}

export function destroyPlot(plot: uPlot): void {
  plots.delete(plot);
  plot.destroy();
}

/** An axis of fixed size, so that the layout does not move as numbers grow. */
export function axis(size: number, more: uPlot.Axis = {}): uPlot.Axis {
  return {
    size, font: `12px ${FONT}`, labelFont: `12px ${FONT}`, labelSize: 18, gap: 5,
    stroke: () => colour('muted'),
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { show: false },
    values: (_, ticks) => ticks.map((tick) => tick.toLocaleString('en').replace('-', '−')),
    ...more,
  };
}

const FONT = 'ui-sans-serif, system-ui, "Liberation Sans", sans-serif';

/** Dashed without batch norm and solid with it, so that colour is not the only difference. */
export function lineOf(network: NetworkName): uPlot.Series {
  return {
    stroke: () => colour(network), width: 2, points: { show: false },
    ...(network === 'without' ? { dash: [6, 4] } : {}),
  };
}

/** Steps from 0 to the latest, but at least to 100: a slow machine needs a minute for these. */
export const stepScale: uPlot.Scale = { time: false, range: (_, __, max) => [0, Math.max(max ?? 0, 100)] };
