/** Benchmarks the build in dist/ against a memory copy, plain TypeScript and the installed peers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { layoutsOf, makeCase, OPERATIONS, SHAPES } from './cases.js';
import { chart } from './chart.js';
import { firstCalls, memoryHeld } from './fresh.js';
import { type Effort, FULL, QUICK } from './interleave.js';
import { type Cell, type Entry, measureCase, rosterOf } from './measure.js';
import { machine, type Results, ratiosOf, type Summary } from './results.js';
import { OURS, OWN_SIDES, onThreads, peersNamed } from './sides.js';
import { digits, gigabytesPerSecond, inThreads, machineLine, markdown, summaryTable } from './table.js';

const HELP = `npm run bench -- [options]

  --only SHAPE         only this shape, such as 60x100 (channels-first)
  --peers NAME,NAME    only these peers, or none
  --quick              fewer samples
  --threads N          of the package with tensors, the copy and every peer that has threads; default 1
  --out DIRECTORY      for bench.json, bench.md and bench.svg; default out, bench/results for the README
  --json               print the results as JSON
  --help               this text

Peers are installed by npm run bench -- peers. Other measurements: npm run bench -- accuracy, compare, modes, scaling, tfjs, threads.
`;

/** Threads of OpenMP look for work for some milliseconds after a call, and keep a core from the side that is next: that took up to half of its speed. */
const REST_MS = 10;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' }, peers: { type: 'string' }, quick: { type: 'boolean' }, threads: { type: 'string', default: '1' }, out: { type: 'string', default: 'out' },
    json: { type: 'boolean' }, help: { type: 'boolean' },
  },
});

if (options.help) console.log(HELP);
else await main().catch(complain);

async function main(): Promise<void> {
  const shapes = SHAPES.filter((shape) => !options.only || shape.join('x') === options.only);
  if (shapes.length === 0) {
    throw new RangeError(`--only expected one of ${SHAPES.map((shape) => shape.join('x')).join(', ')}, got ${options.only}`);
  }
  const threads = Number(options.threads);
  if (!Number.isInteger(threads) || threads < 1) throw new RangeError(`--threads expected a positive integer, got ${options.threads}`);
  const roster = await rosterOf([...OWN_SIDES, ...peersNamed(options.peers)].map(onThreads(threads)));
  const say = options.json ? console.error : console.log;
  say(`${machineLine(machine())} ${inThreads(threads)}, float32.\n`);
  for (const { side, missing } of roster) if (missing) say(`${side.name}: ${missing}`);

  const effort = { ...(options.quick ? QUICK : FULL), ...(threads > 1 && { rest: REST_MS }) };
  const cells = await measureAll(shapes, roster, effort, say);
  const results: Results = {
    machine: machine(), threads, sides: roster.map((entry) => summarise(entry, cells)), cells,
    firstCalls: firstCalls(), memory: memoryHeld(),
  };
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, 'bench.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(options.out, 'bench.md'), markdown(results));
  writeFileSync(join(options.out, 'bench.svg'), chart(results));
  if (options.json) console.log(JSON.stringify(results));
  say(`\n${summaryTable(results.sides, cells.length)}\n\nwritten to ${options.out}/bench.json, bench.md and bench.svg`);
}

async function measureAll(
  shapes: readonly (readonly number[])[], roster: readonly Entry[], effort: Effort, say: (line: string) => void,
): Promise<Cell[]> {
  const cases = shapes.flatMap((shape) => layoutsOf(shape).map((layout) => ({ shape, layout })));
  const bar = new SingleBar({ format: '{bar} {value}/{total} {what}', hideCursor: true, clearOnComplete: true, noTTYOutput: false });
  const directory = mkdtempSync(join(tmpdir(), 'batchnorm-bench-'));
  const cells: Cell[] = [];
  try {
    bar.start(cases.length * OPERATIONS.length, 0, { what: '' });
    let begun = 0;
    for (const { shape, layout } of cases) {
      const more = await measureCase(roster, makeCase(shape, layout), directory, effort, (what) => {
        bar.update(begun++, { what });
      });
      if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
      for (const cell of more) say(line(cell));
      cells.push(...more);
    }
  } finally {
    bar.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  return cells;
}

/** Prints a wrong option as a plain message; throws everything else. */
function complain(error: unknown): void {
  if (!(error instanceof RangeError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

/** A cell for the terminal: our time, and the others as multiples of it. */
function line(cell: Cell): string {
  const [ours, ...others] = cell.outcomes;
  if (!ours?.times) throw new Error(`${OURS} ${cell.operation} of ${cell.shape} ${cell.layout}: ${ours?.missing}`);
  const { median } = ours.times;
  const ratios = others.map(({ side, times }) => `${side} ${times ? (times.median / median).toFixed(2) : '-'}`);
  const time = `${digits(median)} ms, ${gigabytesPerSecond(cell)} GB/s`;
  return `${cell.shape} ${cell.layout} ${cell.operation}: ${time}; ${ratios.join(', ')}`;
}

function summarise({ side, version, missing }: Entry, cells: readonly Cell[]): Summary {
  const { name, about } = side;
  if (missing) return { name, about, missing, ratios: {}, cells: 0 };
  const outcomes = cells.flatMap((cell) => cell.outcomes.filter((outcome) => outcome.side === name && outcome.times));
  const errors = outcomes.flatMap((outcome) => outcome.errors?.values ?? []);
  return {
    name, about, version: version!, ratios: ratiosOf(name, cells), cells: outcomes.length,
    ...(errors.length && { error: Math.max(...errors) }),
  };
}
