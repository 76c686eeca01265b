import type { KernelBackend } from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal } from '../setup.js';
import { BACKENDS, oracle, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;
const CLOSE = 4e-6;
const { batchNorm, batchNormalization } = registerBatchNorm(tf);

interface Wasm { HEAPU8: Uint8Array; _malloc(bytes: number): number; _free(address: number): void }
const wasmOf = (backend: KernelBackend) => (backend as unknown as { wasm: Wasm }).wasm;
/** Counts the bytes that are allocated from here on and not freed. */
function heldBytes(wasm: Wasm): () => number {
  const { _malloc, _free } = wasm, sizes = new Map<number, number>();
  wasm._malloc = (bytes) => { const at = _malloc(bytes); sizes.set(at, bytes); return at; };
  wasm._free = (at) => { sizes.delete(at); _free(at); };
  return () => [...sizes.values()].reduce((total, bytes) => total + bytes, 0);
}

const shape = [4, 3, 5], x = normal(60, 1, 2, 3), dy = normal(60, 2);
const expected = oracle({ shape, axis: 1, eps: 1e-3, x }, dy);
/** A forward and a backward against the oracle. */
function check(input = tf.tensor(x, shape)) {
  tf.tidy(() => {
    expect(distance(batchNorm(input, { axis: 1 }).y.dataSync(), expected.y)).toBeLessThan(CLOSE);
    const dx = tf.grad((input) => batchNorm(input, { axis: 1 }).y)(input, tf.tensor(dy, shape));
    expect(distance(dx.dataSync(), expected.dx)).toBeLessThan(CLOSE);
  });
}

describe('on the memory of the wasm backend', () => {
  beforeEach(async () => { await tf.setBackend('wasm'); });

  it('copies no tensor', () => {
    const backend = tf.backend(), input = tf.tensor(x, shape);
    check(input);
    const read = vi.spyOn(backend, 'readSync'), write = vi.spyOn(backend, 'write');
    const { y } = batchNorm(input, { axis: 1 });
    expect(read).not.toHaveBeenCalled();
    // Kernels write the outputs: tfjs makes them without values.
    expect(write.mock.calls.every(([values]) => values === null)).toBe(true);
    vi.restoreAllMocks();
    tf.dispose([y, input]);
  });

  it('survives growth of the memory between calls and within them', () => {
    const input = tf.tensor(x, shape);
    check(input);
    const bytes = () => wasmOf(tf.backend()).HEAPU8.buffer.byteLength, before = bytes();
    const large = tf.tensor1d(new Float32Array(before / 4));
    expect(bytes()).toBeGreaterThan(before);
    check(input);
    // `large` is free again, but that is not enough for an output: the call itself grows the memory.
    large.dispose();
    const grown = bytes(), rows = Math.ceil(grown / 4 / 4 / 1.5);
    const big = tf.fill([rows, 4], 3), between = bytes();
    const { y, mean } = batchNorm(big, { beta: tf.tensor1d([1, 2, 3, 4]) });
    expect(bytes()).toBeGreaterThan(between);
    expect([...mean.dataSync(), ...tf.slice(y, [rows - 1, 0]).dataSync()]).toEqual([3, 3, 3, 3, 1, 2, 3, 4]);
    tf.dispose([y, mean, big, input]);
  });

  it('gives all memory of a call back, that of many channels and of masks included', () => {
    const wasm = wasmOf(tf.backend()), { _malloc, _free } = wasm, taken = new Set<number>();
    check();
    vi.spyOn(wasm, '_malloc').mockImplementation((bytes) => { const at = _malloc(bytes); taken.add(at); return at; });
    vi.spyOn(wasm, '_free').mockImplementation((at) => { taken.delete(at); _free(at); });
    tf.tidy(() => {
      const wide = tf.zeros([2, 5000]), layer = batchNormalization();
      tf.grad((x) => batchNorm(x).y)(wide);
      layer.apply(tf.ones([2, 3, 2]), { training: true, mask: tf.ones([2, 3]) });
      tf.dispose(layer.weights.map((weight) => weight.read()));
    });
    vi.restoreAllMocks();
    expect(taken.size).toBe(0);
  });

  it('leaves nothing behind where memory runs out', () => {
    const wasm = wasmOf(tf.backend()), { _malloc } = wasm, input = tf.zeros([2, 6000]), { numTensors } = tf.memory();
    const ids = tf.backend().numDataIds();
    check();
    // Scratch for so many channels is allocated by the backend, after the outputs.
    vi.spyOn(wasm, '_malloc').mockImplementation((bytes) => (bytes > 100_000 && bytes !== 48_000 ? 0 : _malloc(bytes)));
    expect(() => batchNorm(input)).toThrow(RangeError);
    vi.restoreAllMocks();
    expect([tf.memory().numTensors, tf.backend().numDataIds()]).toEqual([numTensors + 1, ids + 1]);
    check();
    input.dispose();
  });
});

describe('where internals of the backend are not as expected', () => {
  afterEach(() => { vi.restoreAllMocks(); });

  /** The backend without one of the properties of its module. */
  const without = (backend: KernelBackend, missing: string) => new Proxy(backend, {
    get(target, key) {
      const value = Reflect.get(target, key);
      if (key === 'wasm') {
        return new Proxy(value, { get: (wasm, name) => (name === missing ? undefined : Reflect.get(wasm, name)) });
      }
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

  it('copies, right all the same, and says so once', async () => {
    await tf.setBackend('wasm');
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    for (const missing of ['_malloc', 'asm']) {
      const backend = without(tf.backend(), missing), read = vi.spyOn(tf.backend(), 'readSync');
      for (const name of ['BatchNorm', 'BatchNormGrad']) {
        const kernel = tf.getKernel(name, 'wasm'), { kernelFunc } = kernel;
        vi.spyOn(kernel, 'kernelFunc').mockImplementation((call) => kernelFunc({ ...call, backend }));
      }
      check();
      expect(read.mock.calls.length).toBeGreaterThan(2);
      for (const name of ['BatchNorm', 'BatchNormGrad']) vi.mocked(tf.getKernel(name, 'wasm').kernelFunc).mockRestore();
    }
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]![0]).toMatch(/batchnorm-wasm.*copied/);
  });
});

describe('backends', () => {
  it('may be switched between forward and backward, tensors following', async () => {
    await tf.setBackend('cpu');
    const onCpu = tf.tensor(x, shape);
    check(onCpu);
    await tf.setBackend('wasm');
    check(onCpu);
    const onWasm = tf.tensor(x, shape);
    await tf.setBackend('cpu');
    check(onWasm);
    const dx = tf.grad((input) => {
      const { y } = batchNorm(input, { axis: 1 });
      void tf.setBackend('wasm');
      return y;
    })(onWasm, tf.tensor(dy, shape));
    expect(tf.getBackend()).toBe('wasm');
    expect(distance(dx.dataSync(), expected.dx)).toBeLessThan(CLOSE);
    tf.dispose([onCpu, onWasm, dx]);
  });

  it.each(BACKENDS)('%s may be disposed and made anew', async (backend) => {
    await tf.setBackend(backend);
    check();
    const { findBackendFactory } = tf, factory = findBackendFactory(backend);
    const before = tf.backend();
    tf.removeBackend(backend);
    tf.registerBackend(backend, factory, 1);
    await tf.setBackend(backend);
    expect(tf.backend()).not.toBe(before);
    check();
    const layer = batchNormalization({ axis: 1 });
    expect((layer.apply(tf.tensor(x, shape), { training: true }) as Tensor).shape).toEqual(shape);
  });

  it('of other names run it with their own operations, forward, backward and in training', async () => {
    const names = ['BatchNorm', 'BatchNormGrad', 'BatchNormMoving'];
    tf.registerBackend('other', tf.findBackendFactory('cpu'));
    tf.copyRegisteredKernels('cpu', 'other');
    for (const name of names) tf.unregisterKernel(name, 'other');
    await tf.setBackend('other');
    check();
    const layer = batchNormalization({ axis: 1, momentum: 0 }), mask = tf.tensor2d([1, 1, 1, 0, 1, 1, 0, 0], [4, 2]);
    const input = tf.tensor(normal(24, 3), [4, 3, 2]);
    layer.apply(input, { training: true, mask });
    const [mean] = layer.getWeights().slice(-2).map((tensor) => tensor.dataSync());
    await tf.setBackend('wasm');
    const fast = batchNormalization({ axis: 1, momentum: 0 });
    fast.apply(input, { training: true, mask });
    expect(distance(mean!, fast.getWeights().at(-2)!.dataSync())).toBeLessThan(CLOSE);
    tf.removeBackend('other');
  });
});

describe.each(BACKENDS)('10,000 training steps on %s', (backend) => {
  it('leave no tensor and no memory behind', async () => {
    await tf.setBackend(backend);
    const bn = batchNormalization({ inputShape: [4] }), optimizer = tf.train.sgd(0.01);
    const x = tf.randomNormal([8, 4]), target = tf.randomNormal([8, 4]);
    const mask = tf.tensor1d([1, 1, 1, 1, 1, 1, 1, 0], 'bool');
    bn.build([null, 4]);
    const step = (i: number) => {
      const kwargs = { training: true, ...(i % 2 === 0 && { mask }) };
      optimizer.minimize(() => tf.tidy(() => tf.mean(tf.squaredDifference(bn.apply(x, kwargs) as Tensor, target))));
      tf.tidy(() => { tf.batchNorm(x as never, tf.mean(x, 0) as never, tf.ones([4]) as never); });
    };
    const held = backend === 'wasm' ? heldBytes(wasmOf(tf.backend())) : () => 0;
    for (let i = 0; i < 100; i++) step(i);
    const bytes = held();
    const { numTensors, numDataBuffers } = tf.memory(), ids = tf.backend().numDataIds();
    const size = backend === 'wasm' ? wasmOf(tf.backend()).HEAPU8.buffer.byteLength : 0;
    for (let i = 0; i < 10_000; i++) step(i);
    expect(tf.memory()).toMatchObject({ numTensors, numDataBuffers });
    expect(tf.backend().numDataIds()).toBe(ids);
    expect(held()).toBe(bytes);
    if (backend === 'wasm') expect(wasmOf(tf.backend()).HEAPU8.buffer.byteLength).toBe(size);
  }, 120_000);
});
