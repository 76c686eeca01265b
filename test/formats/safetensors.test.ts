import { describe, expect, it } from 'vitest';
import { BatchNorm, type DType, fromTorch, loadSafetensors, readSafetensors, writeSafetensors } from '../../src/index.js';
import { bytesOf } from '../host.js';
import { expectRefusal } from '../refusal.js';
import { arrayOf, DTYPES, normal } from '../setup.js';

const files = ['layers', 'model'].map((name) => bytesOf(`fixtures/${name}.safetensors`));
const [layers, model] = await Promise.all(files) as [Uint8Array, Uint8Array];

/** The state of a layer in the fixtures, by the formulas of make.py. */
function stateOf(channels: number, dtype: DType, counter: number) {
  const values = (formula: (c: number) => number) =>
    arrayOf(dtype, Array.from({ length: channels }, (_, c) => formula(c)));
  return {
    weight: values((c) => 1 + c / 8), bias: values((c) => c - 0.5),
    running_mean: values((c) => -c / 4 + 0), running_var: values((c) => 0.25 + c), num_batches_tracked: counter,
  };
}

const lengthOfHeader = (bytes: Uint8Array) =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));

/** A file with a header, taken as it stands if it is a string, and bytes of data. */
function file(header: string | object, data: Uint8Array | number = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const rest = typeof data === 'number' ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + rest.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(rest, 8 + text.length);
  return bytes;
}

const tensor = (dtype: unknown, shape: unknown, begin: unknown, end: unknown) =>
  ({ dtype, shape, data_offsets: [begin, end] });

describe('a file as Python writes it', () => {
  it('is read whole: names in the order of the data, dtypes, shapes and values', () => {
    const tensors = readSafetensors(model);
    expect(tensors.size).toBe(4 * 5 + 4 + 9);
    expect([...tensors.keys()].slice(0, 3))
      .toEqual(['bf16.num_batches_tracked', 'f16.num_batches_tracked', 'f32.num_batches_tracked']);
    expect(tensors.get('conv.weight')).toMatchObject({ dtype: 'F32', shape: [3, 2, 1, 1] });
    expect(tensors.get('conv.weight')!.read()).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    expect(tensors.get('fraction')!.read()).toEqual(Float64Array.of(1 / 3));
    expect(tensors.get('empty')!.read()).toEqual(new Float32Array(0));
    expect(tensors.get('longs')!.read()).toEqual(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n));
    expect(tensors.get('f32.num_batches_tracked')!.read()).toEqual(BigInt64Array.of(7n));
    expect(tensors.has('__metadata__')).toBe(false);
  });

  it('gives F16 and BF16 exactly, with subnormal numbers, infinities, NaN and signs of zero', () => {
    const tensors = readSafetensors(model);
    expect(tensors.get('halves')!.read()).toEqual(Float32Array.of(
      0.333251953125, -65504, 2 ** -24, -(2 ** -14), 1023 * 2 ** -24, -0,
      Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN,
    ));
    expect(tensors.get('brains')!.read()).toEqual(Float32Array.of(
      1.0078125, -3.3895313892515355e38, 2 ** -133, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN,
    ));
  });

  it('gives integers and truth values in the arrays of their dtypes', () => {
    const tensors = readSafetensors(model);
    expect(tensors.get('index')!.read()).toEqual(Int32Array.of(1, -1));
    expect(tensors.get('mask')!.read()).toEqual(Uint8Array.of(1, 0, 1));
    expect(tensors.get('odd')!.read()).toEqual(Uint8Array.of(1));
  });

  it('is read at any offset of any buffer, as an ArrayBuffer too, and every read is a copy', () => {
    const large = new Uint8Array(model.length + 8);
    for (let offset = 0; offset < 8; offset++) {
      large.set(model, offset);
      const read = readSafetensors(large.subarray(offset, offset + model.length)).get('fraction')!;
      expect(read.read()).toEqual(Float64Array.of(1 / 3));
    }
    const tensors = readSafetensors(Uint8Array.from(model).buffer);
    tensors.get('fraction')!.read().fill(0 as never);
    expect(tensors.get('fraction')!.read()).toEqual(Float64Array.of(1 / 3));
  });

  it.each(DTYPES)('loads into modules of %s by their prefixes, from every dtype', (dtype) => {
    for (const prefix of ['f32.', 'f64.', 'f16.', 'bf16.', 'old.']) {
      const bn = new BatchNorm(3, { dtype }), { weight } = bn;
      bn.numBatchesTracked = 3;
      loadSafetensors({ [prefix]: bn }, model);
      expect(bn.stateDict()).toEqual(stateOf(3, dtype, prefix === 'old.' ? 0 : 7));
      expect(bn.weight).toBe(weight);
    }
  });

  it('loads many layers at once, without the parameters that a layer does not have', () => {
    const first = new BatchNorm(3), second = new BatchNorm(2, { weight: false, bias: false });
    const third = new BatchNorm(5, { dtype: 'float64' });
    loadSafetensors({ 'layer1.0.bn1.': first, 'layer1.0.bn2.': second, 'tête.bn.': third }, layers);
    const { running_mean, running_var } = stateOf(2, 'float32', 0);
    expect(first.stateDict()).toEqual(stateOf(3, 'float32', 7));
    expect(second.stateDict()).toEqual({ running_mean, running_var, num_batches_tracked: 2 ** 40 });
    expect(third.stateDict()).toEqual(stateOf(5, 'float64', 0));
  });

  it('comes out of writeSafetensors byte for byte', () => {
    const first = new BatchNorm(3), second = new BatchNorm(2, { weight: false, bias: false });
    const third = new BatchNorm(5, { dtype: 'float64' });
    const modules = { 'tête.bn.': third, 'layer1.0.bn2.': second, 'layer1.0.bn1.': first };
    loadSafetensors(modules, layers);
    expect(writeSafetensors(modules)).toEqual(layers);
  });

  it('makes a module where there is none yet, by fromTorch', () => {
    const stored = [...readSafetensors(model)].filter(([name]) => name.startsWith('f16.'));
    const state = Object.fromEntries(stored.map(([name, tensor]) => [name, tensor.read()]));
    expect(fromTorch(state, { prefix: 'f16.' }).module.stateDict()).toEqual(stateOf(3, 'float32', 7));
  });
});

