/** Runs experiments on the claims of Ioffe & Szegedy 2015, arXiv 1502.03167. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import { startBackend } from '../mnist/backend.js';
import { HELP, type Request, readArguments } from './arguments.js';
import { chart } from './chart.js';
import type { Experiment } from './experiment.js';
import { commandOf, markdownTable, numbers, page, statement } from './report.js';

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
  writeFileSync(file('svg'), chart(title, report.panels));
  writeFileSync(file('narrow.svg'), chart(title, report.panels, true));
  writeFileSync(file('md'), page(experiment, report, command));
  writeFileSync(file('json'), numbers(report, command));
  console.log(`\n${markdownTable(report.table)}\n\n${statement(report)}\n\nwrote ${file('svg')}, ${file('narrow.svg')}, ${file('md')}, ${file('json')}\n`);
}

try {
  const request = readArguments(process.argv.slice(2));
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
