/** Time per element against size and against channels, as SVG. */
import * as echarts from 'echarts';
import { OPERATIONS } from './cases.js';
import type { Times } from './interleave.js';
import type { Layout, Operation } from './protocol.js';
import type { Machine } from './results.js';
import { machineLine } from './table.js';

export type Axis = 'size' | 'channels';

export interface Point {
  readonly axis: Axis;
  readonly layout: Layout;
  readonly operation: Operation;
  /** Channels-first. */
  readonly shape: readonly [number, number, number];
  readonly size: number;
  readonly channels: number;
  readonly times: Times;
  /** Median nanoseconds per element. */
  readonly perElement: number;
}

const FONT = 13;
const WIDTH = 1080;
const HEIGHT = 470;
const TOP = 112;
const BOTTOM = 60;
const PANELS: readonly { axis: Axis; title: string; left: number; width: number }[] = [
  { axis: 'size', title: 'elements, at 16 channels', left: 70, width: 460 },
  { axis: 'channels', title: 'channels, at 2^20 elements', left: 606, width: 444 },
];
const COLORS: Record<Operation, string> = { eval: '#1a9850', train: '#1f4e9c', backward: '#c0392b' };
const DASHES: Record<Layout, string> = { 'channels-first': 'solid', 'channels-last': 'dashed' };

export function scalingChart(machine: Machine, points: readonly Point[]): string {
  const lines = OPERATIONS.flatMap((operation) =>
    (['channels-first', 'channels-last'] as const).map((layout) => ({ operation, layout, name: `${operation}, ${layout}` })));
  const costs = points.map(({ perElement }) => perElement);
  const canvas = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  canvas.setOption({
    animation: false,
    backgroundColor: '#fff',
    textStyle: { fontFamily: 'Helvetica, Arial, sans-serif', fontSize: FONT, color: '#000' },
    title: {
      text: 'Time per element as the work grows', subtext: `One thread, float32 tensors. ${machineLine(machine)}`, left: 16, top: 8,
      textStyle: { fontSize: FONT + 4, color: '#000' }, subtextStyle: { fontSize: FONT - 2, color: '#444' },
    },
    legend: { data: lines.map(({ name }) => name), left: 12, top: 66, itemGap: 20, itemWidth: 30, textStyle: { fontSize: FONT - 1, color: '#000' } },
    grid: PANELS.map(({ left, width }) => ({ left, width, top: TOP, bottom: BOTTOM, show: true, borderColor: '#888' })),
    xAxis: PANELS.map(({ axis, title }, gridIndex) => ({
      ...logarithmic(title, 30), gridIndex, min: 'dataMin', max: 'dataMax', logBase: axis === 'size' ? 10 : 4,
      axisLabel: { fontSize: FONT - 1, color: '#000', formatter: (value: number) => label(axis, value), hideOverlap: true },
    })),
    yAxis: PANELS.map((_, gridIndex) => ({
      ...logarithmic('ns per element', 42), gridIndex, logBase: 10, min: Math.min(...costs) / 1.2, max: Math.max(...costs) * 1.2,
      axisLabel: { fontSize: FONT - 1, color: '#000', showMinLabel: false, showMaxLabel: false },
      minorTick: { show: true, splitNumber: 9 }, minorSplitLine: { show: true, lineStyle: { color: '#f3f3f3' } },
    })),
    series: PANELS.flatMap(({ axis }, i) =>
      lines.map(({ operation, layout, name }) => ({
        type: 'line', name, xAxisIndex: i, yAxisIndex: i, symbol: layout === 'channels-first' ? 'circle' : 'emptyCircle', symbolSize: 5,
        lineStyle: { color: COLORS[operation], type: DASHES[layout], width: 2 }, itemStyle: { color: COLORS[operation] },
        data: points
          .filter((point) => point.axis === axis && point.operation === operation && point.layout === layout)
          .map((point) => [point[axis], point.perElement]),
      })),
    ),
  });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  return svg;
}

function logarithmic(name: string, nameGap: number) {
  return {
    type: 'log', name, nameLocation: 'middle', nameGap, nameTextStyle: { fontSize: FONT }, axisLine: { onZero: false },
    splitLine: { show: true, lineStyle: { color: '#dcdcdc' } },
  };
}

function label(axis: Axis, value: number): string {
  return axis === 'size' ? value.toExponential(0).replace('+', '') : String(value);
}