describe.each(DTYPES)('what is written of %s', (dtype) => {
  it('comes back bit for bit, NaN and the smallest numbers included', () => {
    const bn = new BatchNorm(4, { dtype }), copy = new BatchNorm(4, { dtype });
    bn.weight!.set([Number.NaN, -0, 2 ** -149, Number.NEGATIVE_INFINITY]);
    bn.runningMean!.set(normal(4, 1));
    bn.numBatchesTracked = Number.MAX_SAFE_INTEGER;
    const bytes = writeSafetensors({ 'a.': bn, '': new BatchNorm(1) });
    loadSafetensors({ 'a.': copy }, bytes);
    expect(copy.stateDict()).toEqual(bn.stateDict());
    expect(readSafetensors(bytes).get('a.num_batches_tracked')).toMatchObject({ dtype: 'I64', shape: [] });
    expect(readSafetensors(bytes).get('a.weight'))
      .toMatchObject({ dtype: dtype === 'float32' ? 'F32' : 'F64', shape: [4] });
  });

  it('begins its data at a multiple of 8, whatever the names', () => {
    for (let length = 0; length < 9; length++) {
      const bytes = writeSafetensors({ ['x'.repeat(length)]: new BatchNorm(3, { dtype }) });
      expect(new DataView(bytes.buffer).getBigUint64(0, true) % 8n).toBe(0n);
      expect(bytes[8]).toBe(0x7b);
    }
  });

  it('takes metadata, names that JSON escapes, and no layers', () => {
    const bn = new BatchNorm(1, { dtype }), name = '__proto__"\\\n\u0000é𝕏.';
    const bytes = writeSafetensors({ [name]: bn }, { made: 'here' });
    expect([...readSafetensors(bytes).keys()]).toContain(`${name}weight`);
    expect(new TextDecoder().decode(bytes)).toContain('"__metadata__":{"made":"here"}');
    expect(readSafetensors(writeSafetensors({})).size).toBe(0);
    expect(() => writeSafetensors({ bn }, { made: 1 } as never)).toThrow('"metadata" expected an object of strings');
    expect(() => writeSafetensors({ bn: 1 } as never))
      .toThrow(new TypeError('"bn" expected a BatchNorm, got number 1'));
    expect(() => writeSafetensors(bn as never))
      .toThrow(new TypeError('"layers" expected modules by the prefix of their names, got Object'));
  });
});

