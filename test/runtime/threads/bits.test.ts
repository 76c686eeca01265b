/** The same bits for any number of threads, for shapes that are cut, by the grid that ships. */
import { afterAll, describe, expect, it } from 'vitest';
import { BatchNorm, createRuntime, createThreadedRuntime, type DType, type Floats, type Layout, type Runtime } from '../../../src/index.js';
import { GRID } from '../../../src/runtime/threads/slices.js';
import { BROWSER } from '../../host.js';
import { DTYPES, distance, LAYOUTS, makeRuntime, normal, RUNTIMES, shapeIn, sizeOf } from '../../setup.js';
import * as tolerance from '../../tolerances.js';

/** [N, C, ...]: one slice and several, rows and planes, few channels and many, one channel, an uneven number of everything. */
const SHAPES = [[70, 1030], [4099, 65], [90_001, 3], [9, 40, 31, 31], [33, 12, 31, 31], [17, 515, 31], [5, 3, 20_009], [1, 1, 300_001], [1100, 130, 2]];
const VARIANTS: Variant[] = [
  { name: 'plain' }, { name: 'a mask', mask: true }, { name: 'a ReLU', relu: true }, { name: 'a ReLU and a residual', relu: true, residual: true },
  { name: 'everything, in place', relu: true, residual: true, mask: true, over: true },
];
type Variant = { name: string; mask?: boolean; relu?: boolean; residual?: boolean; over?: boolean };

/** Those that ship; in Node every call that may be shared is. */
const threadedEngine = BROWSER ? createThreadedRuntime : (await import('../../../src/runtime/threads/threaded-runtime.js')).threadedEngine;
const runtimes: Record<string, Runtime> = Object.fromEntries([1, 2, 3, 8].map((threads) =>
  [`${threads}`, threadedEngine({ threads }, { grid: GRID, governed: false, apart: true })]));
await Promise.all(Object.values(runtimes).map(({ ready }) => ready));
afterAll(() => { for (const runtime of Object.values(runtimes)) runtime.dispose(); });

/** Every bit of a training step and of a forward in eval, as hashes. */
function bitsOf(runtime: Runtime, dtype: DType, layout: Layout, of: readonly number[], { mask, relu, residual, over }: Variant): number[][] {
  const shape = shapeIn(layout, of), channels = of[1]!, positions = sizeOf(of) / channels;
  const [x, z, dy] = [1, 2, 3].map((seed) => runtime.tensor(shape, { dtype, data: numbers(dtype, sizeOf(of), seed) }));
  const options = {
    ...(residual && { residual: z! }), ...(mask && { mask: Uint8Array.from(numbers(dtype, positions, 4), (value) => Number(value < 4.5)) }),
  };
  // The first slices of several have nothing that counts.
  options.mask?.fill(0, 0, Math.floor(positions / 2));
  const bn = new BatchNorm(channels, { runtime, dtype, layout, activation: relu ? 'relu' : 'none' });
  bn.weight!.set(numbers(dtype, channels, 5));
  bn.bias!.set(numbers(dtype, channels, 6));
  const y = bn.forward(x!, { ...options, ...(residual && over && { out: z! }) });
  const { dx, dweight, dbias, dresidual } = bn.backward(dy!, { ...(over && { out: dy! }) });
  const hashes = [y.data, dx.data, dweight!, dbias!, dresidual?.data, bn.runningMean!, bn.runningVar!].map(hashOf);
  hashes.push(hashOf(bn.eval().forward(x!, { ...options, out: x! }).data));
  for (const tensor of new Set([x!, z!, dy!, y, dx, ...(dresidual ? [dresidual] : [])])) tensor.dispose();
  return hashes;
}

const made = new Map<string, Floats>();

/** Integer arithmetic alone, the same array for the same arguments. */
function numbers(dtype: DType, length: number, seed: number): Floats {
  const key = `${dtype} ${length} ${seed}`;
  let array = made.get(key), state = seed;
  if (array === undefined) {
    array = dtype === 'float32' ? new Float32Array(length) : new Float64Array(length);
    for (let i = 0; i < length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      array[i] = state / 2 ** 30 + seed;
    }
    made.set(key, array);
  }
  return array;
}

