/**
 * Changes the sources in small ways, one at a time, and lists the changes that no test notices.
 *
 *   npm run mutants -- --assembly 200 --sources 100 --seed 7 --jobs 2 --file 'assembly/moments*' --bar 98 --luck 0 --seconds 60
 *
 * How many are taken at random, of the kernels and of src/; the seed, a number or the hash of a commit; how many at a time; of
 * which files; how many per cent must be noticed for it to succeed, and how many more may be missed, since in a small sample chance has
 * a part; when to stop, whatever is not judged by then; with --verbose, also what is noticed, and by which test.
 */
import { parseArgs } from 'node:util';
import { globSync } from 'tinyglobby';
import { random } from '../random.js';
import { assembly } from './assembly.js';
import { reasonOf } from './known.js';
import type { Mutation } from './mutations.js';
import { sources } from './sources.js';
import type { Subject, Verdict } from './subject.js';

const { values } = parseArgs({
  options: {
    assembly: { type: 'string', default: '100' }, sources: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' }, file: { type: 'string', default: '**' }, bar: { type: 'string', default: '98' },
    luck: { type: 'string', default: '0' }, seconds: { type: 'string' }, verbose: { type: 'boolean', default: false },
  },
});
const counts = { killed: 0, same: 0, explained: 0, survived: 0 };

interface Task {
  readonly subject: Subject;
  readonly mutation: Mutation;
  /** From 0 to 1: kernels and src/ take turns, so that both are judged where time is short. */
  readonly turn: number;
}

function tasksOf(name: string, size: number, subject: Subject): Task[] {
  const files = new Set(globSync(values.file)), all = subject.mutations.filter(({ file }) => files.has(file));
  const chosen = sample(all, size, numberOf(values.seed));
  console.log(`${name}: ${chosen.length} of ${all.length} mutations, seed ${values.seed}`);
  return chosen.map((mutation, i) => ({ subject, mutation, turn: (i + 0.5) / chosen.length }));
}

async function judge({ subject, mutation }: Task, lane: number): Promise<void> {
  const verdict = reasonOf(mutation) === undefined ? await subject.judge(mutation, lane) : undefined;
  counts[verdict?.kind ?? 'explained']++;
  if (verdict?.kind === 'survived' || values.verbose) console.log(describe(mutation, verdict));
}

function describe({ file, line, column, before, after }: Mutation, verdict: Verdict | undefined): string {
  const outcome = verdict?.kind === 'killed' ? `killed by ${verdict.by}` : verdict?.kind ?? 'explained';
  return `${file}:${line}:${column} ${outcome}\n  - ${before}\n  + ${after}`;
}

/** The first few of a random order, the same for the same seed. */
function sample<T>(all: readonly T[], size: number, seed: number): T[] {
  const next = random(seed), order = [...all];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order.slice(0, size);
}

function numberOf(seed: string): number {
  return /^\d+$/.test(seed) ? Number(seed) : Number.parseInt(seed.slice(0, 8), 16);
}

const sizes = { assembly: Number(values.assembly), sources: Number(values.sources) };
const tasks = [
  ...(sizes.assembly > 0 ? tasksOf('assembly', sizes.assembly, await assembly()) : []),
  ...(sizes.sources > 0 ? tasksOf('sources', sizes.sources, await sources()) : []),
].sort((a, b) => a.turn - b.turn);
const queue = tasks.values(), lanes = Array.from({ length: Number(values.jobs) }, async (_, lane) => {
  for (const task of queue) await judge(task, lane);
});
const late = new Promise((resolve) => { if (values.seconds !== undefined) setTimeout(resolve, 1000 * Number(values.seconds)); });
await Promise.race([Promise.all(lanes), late]);

const { killed, same, explained, survived } = counts, judged = killed + survived, share = (100 * killed) / judged;
const left = tasks.length - judged - same - explained;
if (left > 0) console.log(`${left} were left when time was up`);
console.log(`${killed} killed, ${survived} survived, ${same} the same program, ${explained} explained: ${share.toFixed(1)} % killed, bar ${values.bar} %`);
process.exit(judged > 0 && survived <= (judged * (100 - Number(values.bar))) / 100 + Number(values.luck) ? 0 : 1);