describe('a broken file', () => {
  const length = (value: bigint, rest = 8) => {
    const bytes = new Uint8Array(8 + rest);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return bytes;
  };
  const EMPTY = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
  const F = (begin: unknown, end: unknown) => ({ a: tensor('F32', [2], begin, end) });

  it.each(Object.entries({
    'no bytes': { throws: TypeError, bytes: 'text', message: '"bytes" expected Uint8Array or ArrayBuffer, got string' },
    'another view': { throws: TypeError, bytes: new Float32Array(4), message: 'got Float32Array of length 4' },
    'nothing': { throws: RangeError, bytes: new Uint8Array(0),
      message: 'A safetensors file expected 8 bytes or more, got 0' },
    '7 bytes': { throws: RangeError, bytes: new Uint8Array(7), message: 'expected 8 bytes or more, got 7' },
    'an empty header': { throws: RangeError, bytes: length(0n, 0), message: 'expected JSON in UTF-8' },
    'a header past the end': { throws: RangeError, bytes: length(9n), message: 'The header expected 9 bytes, got 8' },
    'a header above 16 MiB': { throws: RangeError, bytes: length(16_777_217n),
      message: 'The header expected 16777216 bytes at most, got 16777217' },
    'a header of 2^64 - 1 bytes': { throws: RangeError, bytes: length(2n ** 64n - 1n),
      message: 'at most, got 18446744073709551615' },
    'a header that is not UTF-8': { throws: RangeError,
      bytes: file('{"\u00e9":1}').map((byte) => (byte === 0xc3 ? 0xff : byte)), message: 'expected JSON in UTF-8' },
    'a header that is no JSON': { throws: RangeError, bytes: file('{"a":'), message: 'expected JSON in UTF-8' },
    'a string that does not end': { throws: RangeError, bytes: file('{"a'), message: 'expected JSON in UTF-8' },
    'a name with a broken escape': { throws: RangeError, bytes: file('{"\\x":1}'), message: 'expected JSON in UTF-8' },
    'an array for a header': { throws: TypeError, bytes: file('[]'),
      message: 'The header expected an object, got Array of length 0' },
    'null for a header': { throws: TypeError, bytes: file('null'), message: 'The header expected an object, got null' },
    'a header that does not begin with {': { throws: RangeError, bytes: file(' {}'),
      message: 'expected "{" as its first byte, got 32' },
    'a byte order mark': { throws: RangeError, bytes: file('\ufeff{}'), message: 'expected JSON in UTF-8' },
    'a header of too many levels': { throws: RangeError, bytes: file(`{"a":${'['.repeat(1e6)}`),
      message: '64 levels at most' },
    'a name twice': { throws: RangeError, bytes: file(`{"a":${EMPTY},"a":${EMPTY}}`),
      message: 'every name once, got "a" twice' },
    'a name twice, once escaped': { throws: RangeError, bytes: file(`{"ab": ${EMPTY}, "\\u0061b" : ${EMPTY}}`),
      message: 'got "ab" twice' },
    'a field twice': { throws: RangeError,
      bytes: file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,0],"shape":[0]}}'), message: 'got "shape" twice' },
    '__proto__ twice': { throws: RangeError, bytes: file(`{"__proto__":${EMPTY},"__proto__":{}}`),
      message: 'got "__proto__" twice' },
    'metadata of numbers': { throws: TypeError, bytes: file({ __metadata__: { format: 1 } }),
      message: '"__metadata__" expected an object of strings' },
    'metadata that is no object': { throws: TypeError, bytes: file({ __metadata__: ['pt'] }),
      message: '"__metadata__"' },
    'a tensor that is no object': { throws: TypeError, bytes: file({ a: [1] }),
      message: '"a" expected an object, got Array of length 1' },
    'null for a tensor': { throws: TypeError, bytes: file({ a: null }), message: '"a" expected an object, got null' },
    'no dtype': { throws: TypeError, bytes: file({ a: { shape: [0], data_offsets: [0, 0] } }),
      message: '"a" expected a dtype, got undefined' },
    'another dtype': { throws: RangeError, bytes: file({ a: tensor('F31', [0], 0, 0) }), message: 'got F31' },
    'a dtype of Object.prototype': { throws: RangeError, bytes: file({ a: tensor('constructor', [0], 0, 0) }),
      message: 'got constructor' },
    'no shape': { throws: TypeError, bytes: file({ a: { dtype: 'F32', data_offsets: [0, 0] } }),
      message: '"a": "shape" expected an array of dimensions, got undefined' },
    'a shape of strings': { throws: TypeError, bytes: file({ a: tensor('F32', ['2'], 0, 8) }, 8),
      message: '"a": "shape" expected numbers, got string' },
    'a negative shape': { throws: RangeError, bytes: file({ a: tensor('F32', [-1, -2], 0, 8) }, 8),
      message: '"a": "shape" expected non-negative integers' },
    'a fractional shape': { throws: RangeError, bytes: file({ a: tensor('F32', [0.5, 4], 0, 8) }, 8),
      message: 'non-negative integers' },
    'a shape that overflows': { throws: RangeError,
      bytes: file({ a: tensor('F32', [2 ** 32, 2 ** 32], 0, 8) }, 8), message: 'product below 2^53' },
    'a shape beyond any file': { throws: RangeError, bytes: file({ a: tensor('F32', [2 ** 50], 0, 8) }, 8),
      message: `"a" expected ${2 ** 52} bytes (F32 [${2 ** 50}]), got 8` },
    'a shape of other bytes': { throws: RangeError, bytes: file({ a: tensor('F32', [3], 0, 8) }, 8),
      message: '"a" expected 12 bytes (F32 [3]), got 8' },
    'a dtype of other bytes': { throws: RangeError, bytes: file({ a: tensor('F64', [2], 0, 8) }, 8),
      message: '"a" expected 16 bytes (F64 [2]), got 8' },
    'half a byte': { throws: RangeError, bytes: file({ a: tensor('F4', [3], 0, 1) }, 1),
      message: '"a" expected 1.5 bytes (F4 [3]), got 1' },
    'no offsets': { throws: TypeError, bytes: file({ a: { dtype: 'F32', shape: [0] } }),
      message: '"a" expected two data_offsets, got undefined' },
    'three offsets': { throws: TypeError, bytes: file({ a: { dtype: 'F32', shape: [0], data_offsets: [0, 0, 0] } }),
      message: 'two data_offsets, got Array of length 3' },
    'offsets of strings': { throws: TypeError, bytes: file(F('0', '8'), 8), message: 'two data_offsets' },
    'negative offsets': { throws: RangeError, bytes: file(F(-8, 0), 8),
      message: '"a" expected data_offsets within 0 and 8, in order, got [-8, 0]' },
    'fractional offsets': { throws: RangeError, bytes: file(F(0.5, 8.5), 9), message: 'got [0.5, 8.5]' },
    'offsets beyond 2^53': { throws: RangeError, bytes: file(F(2 ** 53, 2 ** 53 + 8), 8),
      message: 'expected data_offsets within' },
    'offsets beyond every number': { throws: RangeError,
      bytes: file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e999]}}', 8), message: 'got [0, Infinity]' },
    'offsets in reverse': { throws: RangeError, bytes: file(F(8, 0), 8), message: 'in order, got [8, 0]' },
    'offsets past the end': { throws: RangeError, bytes: file(F(0, 8), 7),
      message: 'within 0 and 7, in order, got [0, 8]' },
    'overlapping tensors': { throws: RangeError, bytes: file({ ...F(0, 8), b: tensor('F32', [2], 4, 12) }, 12),
      message: '"b" expected to begin at byte 8 of the data, got 4' },
    'tensors of the same bytes': { throws: RangeError,
      bytes: file({ ...F(0, 8), b: tensor('F32', [2], 0, 8) }, 8), message: '"b" expected to begin at byte 8' },
    'a hole in front': { throws: RangeError, bytes: file(F(4, 12), 12),
      message: '"a" expected to begin at byte 0 of the data, got 4' },
    'a hole between': { throws: RangeError, bytes: file({ ...F(0, 8), b: tensor('F32', [1], 12, 16) }, 16),
      message: '"b" expected to begin at byte 8 of the data, got 12' },
    'bytes left over': { throws: RangeError, bytes: file(F(0, 8), 9), message: 'The data expected 8 bytes, got 9' },
  }))('is refused: %s', (_, { bytes, ...refusal }) => {
    expectRefusal(() => readSafetensors(bytes as never), refusal);
    expectRefusal(() => loadSafetensors({ '': new BatchNorm(2) }, bytes as never), refusal);
  });

  it('is refused wherever it is cut, and survives any flip of a bit without touching a module', () => {
    for (let end = 0; end < layers.length; end++) {
      expect(() => readSafetensors(layers.subarray(0, end))).toThrow(/expected/);
    }
    const header = lengthOfHeader(layers) + 8, bn = new BatchNorm(3), before = bn.stateDict();
    for (let bit = 0; bit < header * 8; bit += 7) {
      const bytes = Uint8Array.from(layers);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      try {
        loadSafetensors({ 'layer1.0.bn1.': bn }, bytes);
        bn.loadStateDict(before);
      } catch (error) {
        expect(error === null || error instanceof TypeError || error instanceof RangeError).toBe(true);
        expect((error as Error).message).toMatch(/expected/);
        expect(bn.stateDict()).toEqual(before);
      }
    }
  });

  it('pollutes nothing by its names', () => {
    const text = `{${['__proto__', 'constructor', 'a.__proto__'].map((name, i) =>
      `"${name}":{"dtype":"F32","shape":[1],"data_offsets":[${4 * i},${4 * i + 4}]}`).join()}}`;
    const tensors = readSafetensors(file(text, 12));
    expect([...tensors.keys()]).toEqual(['__proto__', 'constructor', 'a.__proto__']);
    expect(({} as { dtype?: string }).dtype).toBeUndefined();
    expect(Object.getPrototypeOf(tensors.get('__proto__'))).toBe(Object.prototype);
    expect(readSafetensors(file('{}')).get('constructor')).toBeUndefined();
    expect(() => readSafetensors(file('{"a":{"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}}')))
      .toThrow('"a" expected a dtype, got undefined');
  });

  it.each([
    ...['BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0'].map((dtype) => [dtype, 8] as const), ['F4', 4], ['F6_E2M3', 6], ['F6_E3M2', 6],
    ...['U16', 'I16', 'F16', 'BF16'].map((dtype) => [dtype, 16] as const), ...['U32', 'I32', 'F32'].map((dtype) => [dtype, 32] as const),
    ...['U64', 'I64', 'F64', 'C64'].map((dtype) => [dtype, 64] as const),
  ] as const)('is one where elements of %s do not take %i bits each', (dtype, bits) => {
    expect([...readSafetensors(file({ a: tensor(dtype, [2, 4], 0, bits) }, bits)).keys()]).toEqual(['a']);
    for (const wrong of [bits - 1, bits + 1]) expect(() => readSafetensors(file({ a: tensor(dtype, [2, 4], 0, wrong) }, wrong))).toThrow('"a" expected');
  });

  it('is not one where the header ends in spaces, names stand in another order, or tensors are empty', () => {
    const header = { b: tensor('U8', [4], 4, 8), e: tensor('F64', [0, 3], 4, 4), a: tensor('F32', [], 0, 4) };
    const tensors = readSafetensors(file(`${JSON.stringify(header)}   `, 8));
    expect([...tensors.keys()]).toEqual(['a', 'e', 'b']);
    expect(tensors.get('a')!.read()).toEqual(Float32Array.of(0));
  });

  it('is not one where the header is long without many names or values', () => {
    const tensors = readSafetensors(file(`${JSON.stringify({ a: tensor('U8', [2], 0, 2) })}${' '.repeat(2 ** 21)}`, 2));
    expect([...tensors.keys()]).toEqual(['a']);
  });
});

