/**
 * What a mask, a ReLU and a residual cost: time per byte that must move, against the plain call. `npm run bench:modes`
 *
 * A residual makes a call move more bytes, and hold more in the caches. It is compared with a plain call on a batch that
 * is larger by as much: of the same batch, the plain call may run from a cache that has no room for the residual.
 * Ends with 1 where a cell is above the bound.
 */
import { BatchNorm, createRuntime, type Layout, type Runtime, type Tensor } from 'batchnorm-wasm';

const SHAPES = [[32, 64, 112, 112], [32, 1024, 14, 14], [8, 64, 56, 56], [256, 1024]] as const;
const ROUNDS = 21;
/** As long a sample takes, at least, once without and once with looking at the clock. */
const SAMPLE_MS = 4;
/** A masked or fused call costs at most this many times the plain one, per byte. */
const BOUND = 1.25;
/** A cell above the bound is measured so often before it counts, minutes apart: the machine has bad ones. */
const ATTEMPTS = 4;

const OPERATIONS = ['eval', 'train', 'backward'] as const;
type Operation = (typeof OPERATIONS)[number];

interface Variant { readonly relu?: boolean; readonly residual?: boolean; readonly mask?: boolean }
const VARIANTS: Record<string, Variant> = {
  relu: { relu: true },
  'residual and relu': { relu: true, residual: true },
  mask: { mask: true },
};

/** Tensors that an operation reads and writes: x and y; x twice and y; x and dy twice and dx. */
const MOVED = { eval: 2, train: 3, backward: 5 };
/** The residual is read once; its gradient is written and read again, and the sign is taken from y. */
const MOVED_WITH_RESIDUAL = { eval: 3, train: 4, backward: 7 };
/** Tensors that it works on. */
const HELD = { eval: 2, train: 2, backward: 3 };
const HELD_WITH_RESIDUAL = { eval: 3, train: 3, backward: 5 };

interface Row { readonly shape: readonly number[]; readonly layout: Layout; readonly operation: Operation; readonly ratios: Map<string, number> }

const rows: Row[] = SHAPES.flatMap((shape) => {
  const layouts = shape.length === 2 ? (['channels-last'] as const) : (['channels-first', 'channels-last'] as const);
  return layouts.flatMap((layout) => OPERATIONS.map((operation) => ({ shape, layout, operation, ratios: new Map() })));
});
for (let attempt = 0; attempt < ATTEMPTS && above(rows) > 0; attempt++) for (const row of rows) measure(row);
for (const { shape, layout, operation, ratios } of rows) {
  const cells = [...ratios].map(([name, ratio]) => `${name} ${ratio.toFixed(2)}`);
  console.log(`${shape.join('x').padEnd(16)}${layout.padEnd(16)}${operation.padEnd(10)}${cells.join(', ')}`);
}
if (above(rows) > 0) {
  console.log(`${above(rows)} above ${BOUND}`);
  process.exitCode = 1;
}

/** Cells above the bound, those that have not been measured among them. */
function above(rows: readonly Row[]): number {
  return rows.flatMap(({ ratios }) => Object.keys(VARIANTS).filter((name) => (ratios.get(name) ?? Infinity) > BOUND)).length;
}

/** Measures the cells of a row that are above the bound. */
function measure({ shape, layout, operation, ratios }: Row): void {
  for (const [name, variant] of Object.entries(VARIANTS)) {
    const before = ratios.get(name) ?? Infinity;
    if (before > BOUND) ratios.set(name, Math.min(before, compare(shape, layout, operation, variant)));
  }
}

/**
 * Time per byte of a variant, as a multiple of that of the plain call: medians of samples taken in turn, each on tensors
 * made anew at the same place, since where tensors lie changes what caches can hold of them.
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

/** A function that gives the milliseconds a call and an element of x. */
function sampler(
  runtime: Runtime, channelsFirst: readonly number[], layout: Layout, operation: Operation, variant: Variant,
): () => number {
  const [n = 0, channels = 0, ...positions] = channelsFirst;
  const shape = layout === 'channels-first' ? channelsFirst : [n, ...positions, channels];
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const data = Float32Array.from({ length: size }, (_, i) => Math.sin(1 + (i % 9973) * 1.7) + 0.3);
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

/** Milliseconds a call, after calls that bring code and data into reach. */
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
