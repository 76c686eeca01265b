/**
 * What threads gain: the time of one unsliced thread over that of one sliced thread, of two, and of all cores, and beside them what a copy
 * of the same bytes gains by as many threads. `npm run bench -- threads [--threads 2,4] [--shape 8x64x56x56] [--busy]`
 *
 * Sides take turns in bursts, each on tensors of its own. A burst in which another process had more than a tick of the processors does
 * not count where there are enough others. With `--busy` another process wants a core all the time: speeds are means over all bursts but
 * the first, in which the runtime gets to know that.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { BatchNorm, createRuntime, createThreadedRuntime, type Runtime } from 'batchnorm-wasm';
import { layoutsOf, OPERATIONS, SHAPES } from './cases.js';
import { threadedCopy } from './copy.js';
import { fill } from './data.js';
import type { Layout, Operation } from './protocol.js';

const ROUNDS = 15;
/** Beside a busy process, and how many of them do not count. */
const BUSY_ROUNDS = 45, FIRST = 15;
/** Milliseconds of a burst; what wakes workers comes before. */
const BURST_MS = 60;
/** Ticks of 10 ms that other processes may have in a burst that counts. */
const OTHERS = 1;

const { values: options } = parseArgs({ options: { threads: { type: 'string' }, shape: { type: 'string' }, busy: { type: 'boolean', default: false } } });
const cores = availableParallelism();
const counts = [...new Set(options.threads?.split(',').map(Number) ?? [1, 2, ...(cores > 2 ? [cores] : [])])];

interface Side { readonly name: string; readonly threads: number; run(): void; dispose(): void }

await main();

async function main(): Promise<void> {
  const other = options.busy ? spawn(process.execPath, ['-e', 'for (;;);']) : undefined;
  const plain = createRuntime(), threaded = counts.map((threads) => createThreadedRuntime({ threads }));
  await Promise.all(threaded.map(({ ready }) => ready));
  console.log(`Node ${process.version}, ${cores} cores, float32. Speed in relation to one thread of createRuntime()${options.busy ? ', beside a busy process' : ''}.\n`);
  for (const shape of SHAPES.filter((of) => !options.shape || of.join('x') === options.shape)) {
    const copies = await copiesOf(shape.reduce((product, size) => product * size, 1));
    const copying = speeds(copies);
    for (const copy of copies) copy.dispose();
    for (const layout of layoutsOf(shape)) {
      for (const operation of OPERATIONS) {
        const sides = [plain, ...threaded].map((runtime, i) => sideOf(runtime, i === 0 ? 'plain' : `${runtime.threads}`, shape, layout, operation));
        const gained = speeds(sides).map((speed, i) => `${sides[i + 1]!.name}: ${speed.toFixed(2)} (copy ${copying[i]!.toFixed(2)})`);
        console.log(`${shape.join('x').padEnd(16)}${layout.padEnd(16)}${operation.padEnd(10)}${gained.join('   ')}`);
        for (const side of sides) side.dispose();
      }
    }
  }
  for (const runtime of [plain, ...threaded]) runtime.dispose();
  other?.kill();
}

function sideOf(runtime: Runtime, name: string, of: readonly number[], layout: Layout, operation: Operation): Side {
  const [n = 0, channels = 0, ...positions] = of, shape = layout === 'channels-first' ? of : [n, ...positions, channels];
  const [x, y, dy, dx] = Array.from({ length: 4 }, () => runtime.tensor(shape)), bn = new BatchNorm(channels, { runtime, layout });
  // Random: samples of a periodic function are far from its mean, so that moments are swept twice.
  x!.data.set(fill(x!.data.length, 1, 3));
  dy!.data.set(fill(dy!.data.length, 2, 0));
  bn.forward(x!, { out: y! });
  const { context } = bn;
  if (operation === 'eval') bn.eval();
  return {
    name, threads: runtime.threads,
    run: operation === 'backward' ? () => { bn.backward(dy!, { context: context!, out: dx! }); } : () => { bn.forward(x!, { out: y! }); },
    dispose() { for (const tensor of [x!, y!, dy!, dx!]) tensor.dispose(); },
  };
}

/** The median speed of each side but the first in relation to that, over rounds of bursts that take turns; beside a busy process the mean. */
function speeds(sides: readonly Side[]): number[] {
  const rounds: { ratios: number[]; others: number }[] = [], totals = sides.map(() => 0);
  for (let round = 0; round < (options.busy ? BUSY_ROUNDS : ROUNDS); round++) {
    const others = ticksOfOthers(), times = sides.map(({ run }) => timeOf(run));
    rounds.push({ ratios: times.slice(1).map((time) => times[0]! / time), others: ticksOfOthers() - others });
    if (round >= FIRST) times.forEach((time, i) => { totals[i]! += time; });
  }
  if (options.busy) return totals.slice(1).map((total) => totals[0]! / total);
  const quiet = rounds.filter(({ others }) => others <= OTHERS * sides.length), used = quiet.length >= ROUNDS / 3 ? quiet : rounds;
  return sides.slice(1).map((_, i) => used.map(({ ratios }) => ratios[i]!).sort((a, b) => a - b)[used.length >> 1]!);
}

/** Milliseconds per call. */
function timeOf(run: () => void): number {
  for (let i = 0; i < 3; i++) run();
  const start = performance.now();
  let calls = 0, now = start;
  do {
    run();
    calls++;
    now = performance.now();
  } while (now - start < BURST_MS);
  return (now - start) / calls;
}

/** Ticks that processors were at work, less those of this process; 0 where /proc does not say. */
function ticksOfOthers(): number {
  try {
    const ticks = readFileSync('/proc/stat', 'utf8').split(/\s+/, 9).map(Number), { userCPUTime, systemCPUTime } = process.resourceUsage();
    // user, nice, system, irq, softirq and stolen; the others are idle.
    return [1, 2, 3, 6, 7, 8].reduce((sum, i) => sum + (ticks[i] ?? 0), 0) - (userCPUTime + systemCPUTime) / 10_000;
  } catch {
    return 0;
  }
}

/** Copies of so many floats by one thread, and by as many as each count says. */
function copiesOf(length: number): Promise<Side[]> {
  return Promise.all([1, ...counts].map(async (threads) => ({ name: `${threads}`, threads, ...await threadedCopy(length, threads) })));
}
