/**
 * The cost of a mask, a ReLU and a residual: time per byte moved, compared with the plain call. `npm run bench -- modes`
 *
 * With a residual, a call moves more bytes and needs more room in the caches. It is compared with a plain call on a batch
 * that is larger by the same number of bytes: on the same batch, the plain call may run from a cache that has no room for
 * the residual. Prints medians over processes with minimum and maximum; exits with 1 if one is above the bound.
 */
import { execFileSync } from 'node:child_process';
import { BatchNorm, createRuntime, type Layout, type Runtime, type Tensor } from 'batchnorm-wasm';
import { SingleBar } from 'cli-progress';

const SHAPES = [[32, 64, 112, 112], [32, 1024, 14, 14], [8, 64, 56, 56], [256, 1024]] as const;
const ROUNDS = 7;
/** Where the pages of a tensor lie is random per process and decides how much of it caches can hold: hence medians. */
const PROCESSES = 3;
/** The calls of a sample take at least this long. They run twice: once to count them, once to time them. */
const SAMPLE_MS = 4;
/** A masked or fused call costs at most this many times the plain one, per byte. */
const BOUND = 1.25;

const OPERATIONS = ['eval', 'train', 'backward'] as const;
type Operation = (typeof OPERATIONS)[number];

interface Variant { readonly relu?: boolean; readonly residual?: boolean; readonly mask?: boolean }
const VARIANTS: Record<string, Variant> = {
  relu: { relu: true },
  'residual and relu': { relu: true, residual: true },
  mask: { mask: true },
};

/** Tensors that an operation reads and writes: x and y; x twice and y; x and dy twice each, and dx. */
const MOVED = { eval: 2, train: 3, backward: 5 };
/** The residual is read once; its gradient is written and read again, and the sign is taken from y. */
const MOVED_WITH_RESIDUAL = { eval: 3, train: 4, backward: 7 };
/** Tensors that it uses. */
const HELD = { eval: 2, train: 2, backward: 3 };
const HELD_WITH_RESIDUAL = { eval: 3, train: 3, backward: 5 };

interface Cell { readonly shape: readonly number[]; readonly layout: Layout; readonly operation: Operation; readonly ratios: Record<string, number> }

const cells: Cell[] = SHAPES.flatMap((shape) => {
  const layouts = shape.length === 2 ? (['channels-last'] as const) : (['channels-first', 'channels-last'] as const);
  return layouts.flatMap((layout) => OPERATIONS.map((operation) => ({ shape, layout, operation, ratios: {} })));
});
if (process.argv[2] === '--once') console.log(JSON.stringify(cells.map(measured)));
else main();

function main(): void {
  const bar = new SingleBar({ format: '{bar} {percentage} %', clearOnComplete: true });
  bar.start(PROCESSES, 0);
  const runs = Array.from({ length: PROCESSES }, () => {
    const answer = execFileSync(process.execPath, ['--import', 'tsx', 'bench/modes.ts', '--once'], { encoding: 'utf8' });
    bar.increment();
    return JSON.parse(answer) as Cell[];
  });
  bar.stop();
  let above = 0;
  for (const [i, { shape, layout, operation }] of cells.entries()) {
    const ratios = Object.keys(VARIANTS).map((name) => {
      const of = runs.map((run) => run[i]!.ratios[name]!).sort((a, b) => a - b), median = of[PROCESSES >> 1]!;
      if (median > BOUND) above++;
      return `${name} ${median.toFixed(2)} (${of[0]!.toFixed(2)} – ${of.at(-1)!.toFixed(2)})`;
    });
    console.log(`${shape.join('x').padEnd(16)}${layout.padEnd(16)}${operation.padEnd(10)}${ratios.join(', ')}`);
  }
  console.log(`${above} above ${BOUND}`);
  if (above > 0) process.exitCode = 1;
}

function measured(cell: Cell): Cell {
  const { shape, layout, operation } = cell;
  const ratios = Object.entries(VARIANTS).map(([name, variant]) => [name, compare(shape, layout, operation, variant)] as const);
  return { ...cell, ratios: Object.fromEntries(ratios) };
}

/**
 * Time per byte of a variant as a multiple of the plain call's: the median over samples taken in turn. Each sample uses new
 * tensors at the same addresses, since the addresses decide how well caches can hold them.
 */
function compare([n = 0, ...rest]: readonly number[], layout: Layout, operation: Operation, variant: Variant): number {
  const larger = variant.residual ? HELD_WITH_RESIDUAL[operation] / HELD[operation] : 1;
  const runtime = createRuntime();
  const plain = sampler(runtime, [Math.round(n * larger), ...rest], layout, operation, {});
  const other = sampler(runtime, [n, ...rest], layout, operation, variant);
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const base = plain() / MOVED[operation];
    ratios.push(other() / (variant.residual ? MOVED_WITH_RESIDUAL : MOVED)[operation] / base);
  }
  runtime.dispose();
  return ratios.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

/** A function that returns the milliseconds per call and element of x. */
function sampler(
  runtime: Runtime, channelsFirst: readonly number[], layout: Layout, operation: Operation, variant: Variant,
): () => number {
  const [n = 0, channels = 0, ...positions] = channelsFirst;
  const shape = layout === 'channels-first' ? channelsFirst : [n, ...positions, channels];
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const pattern = Float32Array.from({ length: 9973 }, (_, i) => Math.sin(1 + i * 1.7) + 0.3), data = new Float32Array(size);
  for (let start = 0; start < size; start += pattern.length) data.set(pattern.subarray(0, size - start), start);
  const mask = Uint8Array.from({ length: size / channels }, (_, i) => (i % 4 === 3 ? 0 : 1));
  const bn = new BatchNorm(channels, { layout, runtime, activation: variant.relu ? 'relu' : 'none' });
  if (operation === 'eval') bn.eval();
  return () => {
    const tensors: Tensor[] = [];
    const tensor = () => {
      const made = runtime.tensor(shape, { data });
      tensors.push(made);
      return made;
    };
    const x = tensor(), out = tensor();
    const options = { out, ...(variant.residual && { residual: tensor() }), ...(variant.mask && { mask }) };
    let run = () => { bn.forward(x, options); };
    if (operation === 'backward') {
      run();
      const dy = tensor(), dx = tensor(), { context } = bn;
      run = () => { bn.backward(dy, { context: context!, out: dx }).dresidual?.dispose(); };
    }
    const ms = timeOf(run);
    for (const made of tensors) made.dispose();
    return ms / size;
  };
}

/** Milliseconds per call, after calls that warm up code and caches. */
function timeOf(run: () => void): number {
  let calls = 0;
  const start = performance.now();
  do {
    run();
    calls++;
  } while (performance.now() - start < SAMPLE_MS);
  const timed = performance.now();
  for (let i = 0; i < calls; i++) run();
  return (performance.now() - timed) / calls;
}