describe('a file that does not fit the modules changes none of them', () => {
  const numbers = (length: number, dtype = 'F32') => ({ dtype, length });
  /** A file of tensors of zeros, given by name. */
  const zeros = (entries: Record<string, { dtype: string; length: number; shape?: number[] }>) => {
    let at = 0;
    const header = Object.fromEntries(Object.entries(entries).map(([name, { dtype, length, shape = [length] }]) => {
      const begin = at;
      at += length * Number(/\d+/.exec(dtype)) / 8;
      return [name, tensor(dtype, shape, begin, at)];
    }));
    return file(header, at);
  };
  const layer = (prefix: string, change = {}) => Object.fromEntries(Object.entries({
    weight: numbers(2), bias: numbers(2), running_mean: numbers(2), running_var: numbers(2), ...change,
  }).filter(([, value]) => value).map(([name, value]) => [prefix + name, value]));

  it('but loads where it fits', () => {
    const bn = new BatchNorm(2);
    loadSafetensors({ 'b.': bn }, zeros(layer('b.', { num_batches_tracked: { dtype: 'I64', length: 1 } })));
    expect(bn.weight).toEqual(new Float32Array(2));
  });

  it.each(Object.entries({
    'a missing tensor': { throws: TypeError, change: { bias: null },
      message: 'The file expected "b.bias", got none' },
    'a tensor too many': { throws: TypeError, options: { bias: false },
      message: '"b.": "state" expected weight, running_mean, running_var, num_batches_tracked, got "bias"' },
    'other channels': { throws: RangeError, change: { weight: numbers(3) },
      message: '"b.weight" expected shape [2], got [3]' },
    'another rank': { throws: RangeError, change: { weight: { ...numbers(2), shape: [2, 1] } },
      message: '"b.weight" expected shape [2], got [2, 1]' },
    'integers': { throws: TypeError, change: { weight: numbers(2, 'I32') },
      message: '"b.weight" expected dtype F32, F64, F16, BF16, got I32' },
    'integers that are read': { throws: TypeError, change: { weight: numbers(2, 'I64') },
      message: '"b.weight" expected dtype F32, F64, F16, BF16, got I64' },
    'two counters': { throws: RangeError, change: { num_batches_tracked: numbers(2, 'I64') },
      message: '"b.num_batches_tracked" expected shape [], got [2]' },
  }))('%s', (_, { change = {}, options = {}, ...refusal }) => {
    const first = new BatchNorm(2), second = new BatchNorm(2, options);
    const before = [first.stateDict(), second.stateDict()];
    const bytes = zeros({ ...layer('a.'), ...layer('b.', change) });
    expectRefusal(() => loadSafetensors({ 'a.': first, 'b.': second }, bytes), refusal);
    expect([first.stateDict(), second.stateDict()]).toEqual(before);
  });

  it.each(Object.entries({
    'a negative variance': { name: 'running_var', values: Float32Array.of(1, -1),
      message: '"b.": "running_var" expected variances of 0 or more' },
    'a negative counter': { name: 'num_batches_tracked', values: BigInt64Array.of(-1n),
      message: '"b.": "num_batches_tracked" expected a non-negative integer, got -1' },
    'a counter beyond 2^53': { name: 'num_batches_tracked', values: BigInt64Array.of(2n ** 53n),
      message: '"b.": "num_batches_tracked" expected a non-negative integer' },
  }))('%s', (_, { name, values, message }) => {
    const first = new BatchNorm(2), second = new BatchNorm(2), before = first.stateDict();
    first.weight!.fill(5);
    const bytes = writeSafetensors({ 'a.': first, 'b.': second });
    const length = lengthOfHeader(bytes), header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    bytes.set(new Uint8Array(values.buffer), 8 + length + header[`b.${name}`].data_offsets[0]);
    first.loadStateDict(before);
    expectRefusal(() => loadSafetensors({ 'a.': first, 'b.': second }, bytes), { throws: RangeError, message });
    expect(first.stateDict()).toEqual(before);
  });
});
