/** What a mask, a ReLU and a residual cost: time per byte that must move, against the plain call. `npm run bench:modes` */
import { BatchNorm, createRuntime, type ForwardContext, type Layout } from 'batchnorm-wasm';

const SHAPES = [[32, 64, 112, 112], [32, 1024, 14, 14], [8, 64, 56, 56], [256, 1024]] as const;
const ROUNDS = 41;

/** Tensors that an operation reads and writes: x and y; x twice and y; x and dy twice and dx. */
const MOVED = { eval: 2, train: 3, backward: 5 };
/** The residual is read once; its gradient is written and read again, and the sign is taken from y. */
const WITH_RESIDUAL = { eval: 1, train: 1, backward: 2 };

const VARIANTS = {
  plain: {},
  relu: { relu: true },
  'residual and relu': { relu: true, residual: true },
  mask: { mask: true },
} as const;
type Variant = { relu?: boolean; residual?: boolean; mask?: boolean };

for (const shape of SHAPES) {
  for (const layout of shape.length === 2 ? (['channels-last'] as const) : (['channels-first', 'channels-last'] as const)) {
    compare(shape, layout);
  }
}

function compare(channelsFirst: readonly number[], layout: Layout): void {
  const [n = 0, channels = 0, ...positions] = channelsFirst;
  const shape = layout === 'channels-first' ? channelsFirst : [n, ...positions, channels];
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const runtime = createRuntime();
  const fill = (seed: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(seed + i * 1.7) + 0.3);
  const x = runtime.tensor(shape, { data: fill(1) }), dy = runtime.tensor(shape, { data: fill(2) });
  const z = runtime.tensor(shape, { data: fill(3) }), out = runtime.tensor(shape);
  const mask = Uint8Array.from({ length: size / channels }, (_, i) => (i % 4 === 3 ? 0 : 1));

  const sides = Object.entries(VARIANTS).map(([name, variant]: [string, Variant]) => {
    const bn = new BatchNorm(channels, { layout, runtime, activation: variant.relu ? 'relu' : 'none' });
    const options = { out, ...(variant.residual && { residual: z }), ...(variant.mask && { mask }) };
    bn.forward(x, options);
    const context: ForwardContext = bn.context!;
    const backward = () => { bn.backward(dy, { context, out: dx }).dresidual?.dispose(); };
    const dx = runtime.tensor(shape);
    return {
      name, variant, run: {
        eval: () => { bn.eval().forward(x, options); },
        train: () => { bn.train().forward(x, options); },
        backward,
      },
    };
  });
  for (const operation of ['eval', 'train', 'backward'] as const) {
    const times = interleave(sides.map(({ run }) => run[operation]));
    const perByte = times.map((ms, i) =>
      ms / (MOVED[operation] + (sides[i]!.variant.residual ? WITH_RESIDUAL[operation] : 0)));
    const cells = sides.map(({ name }, i) => `${name} ${(perByte[i]! / perByte[0]!).toFixed(2)}`).slice(1);
    console.log(`${shape.join('x').padEnd(16)}${layout.padEnd(16)}${operation.padEnd(10)}${times[0]!.toFixed(3).padStart(8)} ms; ${cells.join(', ')}`);
  }
  runtime.dispose();
}

/** Medians of as many calls each as make a millisecond, in turn. */
function interleave(functions: readonly (() => void)[]): number[] {
  const time = (run: () => void, calls: number) => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) run();
    return (performance.now() - start) / calls;
  };
  for (const run of functions) for (const start = performance.now(); performance.now() - start < 100; ) run();
  const calls = functions.map((run) => Math.max(1, Math.ceil(1 / time(run, 1))));
  const samples = functions.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round++) functions.forEach((run, i) => { samples[i]!.push(time(run, calls[i]!)); });
  return samples.map((values) => values.sort((a, b) => a - b)[ROUNDS >> 1]!);
}
