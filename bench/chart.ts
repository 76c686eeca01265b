/** Time relative to ours in every cell, as SVG: a panel per operation, a row per shape and layout. */
import * as echarts from 'echarts';
import { OPERATIONS } from './cases.js';
import type { Cell } from './measure.js';
import type { Operation } from './protocol.js';
import { outcomeOf, type Results, ratio } from './results.js';
import { OURS } from './sides.js';
import { inThreads, machineLine } from './table.js';

const FONT = 13;
const ROW = 30;
const LABELS = 190;
const PANEL = { width: 320, gap: 22 };
const TOP = 138;
const BOTTOM = 52;
/** Larger ratios are drawn at the edge: the interesting part is near 1. */
const MOST = 100;
const TITLES: Record<Operation, string> = { eval: 'eval', train: 'training forward', backward: 'backward' };
/** Circles for sides that run in browsers, diamonds for native ones, a bar for the memory copy. */
const MARKS: Record<string, { color: string; symbol: string; size?: number }> = {
  'typed arrays': { color: '#1f4e9c', symbol: 'emptyCircle' },
  typescript: { color: '#8c8c8c', symbol: 'circle' },
  copy: { color: '#000000', symbol: 'path://M0,0 L2,0 L2,14 L0,14 Z', size: 16 },
  'tfjs-cpu': { color: '#f0a35e', symbol: 'circle' },
  'tfjs-wasm': { color: '#d9660f', symbol: 'circle' },
  'onnxruntime-web': { color: '#6c3fb3', symbol: 'circle' },
  'jax-js': { color: '#1a9850', symbol: 'circle' },
  'onnxruntime-node': { color: '#6c3fb3', symbol: 'diamond' },
  pytorch: { color: '#c0392b', symbol: 'diamond' },
  'pytorch-malloc': { color: '#c0392b', symbol: 'emptyDiamond' },
  onednn: { color: '#0b8fa8', symbol: 'diamond' },
};

export function chart({ machine, threads, sides, cells }: Results): string {
  const rows = [...new Set(cells.map(rowOf))];
  const drawn = sides.filter(({ name, missing }) => name !== OURS && !missing);
  const width = LABELS + 3 * PANEL.width + 3 * PANEL.gap;
  const height = TOP + rows.length * ROW + BOTTOM;
  const canvas = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  canvas.setOption({
    animation: false,
    backgroundColor: '#fff',
    textStyle: { fontFamily: 'Helvetica, Arial, sans-serif', fontSize: FONT, color: '#000' },
    title: [
      { text: `Time relative to ${OURS}`, subtext: subtitle(`${inThreads(threads)}, float32`, machineLine(machine), sides), left: 16, top: 8, itemGap: 6,
        textStyle: { fontSize: FONT + 4, color: '#000' }, subtextStyle: { fontSize: FONT - 2, color: '#444', lineHeight: 15 } },
      ...OPERATIONS.map((operation, i) => ({
        text: TITLES[operation], left: panelLeft(i) + PANEL.width / 2, top: TOP - 26, textAlign: 'center',
        textStyle: { fontSize: FONT + 1, color: '#000' },
      })),
    ],
    legend: {
      data: drawn.map(({ name }) => name), left: 12, top: 76, itemGap: 24, itemWidth: 14,
      textStyle: { fontSize: FONT - 1, color: '#000' },
    },
    grid: OPERATIONS.map((_, i) => ({ left: panelLeft(i), width: PANEL.width, top: TOP, bottom: BOTTOM, show: true, borderColor: '#888' })),
    xAxis: OPERATIONS.map((_, gridIndex) => ({ ...ratioAxis(cells), gridIndex })),
    yAxis: OPERATIONS.map((_, gridIndex) => ({
      type: 'category', data: rows, inverse: true, gridIndex, axisTick: { show: false },
      axisLabel: { show: gridIndex === 0, fontSize: FONT - 1, color: '#000' },
      splitLine: { show: true, lineStyle: { color: '#ececec' } },
    })),
    series: OPERATIONS.flatMap((operation, i) =>
      drawn.map(({ name }) => ({
        type: 'scatter', name, xAxisIndex: i, yAxisIndex: i,
        symbol: MARKS[name]!.symbol, symbolSize: MARKS[name]!.size ?? 10, symbolKeepAspect: true,
        itemStyle: { color: MARKS[name]!.color, borderWidth: 2, opacity: 0.9 },
        data: cells.filter((cell) => cell.operation === operation).flatMap((cell) => {
          const value = ratio(cell, outcomeOf(cell, name)!);
          return value === undefined ? [] : [[Math.min(value, MOST), rowOf(cell)]];
        }),
        markLine: {
          silent: true, symbol: 'none', label: { show: false }, data: [{ xAxis: 1 }],
          lineStyle: { color: '#1f4e9c', type: 'solid', width: 2 },
        },
      })),
    ),
  });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  return svg;
}

function rowOf({ shape, layout }: Cell): string {
  return shape.split('x').length === 2 ? shape : `${shape} ${layout === 'channels-first' ? 'first' : 'last'}`;
}

function panelLeft(index: number): number {
  return LABELS + index * (PANEL.width + PANEL.gap);
}

function subtitle(how: string, machine: string, sides: Results['sides']): string {
  const versions = sides.filter(({ version, name }) => version && name !== 'pytorch-malloc');
  const unique = versions.filter(({ name }) => !['typed arrays', 'typescript', 'copy'].includes(name));
  const missing = sides.filter((side) => side.missing).map(({ name, missing }) => `${name}: ${missing}`);
  return [
    `${how}; the line is ${OURS} with tensors, slower is to the right (above ${MOST}: at the edge). Channels first or last. ${machine}`,
    unique.map(({ name, version }) => `${name} ${version}`).concat(missing).join(', '),
  ].join('\n');
}

/** A logarithmic axis that includes all ratios and 1. */
function ratioAxis(cells: readonly Cell[]) {
  const values = cells.flatMap((cell) => cell.outcomes.map((outcome) => ratio(cell, outcome) ?? 1));
  return {
    type: 'log', logBase: 10, min: Math.min(...values) / 1.3, max: MOST * 1.3,
    name: 'times as long', nameLocation: 'middle', nameGap: 28, nameTextStyle: { fontSize: FONT },
    axisLabel: { fontSize: FONT - 1, color: '#000', showMinLabel: false, showMaxLabel: false }, axisLine: { onZero: false },
    splitLine: { show: true, lineStyle: { color: '#dcdcdc' } }, minorSplitLine: { show: true, lineStyle: { color: '#f3f3f3' } },
    minorTick: { show: true, splitNumber: 9 },
  };
}
