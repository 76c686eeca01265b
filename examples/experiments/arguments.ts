/** The arguments of the command line. */
import { parseArgs } from 'node:util';
import type { Experiment } from './experiment.js';
import { EXPERIMENTS } from './index.js';

export const HELP = `Usage: npm run experiments -- <name> [options]

${EXPERIMENTS.map(({ name, title }) => `  ${name.padEnd(16)}${title}`).join('\n')}

Each prints a table and a conclusion, and writes a figure, a page and all numbers.

  --seeds <list>   for the weights and the order of the images (default 1,2,3)
  --out <folder>   for the files (default out/experiments)
  --quick          a few steps of everything, to check that it runs
  --help           this text
`;

export interface Request {
  readonly experiments: readonly Experiment[];
  readonly seeds: readonly number[];
  readonly out: string;
  readonly quick: boolean;
}

/** @param args - of the command line. @throws {Error} an unknown name or option, or invalid seeds. */
export function readArguments(args: string[]): Request | 'help' {
  const { values, positionals } = parseArgs({
    args,
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
    throw new Error(`--seeds expected integers from 0 to 499 separated by commas, got "${values.seeds}"`);
  }
  return { experiments, seeds, out: values.out, quick: values.quick };
}
