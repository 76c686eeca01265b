/** Time per element as the work grows: against size at 16 channels, and against channels at one size. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BatchNorm, createRuntime } from 'batchnorm-wasm';
import { SingleBar } from 'cli-progress';
import { OPERATIONS } from './cases.js';
import { fill } from './data.js';
import { FULL, interleave, QUICK, type Sampler } from './interleave.js';
import type { Layout, Operation } from './protocol.js';
import { machine } from './results.js';
import { type Axis, type Point, scalingChart } from './scaling-chart.js';
import { machineLine } from './table.js';

const BATCH = 4;
const CHANNELS = 16;
const SIZE = 2 ** 20;
/** A point whose time per element is more than this many times a neighbour's is a cliff. */
const CLIFF = 2;
/** This many values are generated and repeated: generating a hundred million would take longer than the benchmark. */
const PERIOD = 999_983;

const HELP = `npm run bench -- scaling [options]

  --most N             largest size, default 1e8 (1.2 GB of tensors)
  --quick              fewer samples
  --out DIRECTORY      for scaling.json and scaling.svg; default out, bench/results for the README
  --help               this text
`;

const { values: options } = parseArgs({
  options: {
    most: { type: 'string', default: '1e8' }, quick: { type: 'boolean' }, out: { type: 'string', default: 'out' },
    help: { type: 'boolean' },
  },
});

if (options.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const most = Number(options.most);
  if (!(most >= 1000)) throw new RangeError(`--most expected a number of at least 1000, got ${options.most}`);
  const jobs = jobsUpTo(most);
  const bar = new SingleBar({ format: '{bar} {value}/{total} {what}', hideCursor: true, clearOnComplete: true, noTTYOutput: false });
  bar.start(jobs.length, 0, { what: '' });
  const points: Point[] = [];
  for (const { axis, shape, layout } of jobs) {
    bar.update({ what: `${shape.join('x')} ${layout}` });
    points.push(...(await measure(axis, shape, layout)));
    bar.increment();
  }
  bar.stop();
  const cliffs = cliffsOf(points);
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, 'scaling.json'), `${JSON.stringify({ machine: machine(), points, cliffs }, null, 1)}\n`);
  writeFileSync(join(options.out, 'scaling.svg'), scalingChart(machine(), points));
  console.log(`${machineLine(machine())} One thread, float32 tensors.`);
  console.log(cliffs.length ? cliffs.join('\n') : `no point costs more than ${CLIFF} times its neighbour per element`);
  console.log(`written to ${options.out}/scaling.json and scaling.svg`);
}

function jobsUpTo(most: number): { axis: Axis; shape: Point['shape']; layout: Layout }[] {
  const sizes = [3, 4, 5, 6, 7, 8].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)).filter((size) => size <= most);
  const channels = Array.from({ length: 17 }, (_, power) => [2 ** power, 3 * 2 ** power]).flat().filter((c) => c <= 65536);
  const shaped = (size: number, c: number): Point['shape'] => [BATCH, c, Math.max(Math.round(size / BATCH / c), 1)];
  const shapes = [
    ...sizes.map((size) => ({ axis: 'size' as const, shape: shaped(size, CHANNELS) })),
    ...channels.sort((a, b) => a - b).map((c) => ({ axis: 'channels' as const, shape: shaped(SIZE, c) })),
  ];
  return shapes.flatMap((each) => (['channels-first', 'channels-last'] as const).map((layout) => ({ ...each, layout })));
}

async function measure(axis: Axis, shape: Point['shape'], layout: Layout): Promise<Point[]> {
  const [n, channels, positions] = shape;
  const size = n * channels * positions;
  const runtime = createRuntime({ kind: 'wasm-simd' });
  const bn = new BatchNorm(channels, { runtime, layout });
  const tensor = () => runtime.tensor(layout === 'channels-first' ? shape : [n, positions, channels]);
  const x = tensor(), dy = tensor(), out = tensor();
  repeat(fill(Math.min(PERIOD, size), 1, 3), x.data);
  repeat(fill(Math.min(PERIOD, size), 2, 0), dy.data);
  bn.forward(x, { out });
  const context = bn.context!;
  const run: Record<Operation, () => void> = {
    eval: () => { bn.eval().forward(x, { out }); },
    train: () => { bn.train().forward(x, { out }); },
    backward: () => { bn.backward(dy, { context, out }); },
  };
  const results = await interleave(OPERATIONS.map((operation) => sampler(run[operation])), options.quick ? QUICK : FULL);
  runtime.dispose();
  return results.map((times, i) => {
    if (times instanceof Error) throw times;
    return { axis, layout, operation: OPERATIONS[i]!, shape, size, channels, times, perElement: (times.median * 1e6) / size };
  });
}

function sampler(run: () => void): Sampler {
  const repeat = (calls: number) => { for (let i = 0; i < calls; i++) run(); };
  return (untimed, timed) => {
    repeat(untimed);
    const start = performance.now();
    repeat(timed);
    return (performance.now() - start) / timed;
  };
}

function repeat(values: Float32Array, target: { set(values: Float32Array, at: number): void; length: number }): void {
  for (let at = 0; at < target.length; at += values.length) target.set(values.subarray(0, target.length - at), at);
}

/** Reports each point that costs more than twice as much per element as the point before or after it on its line. */
function cliffsOf(points: readonly Point[]): string[] {
  const nameOf = ({ axis, layout, operation }: Point) => `${operation} ${layout} by ${axis}`;
  return [...new Set(points.map(nameOf))].flatMap((name) => {
    const line = points.filter((point) => nameOf(point) === name);
    return line.flatMap((point, i) =>
      [line[i - 1], line[i + 1]].flatMap((neighbour) => {
        if (!neighbour || point.perElement <= CLIFF * neighbour.perElement) return [];
        const costs = `${point.perElement.toFixed(2)} ns per element against ${neighbour.perElement.toFixed(2)}`;
        return `${name}: ${point.shape.join('x')} costs ${costs} for ${neighbour.shape.join('x')}`;
      }),
    );
  });
}
