/** Figure 1 of the paper, as SVG. */
import * as echarts from 'echarts';
import { type Measurement, PERCENTILES } from './evaluate.js';
import type { Run } from './experiment.js';

const WIDTH = 1080;
const HEIGHT = 410;
const FONT = 14;
const STYLES = [
  { color: '#c0392b', type: 'dashed' },
  { color: '#1f4e9c', type: 'solid' },
] as const;
/** Panels (a), (b) and (c): left edge and width; (b) and (c) share their y axis. */
const PANELS = [
  { left: 70, width: 330 },
  { left: 490, width: 240 },
  { left: 790, width: 240 },
] as const;
const TOP = 50;
const BOTTOM = 92;

/** (a) test accuracy against steps; (b, c) percentiles of the input of one sigmoid, without and with batch norm. */
export function figure1(runs: readonly [Run, Run]): string {
  const [without, withNorm] = runs;
  const steps = without.measurements.at(-1)!.step;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    textStyle: { fontFamily: 'Helvetica, Arial, sans-serif', fontSize: FONT, color: '#000' },
    title: ['(a)', `(b) ${without.name}`, `(c) ${withNorm.name}`].map((text, i) => title(text, PANELS[i]!)),
    grid: PANELS.map((panel) => ({ ...panel, top: TOP, bottom: BOTTOM, show: true, borderColor: '#444' })),
    xAxis: PANELS.map((_, gridIndex) => ({
      ...axis('step'), gridIndex, min: 0, max: steps, nameGap: 30, splitNumber: 3, axisLine: { onZero: false },
    })),
    yAxis: [
      { ...axis('test accuracy'), ...accuracyRange(runs), gridIndex: 0, nameGap: 45 },
      { ...axis('input of a sigmoid'), ...inputRange(runs), gridIndex: 1, nameGap: 38 },
      { ...axis(''), ...inputRange(runs), gridIndex: 2, axisLabel: { show: false } },
    ],
    legend: {
      data: [without.name, withNorm.name], left: PANELS[0].left - 10, bottom: 6,
      itemWidth: 36, itemHeight: 0, itemGap: 36, textStyle: { fontSize: FONT, color: '#000' },
    },
    series: runs.flatMap((run, i) => [
      { ...line(run, i, ({ accuracy }) => accuracy), ...panel(0), name: run.name },
      ...PERCENTILES.map((p, k) => ({
        ...line(run, i, ({ percentiles }) => percentiles[k]!), ...panel(i + 1),
        endLabel: { show: true, formatter: `${p}th`, color: '#000', fontSize: FONT - 1 },
        labelLayout: { moveOverlap: 'shiftY' },
      })),
    ]),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function title(text: string, { left, width }: { left: number; width: number }) {
  const textStyle = { fontSize: FONT + 1, fontWeight: 'normal', color: '#000' };
  return { text, left: left + width / 2, top: 16, textAlign: 'center', textStyle };
}

function axis(name: string) {
  return {
    type: 'value', name, nameLocation: 'middle', nameTextStyle: { fontSize: FONT },
    axisLabel: { fontSize: FONT - 1, color: '#000' }, splitLine: { lineStyle: { color: '#e4e4e4' } },
  };
}

function panel(index: number) {
  return { xAxisIndex: index, yAxisIndex: index };
}

function line({ measurements }: Run, index: number, value: (measurement: Measurement) => number) {
  const { color, type } = STYLES[index]!;
  const data = measurements.map((measurement) => [measurement.step, value(measurement)]);
  return { type: 'line', data, symbol: 'none', lineStyle: { color, type, width: 2 }, itemStyle: { color } };
}

/** The paper's range of 0.7 to 1 if both networks get well into it, otherwise 0 to 1. */
function accuracyRange(runs: readonly Run[]) {
  const high = runs.every(({ measurements }) => measurements.at(-1)!.accuracy > 0.8);
  return high ? { min: 0.7, max: 1, interval: 0.1 } : { min: 0, max: 1, interval: 0.2 };
}

/** The range between whole numbers that contains every percentile of both networks. */
function inputRange(runs: readonly Run[]) {
  const values = runs.flatMap(({ measurements }) => measurements.flatMap(({ percentiles }) => percentiles));
  return { min: Math.floor(Math.min(...values)), max: Math.ceil(Math.max(...values)) };
}
