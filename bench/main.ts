/** Benchmark of the build in dist/: the WebAssembly kernels against the TypeScript ones and a memory copy, in one run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { BYTES, layoutsOf, makeCase, OPERATIONS, type Operation, SHAPES } from './cases.js';
import { geometricMean, interleave, type Times } from './harness.js';
import { verify } from './verify.js';

interface Row {
  readonly shape: string;
  readonly layout: string;
  readonly operation: Operation;
  readonly wasm: Times;
  readonly typescript: Times;
  readonly copy: Times;
  readonly gigabytesPerSecond: number;
  readonly copies: number;
  readonly speedup: number;
}

const HELP = `npm run bench -- [options]

  --json          also write the results to out/bench.json
  --only SHAPE    one shape only, such as 60x100 (channels-first)
  --help          this text
`;

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string' }, help: { type: 'boolean' } },
});

if (options.help) console.log(HELP);
else main();

function main(): void {
  const shapes = SHAPES.filter((shape) => !options.only || shape.join('x') === options.only);
  if (shapes.length === 0) {
    console.error(`--only expected one of ${SHAPES.map((shape) => shape.join('x')).join(', ')}, got ${options.only}`);
    process.exit(1);
  }
  const machine = { cpu: cpus()[0]!.model, cores: cpus().length, node: process.version, date: new Date().toISOString().slice(0, 10) };
  console.log(`${machine.cpu}, Node ${machine.node}, one thread, float32 tensors, each result verified before it is timed\n`);
  console.log(line('shape', 'layout', 'operation', 'ms', 'min', 'GB/s', 'x copy', 'x TypeScript'));
  const bar = new SingleBar({ format: '{bar} {value}/{total} {what}', hideCursor: true, clearOnComplete: true, noTTYOutput: false });
  bar.start(shapes.reduce((total, shape) => total + layoutsOf(shape).length * OPERATIONS.length, 0), 0, { what: '' });
  const rows: Row[] = [];
  for (const shape of shapes) {
    for (const layout of layoutsOf(shape)) {
      const each = makeCase(shape, layout);
      for (const operation of OPERATIONS) {
        bar.update({ what: `${each.shape.join('x')} ${operation}` });
        const [wasm, typescript] = each.sides as [typeof each.sides[0], typeof each.sides[0]];
        for (const side of each.sides) verify(operation, side, each);
        const [w, t, c] = interleave([wasm.run[operation], typescript.run[operation], wasm.run.copy], 1000) as [Times, Times, Times];
        rows.push({
          shape: each.shape.join('x'), layout, operation, wasm: w, typescript: t, copy: c,
          gigabytesPerSecond: (each.size * BYTES[operation]) / w.median / 1e6,
          copies: w.median / c.median, speedup: t.median / w.median,
        });
        print(rows.at(-1)!, bar);
        bar.increment();
      }
      for (const side of each.sides) side.dispose();
    }
  }
  bar.stop();
  const speedup = geometricMean(rows.map((row) => row.speedup));
  console.log(`\ngeometric mean: ${speedup.toFixed(1)} times TypeScript, ${geometricMean(rows.map((row) => row.copies)).toFixed(2)} copies`);
  if (options.json) {
    mkdirSync('out', { recursive: true });
    writeFileSync('out/bench.json', `${JSON.stringify({ machine, speedup, rows }, null, 1)}\n`);
    console.log('written to out/bench.json');
  }
}

/** Prints a row above the progress bar. */
function print(row: Row, bar: SingleBar): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  console.log(line(
    row.shape, row.layout, row.operation, digits(row.wasm.median), digits(row.wasm.least),
    row.gigabytesPerSecond.toFixed(1), row.copies.toFixed(2), row.speedup.toFixed(1),
  ));
  if (process.stderr.isTTY) bar.render();
}

function line(...cells: string[]): string {
  const widths = [-16, -15, -10, 9, 9, 7, 8, 14];
  return cells.map((cell, i) => (widths[i]! < 0 ? cell.padEnd(-widths[i]!) : cell.padStart(widths[i]!))).join('');
}

function digits(ms: number): string {
  return ms >= 1 ? ms.toFixed(2) : ms.toPrecision(3);
}
