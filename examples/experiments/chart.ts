/** Draws panels as SVG: side by side, or one below the other for narrow screens. */
import * as echarts from 'echarts';
import { type Axis, distinct, type Panel, type Series } from './experiment.js';

const FONT = 14;
const PANEL = { width: 400, height: 280, left: 78, gap: 96, right: 30 };
const TOP = 46;
const BOTTOM = 96;
/** Distances between panels one below the other, and between the names in their legend. */
const ROW_GAP = 110;
const NAME_PITCH = 24;
/** Without and with batch norm first, as in Figure 1. */
const STYLES = [
  { color: '#c0392b', type: 'dashed' },
  { color: '#1f4e9c', type: 'solid' },
  { color: '#d9660f', type: 'solid' },
  { color: '#1a9850', type: 'dashed' },
  { color: '#6c3fb3', type: 'solid' },
  { color: '#555555', type: 'dotted' },
] as const;

export function chart(title: string, panels: readonly Panel[], narrow = false): string {
  const names = namesOf(panels), last = panels.length - 1;
  const left = (i: number) => PANEL.left + (narrow ? 0 : i * (PANEL.width + PANEL.gap));
  const top = (i: number) => TOP + (narrow ? i * (PANEL.height + ROW_GAP) : 0);
  const width = left(last) + PANEL.width + PANEL.right;
  const height = top(last) + PANEL.height + BOTTOM + (narrow ? (names.length - 1) * NAME_PITCH : 0);
  const canvas = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  canvas.setOption({
    animation: false,
    backgroundColor: '#fff',
    textStyle: { fontFamily: 'Helvetica, Arial, sans-serif', fontSize: FONT, color: '#000' },
    title: panels.map((panel, i) => ({
      text: panel.title, left: left(i) + PANEL.width / 2, top: top(i) - TOP + 12, textAlign: 'center',
      textStyle: { fontSize: FONT + 1, fontWeight: 'normal', color: '#000' },
    })),
    grid: panels.map((_, i) => ({ left: left(i), width: PANEL.width, top: top(i), height: PANEL.height, show: true, borderColor: '#444' })),
    xAxis: panels.map(({ x }, gridIndex) => ({ ...axis(x), gridIndex, nameGap: 28 })),
    yAxis: panels.map(({ y }, gridIndex) => ({ ...axis(y), gridIndex, nameGap: 52 })),
    legend: {
      data: names, left: 'center', bottom: 8, itemWidth: 36, itemHeight: 0, textStyle: { fontSize: FONT, color: '#000' },
      ...(narrow ? { orient: 'vertical', itemGap: NAME_PITCH - FONT } : { itemGap: 28 }),
    },
    series: panels.flatMap((panel, i) => panel.series.flatMap((series) => draw(series, i, names.indexOf(series.name)))),
  });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  return named(svg).replace(/^<svg ([^>]*)>/, `<svg role="img" $1><title>${title}</title>`);
}

/** The alternative text of a figure. */
export function description(panels: readonly Panel[]): string {
  const axes = panels.map(({ title, x, y }) => `${y.name} against ${x.name}${title === y.name ? '' : ` (${title})`}`);
  return `${axes.join('; ')}. Lines: ${namesOf(panels).join(', ')}`;
}

function namesOf(panels: readonly Panel[]): string[] {
  return distinct(panels.flatMap(({ series }) => series.map(({ name }) => name)));
}

/** ECharts numbers names across all charts. Renumbers them, so that they do not depend on earlier charts. */
function named(svg: string): string {
  const names = distinct(svg.match(/\bzr\d+-\w+(?:-\d+)?/g) ?? []);
  return svg.replaceAll(/\bzr\d+-\w+(?:-\d+)?/g, (name) => `n${names.indexOf(name)}`);
}

function axis({ name, log = false, min, max }: Axis) {
  return {
    type: log ? 'log' : 'value', name, min, max, nameLocation: 'middle', nameTextStyle: { fontSize: FONT },
    axisLine: { onZero: false }, axisLabel: { fontSize: FONT - 1, color: '#000', formatter: log ? shortest : undefined },
    splitLine: { lineStyle: { color: '#e4e4e4' } },
  };
}

function shortest(value: number): string {
  return value < 1e-3 || value >= 1e5 ? value.toExponential(0) : String(value);
}

function draw({ name, line, dots = [] }: Series, index: number, style: number) {
  const { color, type } = STYLES[style % STYLES.length]!;
  const place = { xAxisIndex: index, yAxisIndex: index, itemStyle: { color } };
  return [
    { ...place, type: 'line', name, data: line, symbol: 'none', lineStyle: { color, type, width: 2 } },
    { ...place, type: 'scatter', data: dots, symbolSize: 5, itemStyle: { color, opacity: 0.55 } },
  ];
}
