/** The claims of Ioffe & Szegedy 2015, arXiv 1502.03167, as experiments. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';
import { startBackend } from '../mnist/backend.js';
import { chart } from './chart.js';
import type { Experiment } from './experiment.js';
import { EXPERIMENTS } from './index.js';
import { commandOf, markdownTable, numbers, page, statement } from './report.js';

const HELP = `Usage: npm run experiments -- <name> [options]

${EXPERIMENTS.map(({ name, title }) => `  ${name.padEnd(16)}${title}`).join('\n')}

Each prints a table and what it shows, and writes a figure, a page and all numbers.

  --seeds <list>   of weights and order of the images (default 1,2,3)
  --out <folder>   for the files (default out/experiments)
  --quick          a few steps of everything, to see that it runs
  --help           this text
`;

interface Request {
  readonly experiments: readonly Experiment[];
  readonly seeds: readonly number[];
  readonly out: string;
  readonly quick: boolean;
}

/** @throws {Error} for an unknown name or option, or seeds that are none. */
function readArguments(): Request | 'help' {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string', default: '1,2,3' },
      out: { type: 'string', default: 'out/experiments' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || positionals.length === 0) return 'help';
  const experiments = positionals.map((wanted) => {
    const found = EXPERIMENTS.find(({ name }) => name === wanted);
    if (!found) throw new Error(`expected one of ${EXPERIMENTS.map(({ name }) => name).join(', ')}, got "${wanted}"`);
    return found;
  });
  const seeds = values.seeds.split(',').map(Number);
  if (values.seeds.trim() === '' || !seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 500)) {
    throw new Error(`--seeds expected integers from 0 to 499 with commas between them, got "${values.seeds}"`);
  }
  return { experiments, seeds, out: values.out, quick: values.quick };
}

function perform(experiment: Experiment, { seeds, out, quick }: Request): void {
  const { name, title } = experiment;
  const bar = new SingleBar({
    format: `${name} {bar} {percentage}%  {value} of {total}  {eta_formatted} left`, stream: process.stdout, barsize: 20,
    noTTYOutput: true, notTTYSchedule: 10_000, etaBuffer: 500,
  }, Presets.shades_classic);
  console.log(`${title}\n`);
  const report = (() => {
    try {
      return experiment.report(quick, seeds, { start: (total) => bar.start(total, 0), tick: () => bar.increment() });
    } finally {
      bar.stop();
    }
  })();
  const command = commandOf(name, seeds, quick), file = (extension: string) => join(out, `${name}.${extension}`);
  mkdirSync(out, { recursive: true });
  writeFileSync(file('svg'), chart(report.panels));
  writeFileSync(file('md'), page(experiment, report, command));
  writeFileSync(file('json'), numbers(report, command));
  console.log(`\n${markdownTable(report.table)}\n\n${statement(report)}\n\n${file('svg')}, ${file('md')}, ${file('json')} written\n`);
}

try {
  const request = readArguments();
  if (request === 'help') {
    console.log(HELP);
  } else {
    await startBackend(1);
    for (const experiment of request.experiments) perform(experiment, request);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message.replaceAll('\n', ' ') : error);
  process.exitCode = 1;
}
