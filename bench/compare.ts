/**
 * Another build of the package against the one in dist/: `npm run bench -- compare OTHER_DIST`. Times of one operation on
 * tensors, sampled in turn. Where the pages of a tensor lie is drawn once per process and changes what caches can hold of
 * it, so each round starts both builds anew, in the other order.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type Case, layoutsOf, makeCase, OPERATIONS, SHAPES } from './cases.js';
import { FULL } from './interleave.js';
import { type Cell, type Entry, measureCase } from './measure.js';
import { geometricMean, machine } from './results.js';
import { OURS, OWN_SIDES, otherBuild } from './sides.js';
import { machineLine } from './table.js';

const HELP = `npm run bench -- compare OTHER_DIST [options]

  OTHER_DIST       the dist/ of another build
  --only SHAPE     one shape only, such as 60x100 (channels-first)
  --rounds N       pairs of processes per shape and layout; 5 by default, about 15 minutes in all
  --help           this text
`;

const { values: options, positionals: [folder] } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, rounds: { type: 'string', default: '5' }, help: { type: 'boolean' } },
});
const shapes = SHAPES.filter((shape) => !options.only || shape.join('x') === options.only), rounds = Number(options.rounds);
const file = folder && resolve(folder, 'index.js');

if (options.help) {
  console.log(HELP);
} else if (!file || !existsSync(file) || shapes.length === 0 || !(rounds >= 1)) {
  console.error(HELP);
  process.exitCode = 1;
} else {
  await main([{ side: OWN_SIDES.find(({ name }) => name === OURS)! }, { side: otherBuild(pathToFileURL(file).href) }]);
}

async function main(roster: readonly Entry[]): Promise<void> {
  console.log(`${machineLine(machine())}\n\nTime of the other build / time of this one, so that above 1 this one is faster: median (least – most) of ${rounds} rounds.\n`);
  const directory = mkdtempSync(join(tmpdir(), 'batchnorm-compare-')), medians: number[] = [];
  try {
    for (const [shape, layout] of shapes.flatMap((shape) => layoutsOf(shape).map((layout) => [shape, layout] as const))) {
      const ratios = await compare(roster, makeCase(shape, layout), directory);
      medians.push(...ratios.map(({ median }) => median));
      const columns = ratios.map(({ median, least, most }, i) =>
        `${OPERATIONS[i]} ${median.toFixed(2)} (${least.toFixed(2)} – ${most.toFixed(2)})`.padEnd(30));
      console.log(`${shape.join('x').padEnd(16)}${layout.padEnd(16)}${columns.join('').trimEnd()}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(`\ngeometric mean of the medians ${geometricMean(medians).toFixed(3)}`);
}

/** The ratios of a case, by operation. */
async function compare(roster: readonly Entry[], data: Case, directory: string) {
  const all: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    const cells = await measureCase(round % 2 ? roster.toReversed() : roster, data, directory, FULL, () => {});
    all.push(cells.map(ratioOf));
  }
  return OPERATIONS.map((_, i) => {
    const sorted = all.map((round) => round[i]!).sort((a, b) => a - b);
    return { median: sorted[rounds >> 1]!, least: sorted[0]!, most: sorted.at(-1)! };
  });
}

function ratioOf({ shape, layout, operation, outcomes }: Cell): number {
  const timeOf = (name: string) => {
    const { times, missing } = outcomes.find(({ side }) => side === name)!;
    if (!times) throw new Error(`${name} ${operation} of ${shape} ${layout}: ${missing}`);
    return times.median;
  };
  return timeOf('other') / timeOf(OURS);
}
