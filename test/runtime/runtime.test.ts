import { describe, expect, it } from 'vitest';
import { BatchNorm, createRuntime } from '../../src/index.js';
import { bytesOf, inAnotherRealm } from '../host.js';
import { KINDS, makeRuntime, normal } from '../setup.js';

describe.each(KINDS)('runtime %s', (kind) => {
  it('makes tensors of zeros and of copied data', () => {
    const runtime = makeRuntime(kind), data = [1, 2, 3, 4, 5, 6];
    expect(runtime.kind).toBe(kind === 'javascript' ? kind : 'wasm-simd');
    runtime.tensor([100], { data: normal(100, 1) }).dispose();
    expect(runtime.tensor([2, 50]).data).toEqual(new Float32Array(100));
    const tensor = runtime.tensor([2, 3], { dtype: 'float64', data });
    data[0] = 9;
    expect(tensor).toMatchObject({ shape: [2, 3], dtype: 'float64' });
    expect(tensor.data).toEqual(Float64Array.of(1, 2, 3, 4, 5, 6));
    expect(runtime.tensor([], { data: [7] }).data).toEqual(Float32Array.of(7));
  });

  it('keeps the data of a tensor current when memory grows', () => {
    const runtime = makeRuntime(kind), tensor = runtime.tensor([4], { data: [1, 2, 3, 4] }), before = tensor.data;
    runtime.tensor([1_000_000]);
    expect(tensor.data === before).toBe(false);
    expect(tensor.data).toEqual(Float32Array.of(1, 2, 3, 4));
    tensor.data[0] = 5;
    expect(tensor.data[0]).toBe(5);
  });

  it('gives the memory of a tensor back once, and refuses its use after that', () => {
    const runtime = makeRuntime(kind), a = runtime.tensor([16]), b = runtime.tensor([16]);
    expect(runtime.bytesInUse).toBe(128);
    a.dispose();
    a.dispose();
    expect(runtime.bytesInUse).toBe(64);
    expect(() => a.data).toThrow(TypeError);
    expect(b.data.length).toBe(16);
  });

  it('refuses everything after its own dispose', () => {
    const runtime = makeRuntime(kind), tensor = runtime.tensor([2, 2]), bn = new BatchNorm(2, { runtime });
    runtime.dispose();
    runtime.dispose();
    expect(runtime.bytesInUse).toBe(0);
    expect(() => tensor.data).toThrow(TypeError);
    expect(() => runtime.tensor([1])).toThrow(TypeError);
    expect(() => bn.forward(Float32Array.of(1, 2, 3, 4), [2, 2])).toThrow(TypeError);
    tensor.dispose();
  });

  it('stages arrays that share its memory with arrays that do not, through growth', () => {
    const runtime = makeRuntime(kind), bn = new BatchNorm(3, { runtime }), n = 30_000;
    const values = normal(n, 2), inside = runtime.tensor([n / 3, 3], { data: values });
    const expected = new BatchNorm(3, { runtime }).forward(Float32Array.from(values), [n / 3, 3]);
    expect(bn.forward(inside.data as Float32Array, [n / 3, 3])).toEqual(expected);
    const inPlace = inside.data as Float32Array;
    bn.forward(inPlace, [n / 3, 3], { out: inPlace });
    expect(inside.data).toEqual(expected);
  });

  it.each([
    ['an unknown kind', () => createRuntime({ kind: 'gpu' as never }), RangeError],
    ['a misspelt option', () => createRuntime({ kid: kind } as never), TypeError],
    ['a maximum of NaN', () => makeRuntime(kind, { maximumBytes: Number.NaN }), RangeError],
    ['a maximum above 4 GiB', () => makeRuntime(kind, { maximumBytes: 2 ** 33 }), RangeError],
    ['a module that is none', () => createRuntime({ module: 'kernels.wasm' as never }), TypeError],
    ['data of another length', () => makeRuntime(kind).tensor([2], { data: [1] }), RangeError],
    ['data that is no numbers', () => makeRuntime(kind).tensor([1], { data: ['1'] as never }), TypeError],
    ['data of big integers',
      () => makeRuntime(kind).tensor([1], { data: BigInt64Array.of(1n) as never }), TypeError],
    ['an unknown dtype', () => makeRuntime(kind).tensor([1], { dtype: 'float16' as never }), RangeError],
    ['a shape that is none', () => makeRuntime(kind).tensor(3 as never), TypeError],
    ['a fractional dimension', () => makeRuntime(kind).tensor([0.5]), RangeError],
    ['more than memory can hold', () => makeRuntime(kind).tensor([2 ** 40]), RangeError],
  ])('throws for %s', (_, action, error) => {
    expect(action).toThrow(error);
  });
});

const bytes = await bytesOf('../dist/kernels.wasm');

describe('the kernel module', () => {
  it('may be given compiled, also in another realm, or as bytes', async () => {
    const compile = await inAnotherRealm('(bytes) => new WebAssembly.Module(bytes)') as (bytes: BufferSource) => WebAssembly.Module;
    for (const module of [bytes, new WebAssembly.Module(bytes), compile(bytes), bytes.buffer]) {
      const runtime = createRuntime({ module });
      expect(runtime.kind).toBe('wasm-simd');
      expect(new BatchNorm(2, { runtime }).forward(Float32Array.of(1, 2, 3, 4), [2, 2])[0]).toBeCloseTo(-1, 4);
    }
    expect(() => createRuntime({ module: bytes.subarray(0, 100) })).toThrow(WebAssembly.CompileError);
  });

  it('imports its memory and nothing else, and holds no data, table or start function', () => {
    const module = new WebAssembly.Module(bytes);
    expect(WebAssembly.Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
    const sections: number[] = [];
    for (let at = 8; at < bytes.length; ) {
      sections.push(bytes[at++]!);
      let size = 0;
      for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
        byte = bytes[at++]!;
        size |= (byte & 0x7f) << shift;
      }
      at += size;
    }
    const [table, global, start, element, data] = [4, 6, 8, 9, 11];
    for (const section of [table, global, start, element, data]) expect(sections).not.toContain(section);
  });

  it('exports the four kernels in both element types, with the arguments of the plain ones', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const arity = Object.fromEntries(Object.entries(exports).flatMap(([name, value]) =>
      (typeof value === 'function' ? [[name, value.length]] : [])));
    expect(arity).toEqual({
      moments_f32: 11, moments_f64: 11, affine_f32: 14, affine_f64: 14,
      reduce_f32: 16, reduce_f64: 16, gradient_f32: 15, gradient_f64: 15, pack_mask_f32: 4, pack_mask_f64: 4, scratch_bytes: 2,
    });
  });
});
