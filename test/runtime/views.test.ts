/** Views of the memory of a runtime as data of its tensors. */
import { describe, expect, it } from 'vitest';
import { expectSame, fill, outlivesGrowth } from '../growth.js';
import { arrayOf, DTYPES, KINDS, makeRuntime, normal } from '../setup.js';

const TYPES = [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
] as const;

describe.each(KINDS)('views of the memory of a %s runtime', (kind) => {
  it.each(DTYPES.flatMap((from) => DTYPES.map((to) => ({ from, to }))))(
    'become the data of a tensor for which memory grows, $from to $to',
    ({ from, to }) => {
      const runtime = makeRuntime(kind), values = arrayOf(from, normal(12_000, 1));
      const source = runtime.tensor([3, 4000], { dtype: from, data: values });
      fill(runtime);
      const before = runtime.bytesInUse, copy = runtime.tensor(source.shape, { dtype: to, data: source.data });
      expectSame(copy.data, arrayOf(to, values));
      expectSame(source.data, values);
      copy.dispose();
      expect(runtime.bytesInUse).toBe(before);
    },
  );

  it.each(TYPES.map((Type) => [Type.name, Type] as const))('may be of any type: %s', (_, Type) => {
    const runtime = makeRuntime(kind), place = runtime.tensor([4000]);
    const view = () => new Type(place.data.buffer as ArrayBuffer, place.data.byteOffset + 8, 1000);
    const values = Array.from({ length: 1000 }, (_, i) => i % 100);
    view().set(values);
    fill(runtime);
    expectSame(runtime.tensor([1000], { data: view() }).data, Float32Array.from(values));
  });

  it('may be of the memory of another runtime, alive or not', () => {
    const one = makeRuntime(kind), other = makeRuntime(kind), values = Float32Array.from(normal(500, 2));
    const { data } = other.tensor([500], { data: values });
    fill(one);
    expectSame(one.tensor([500], { data }).data, values);
    other.dispose();
    fill(one);
    expectSame(one.tensor([500], { data }).data, values);
  });

  it('are the same until memory grows, and empty from then on unless threads share it', () => {
    const runtime = makeRuntime(kind), tensor = runtime.tensor([8]), first = tensor.data;
    expect(tensor.data).toBe(first);
    fill(runtime);
    runtime.tensor([1000]);
    expect(first.length).toBe(outlivesGrowth(first) ? 8 : 0);
    tensor.data[7] = 5;
    if (outlivesGrowth(first)) expect(first[7]).toBe(5);
    expect(tensor.data.length).toBe(8);
  });

  it('die rarely however many tensors are made', () => {
    const runtime = makeRuntime(kind), buffers = new Set<ArrayBufferLike>();
    for (let i = 0; i < 1000; i++) buffers.add(runtime.tensor([8192]).data.buffer);
    expect(buffers.size).toBeLessThan(35);
  });
});
