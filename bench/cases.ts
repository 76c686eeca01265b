import { BatchNorm, createRuntime, type Layout, type Runtime, type Tensor } from 'batchnorm-wasm';

/** Batch norms of ResNet-50 at batch 32, two smaller convolutional ones, and two of dense layers. Channels-first. */
export const SHAPES: readonly (readonly number[])[] = [
  [32, 64, 112, 112], [32, 256, 56, 56], [32, 1024, 14, 14], [32, 2048, 7, 7],
  [8, 64, 56, 56], [1, 32, 112, 112], [60, 100], [256, 1024],
];

export const OPERATIONS = ['eval', 'train', 'backward'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Bytes that an operation reads and writes per float32: x and y; x twice and y; x and dy twice and dx. */
export const BYTES: Record<Operation, number> = { eval: 8, train: 12, backward: 20 };

/** A shape in a layout, with the same data in the memory of each runtime. */
export interface Case {
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly channels: number;
  readonly size: number;
  readonly sides: readonly Side[];
}

/** One runtime's tensors and operations. */
export interface Side {
  readonly kind: Runtime['kind'];
  readonly bn: BatchNorm;
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly out: Tensor;
  readonly run: Record<Operation | 'copy', () => void>;
  /** Parameter gradients of the latest backward. */
  readonly gradients: () => { dweight: ArrayLike<number>; dbias: ArrayLike<number> };
  dispose(): void;
}

export function layoutsOf(shape: readonly number[]): readonly Layout[] {
  return shape.length === 2 ? ['channels-last'] : ['channels-first', 'channels-last'];
}

export function makeCase(channelsFirst: readonly number[], layout: Layout): Case {
  const [n = 0, channels = 0, ...positions] = channelsFirst;
  const shape = layout === 'channels-first' ? channelsFirst : [n, ...positions, channels];
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const sides = (['wasm-simd', 'javascript'] as const).map((kind) => makeSide(kind, shape, layout, channels));
  return { shape, layout, channels, size, sides };
}

function makeSide(kind: Runtime['kind'], shape: readonly number[], layout: Layout, channels: number): Side {
  const runtime = createRuntime({ kind });
  const bn = new BatchNorm(channels, { layout, runtime });
  for (let c = 0; c < channels; c++) {
    bn.weight![c] = 0.5 + (c % 7) / 4;
    bn.bias![c] = (c % 5) / 4 - 0.5;
    bn.runningMean![c] = 3.1;
    bn.runningVar![c] = 1.2;
  }
  const [x, dy, out] = [runtime.tensor(shape), runtime.tensor(shape), runtime.tensor(shape)] as const;
  fill(x.data, 1, 3);
  fill(dy.data, 2, 0);
  bn.forward(x, { out, updateStats: false });
  const context = bn.context!;
  let latest = bn.backward(dy, { context, out });
  return {
    kind, bn, x, dy, out,
    gradients: () => ({ dweight: latest.dweight!, dbias: latest.dbias! }),
    run: {
      copy: () => { out.data.set(x.data); },
      eval: () => { bn.eval().forward(x, { out }); },
      train: () => { bn.train().forward(x, { out, updateStats: false }); },
      backward: () => { latest = bn.backward(dy, { context, out }); },
    },
    dispose: () => { runtime.dispose(); },
  };
}

/** Sums of four uniform numbers, roughly normal: the same for the same seed, and fast enough for 25 million. */
function fill(values: Float32Array | Float64Array, seed: number, mean: number): void {
  let state = seed;
  // A counter scrambled (mulberry32): the low bits of a plain congruential generator repeat along a channel, and then so
  // do the rounding errors of sums.
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32 - 0.5;
  };
  for (let i = 0; i < values.length; i++) values[i] = mean + 2 * (uniform() + uniform() + uniform() + uniform());
}