function hashOf(values: Floats | undefined): number[] {
  let low = 0x811c9dc5, high = 0x1b873593;
  const words = values ? new Int32Array(values.buffer, values.byteOffset, values.byteLength / 4) : new Int32Array();
  for (let i = 0; i < words.length; i++) {
    low = Math.imul(low ^ words[i]!, 0x01000193);
    high = Math.imul(high ^ words[i]!, 0x01000193) + (low >>> 24);
  }
  return [low, high];
}

describe.each(DTYPES.flatMap((dtype) => LAYOUTS.map((layout) => ({ dtype, layout }))))('$dtype $layout', ({ dtype, layout }) => {
  it.each(SHAPES)('1, 2, 3 and 8 threads give the same bits on %i x %i x ...', (...shape) => {
    for (const variant of VARIANTS) {
      const [one, ...others] = Object.values(runtimes).map((runtime) => bitsOf(runtime, dtype, layout, shape, variant));
      for (const other of others) expect(other, variant.name).toEqual(one);
    }
  });

  it('they are those of the truth, within the bounds of one thread', () => {
    for (const of of SHAPES) {
      const shape = shapeIn(layout, of), size = sizeOf(of), channels = of[1]!;
      const [x, dy] = [7, 8].map((seed) => numbers(dtype, size, seed));
      const results = [runtimes['2']!, RUNTIMES.javascript].map((runtime) => {
        const bn = new BatchNorm(channels, { runtime, dtype, layout });
        const tensors = [x!, dy!].map((data) => runtime.tensor(shape, { dtype, data }));
        const y = bn.forward(tensors[0]!), { dx, dweight } = bn.backward(tensors[1]!), { variance } = bn.context!;
        const arrays = { y: Float64Array.from(y.data), dx: Float64Array.from(dx.data), dweight: Float64Array.from(dweight!), variance };
        for (const tensor of [...tensors, y, dx]) tensor.dispose();
        return arrays;
      });
      const [ours, plain] = results as [(typeof results)[0], (typeof results)[0]], meanOverStd = 7;
      expect(distance(ours.y, plain.y)).toBeLessThan(tolerance.BETWEEN * tolerance.y(dtype, meanOverStd));
      expect(distance(ours.variance, plain.variance, Math.abs)).toBeLessThan(tolerance.BETWEEN * tolerance.variance(dtype, meanOverStd));
      expect(distance(ours.dx, plain.dx)).toBeLessThan(tolerance.BETWEEN * tolerance.GOLDEN[dtype].dx);
    }
  });
});

it('planes of 32 channels and more have the bits of a runtime without threads', () => {
  const plain = createRuntime(), many = [9, 40, 31, 31], few = [33, 12, 31, 31];
  for (const dtype of DTYPES) {
    const bits = (runtime: Runtime, shape: readonly number[]) => bitsOf(runtime, dtype, 'channels-first', shape, { name: 'plain' });
    const expected = bits(plain, many);
    for (const runtime of Object.values(runtimes)) expect(bits(runtime, many)).toEqual(expected);
    expect(bits(runtimes['1']!, few)).not.toEqual(bits(plain, few));
  }
  plain.dispose();
});

describe('typed arrays', () => {
  it('have the bits of a runtime without threads, and are not staged in the memory that threads share', () => {
    const shape = [8, 40, 31, 29], x = numbers('float64', sizeOf(shape), 1) as Float64Array, plain = createRuntime();
    const forward = (runtime: Runtime) => [...new BatchNorm(40, { runtime, dtype: 'float64' }).forward(x, shape)];
    const expected = forward(plain);
    for (const runtime of Object.values(runtimes)) {
      const memory = (runtime as unknown as { memory?: { buffer: ArrayBuffer } }).memory, before = memory?.buffer.byteLength;
      expect(forward(runtime)).toEqual(expected);
      if (runtime.threads > 1) expect(memory?.buffer.byteLength).toBe(before);
    }
  });

  it('that are views of that memory are used where they are', () => {
    const runtime = makeRuntime('wasm-threads'), x = runtime.tensor([300, 40], { data: normal(12_000, 1) }), bn = new BatchNorm(40, { runtime });
    const y = runtime.tensor([300, 40]);
    const before = runtime.bytesInUse;
    bn.forward(x.data as Float32Array, [300, 40], { out: y.data as Float32Array });
    expect(distance(y.data, bn.forward(x).data)).toBe(0);
    expect(runtime.bytesInUse).toBeGreaterThan(before);
    runtime.dispose();
  });
});
