import { describe, expect, it } from 'vitest';
import { BatchNorm } from '../../src/index.js';
import { Engine } from '../../src/runtime/engine.js';
import { FirstFit, type Memory, PAGE } from '../../src/runtime/memory.js';
import { importShared, packagedShared } from '../../src/runtime/shared.js';
import { wasmKernels } from '../../src/runtime/wasm.js';
import { deviceOf } from '../../src/tfjs/devices.js';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal } from '../setup.js';
import { oracle, tf } from './setup.js';

const CLOSE = 4e-6;
const { batchNormalization } = registerBatchNorm(tf);

const shape = [4, 3, 5], x = normal(60, 1, 2, 3), dy = normal(60, 2);
const expected = oracle({ shape, axis: 1, eps: 1e-3, x }, dy);

describe('the device of the wasm backend', () => {
  it('is on its memory, and keeps little of it however many steps are taken', async () => {
    await tf.setBackend('wasm');
    const { wasm } = tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } };
    const layer = batchNormalization({ inputShape: [4] }), rows = tf.randomNormal([8, 4]);
    const mask = tf.tensor1d([1, 1, 1, 1, 1, 1, 1, 0], 'bool');
    const step = () => tf.tidy(() => {
      for (const kwargs of [{ training: true }, { training: true, mask }]) {
        tf.grad((input) => layer.apply(input, kwargs) as typeof input)(rows);
      }
      tf.batchNorm(rows as never, tf.mean(rows, 0) as never, tf.ones([4]) as never);
    });
    const inUse = [1, 10_000].map((steps) => {
      for (let i = 0; i < steps; i++) step();
      return deviceOf(tf.backend()).engine.bytesInUse;
    });
    expect(deviceOf(tf.backend()).engine.memory.buffer).toBe(wasm.HEAPU8.buffer);
    expect(inUse[1]).toBe(inUse[0]);
    expect(inUse[1]).toBeLessThan(32 * 1024);
  });
});

/** As much of a threaded wasm backend as is used. */
function fakeBackend(threads: number) {
  const memory = new WebAssembly.Memory({ initial: 200, maximum: 400, shared: true });
  let next = 1024;
  const offsets = new Map<object, number>();
  const backend = {
    wasm: {
      get HEAPU8() { return new Uint8Array(memory.buffer); }, asm: {}, wasmMemory: memory,
      tfjs: { getThreadsCount: () => threads },
      _malloc(bytes: number) { const at = next; next += Math.ceil(bytes / 16) * 16; return at; }, _free() {},
    },
    dataIdMap: { get: (id: object) => ({ memoryOffset: offsets.get(id) }) },
    makeOutput(shape: number[]) {
      const dataId = {};
      offsets.set(dataId, backend.wasm._malloc(4 * shape.reduce((a, b) => a * b, 1)));
      return { dataId, shape, dtype: 'float32' };
    },
    readSync: (id: object) => new Float32Array(memory.buffer, offsets.get(id)!, 3),
    disposeData() {},
  };
  return backend;
}

describe('a shared memory', () => {
  it('takes the same kernels, as the threaded build of tfjs needs', () => {
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 100, shared: true });
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    const allocator = new FirstFit(memory as unknown as Memory, 100 * PAGE);
    const engine = new Engine('wasm-simd', allocator, wasmKernels(memory, packagedShared()));
    const bn = new BatchNorm(3, { runtime: engine, eps: 1e-3 });
    const tensor = engine.tensor(shape, { data: x }), gradient = engine.tensor(shape, { data: dy });
    expect(distance(bn.forward(tensor).data, expected.y)).toBeLessThan(CLOSE);
    expect(distance(bn.backward(gradient).dx.data, expected.dx)).toBeLessThan(CLOSE);
    engine.tensor([8 * PAGE]);
    expect(distance(bn.forward(tensor).data, expected.y)).toBeLessThan(CLOSE);
  });

  it('is found where the threaded build has it', () => {
    const backend = fakeBackend(1), { wasmMemory: memory } = backend.wasm;
    const device = deviceOf(backend as never);
    expect(device.engine.memory).toBe(memory);
  });

  it('has as many threads as the backend is set to', async () => {
    const device = deviceOf(fakeBackend(3) as never), { engine } = device;
    await engine.ready;
    expect(engine.threads).toBe(3);
    const size = 4000 * 66, [tensor] = device.produce([[4000, 66]], ([out]) => { out!().set(Float32Array.from(normal(size, 1, 3, 2))); });
    const bn = new BatchNorm(66, { runtime: engine, layout: 'channels-last' }), alone = new BatchNorm(66, { layout: 'channels-last' });
    const view = device.locate(tensor!)(), expected = alone.forward(view.slice(), [4000, 66]);
    for (let i = 0; i < 5; i++) expect(distance(bn.forward(view as Float32Array, [4000, 66]), expected)).toBeLessThan(CLOSE);
    engine.dispose();
    expect(engine.threads).toBe(1);
  });

  it('is all that is changed in the module', () => {
    const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], names = [1, 3, 0x65, 0x6e, 0x76, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2], rest = [3, 1, 0];
    // Flags 0 become 3, and there is a maximum of 65536 pages.
    expect(Array.from(importShared(Uint8Array.of(...head, 2, 15, ...names, 0, 1, ...rest)))).toEqual(
      [...head, 2, 18, ...names, 3, 1, 0x80, 0x80, 0x04, ...rest]);
    expect(() => importShared(Uint8Array.of(...head, ...rest))).toThrow(TypeError);
  });
});
