import { describe, expect, it } from 'vitest';
import { BatchNorm, type DType, fromTorch, loadSafetensors, readSafetensors, writeSafetensors } from '../src/index.js';
import { bytesOf } from './host.js';
import { arrayOf, DTYPES, normal } from './setup.js';

const [layers, model] = await Promise.all(['layers', 'model'].map((name) => bytesOf(`fixtures/${name}.safetensors`))) as [Uint8Array, Uint8Array];

/** The state of a layer of the fixtures: the formulas of make.py. */
function stateOf(channels: number, dtype: DType, counter: number) {
  const values = (formula: (c: number) => number) => arrayOf(dtype, Array.from({ length: channels }, (_, c) => formula(c)));
  return {
    weight: values((c) => 1 + c / 8), bias: values((c) => c - 0.5),
    running_mean: values((c) => -c / 4 + 0), running_var: values((c) => 0.25 + c), num_batches_tracked: counter,
  };
}

const lengthOfHeader = (bytes: Uint8Array) => Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));

/** A file of a header, as it stands, and bytes of data. */
function file(header: string | object, data: Uint8Array | number = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const rest = typeof data === 'number' ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + rest.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(rest, 8 + text.length);
  return bytes;
}

const tensor = (dtype: unknown, shape: unknown, begin: unknown, end: unknown) => ({ dtype, shape, data_offsets: [begin, end] });

describe('a file as Python writes it', () => {
  it('is read whole: names in the order of the data, dtypes, shapes and values', () => {
    const tensors = readSafetensors(model);
    expect(tensors.size).toBe(4 * 5 + 4 + 9);
    expect([...tensors.keys()].slice(0, 3)).toEqual(['bf16.num_batches_tracked', 'f16.num_batches_tracked', 'f32.num_batches_tracked']);
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
      0.333251953125, -65504, 2 ** -24, -(2 ** -14), 1023 * 2 ** -24, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN,
    ));
    expect(tensors.get('brains')!.read()).toEqual(Float32Array.of(
      1.0078125, -3.3895313892515355e38, 2 ** -133, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN,
    ));
  });

  it('lists tensors of other dtypes, and says so when one of them is read', () => {
    const tensors = readSafetensors(model);
    for (const [name, dtype] of [['index', 'I32'], ['mask', 'U8'], ['odd', 'BOOL']] as const) {
      expect(tensors.get(name)!.dtype).toBe(dtype);
      expect(() => tensors.get(name)!.read()).toThrow(new TypeError(`"${name}" expected dtype F64, F32, F16, BF16 or I64 to be read, got ${dtype}`));
    }
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
    const first = new BatchNorm(3), second = new BatchNorm(2, { weight: false, bias: false }), third = new BatchNorm(5, { dtype: 'float64' });
    loadSafetensors({ 'layer1.0.bn1.': first, 'layer1.0.bn2.': second, 'tête.bn.': third }, layers);
    const { running_mean, running_var } = stateOf(2, 'float32', 0);
    expect(first.stateDict()).toEqual(stateOf(3, 'float32', 7));
    expect(second.stateDict()).toEqual({ running_mean, running_var, num_batches_tracked: 2 ** 40 });
    expect(third.stateDict()).toEqual(stateOf(5, 'float64', 0));
  });

  it('comes out of writeSafetensors byte for byte', () => {
    const first = new BatchNorm(3), second = new BatchNorm(2, { weight: false, bias: false }), third = new BatchNorm(5, { dtype: 'float64' });
    const modules = { 'tête.bn.': third, 'layer1.0.bn2.': second, 'layer1.0.bn1.': first };
    loadSafetensors(modules, layers);
    expect(writeSafetensors(modules)).toEqual(layers);
  });

  it('makes a module where there is none yet, by fromTorch', () => {
    const state = Object.fromEntries([...readSafetensors(model)].filter(([name]) => name.startsWith('f16.')).map(([name, stored]) => [name, stored.read()]));
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
    expect(readSafetensors(bytes).get('a.weight')).toMatchObject({ dtype: dtype === 'float32' ? 'F32' : 'F64', shape: [4] });
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
    expect(() => writeSafetensors({ bn: 1 } as never)).toThrow(new TypeError('"bn" expected a BatchNorm, got number 1'));
    expect(() => writeSafetensors(bn as never)).toThrow(new TypeError('"layers" expected modules by the prefix of their names, got Object'));
  });
});

describe('a broken file', () => {
  const length = (value: bigint, rest = 8) => {
    const bytes = new Uint8Array(8 + rest);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return bytes;
  };
  const F = (begin: unknown, end: unknown) => ({ a: tensor('F32', [2], begin, end) });

  it.each([
    ['no bytes', 'text', TypeError, '"bytes" expected Uint8Array or ArrayBuffer, got string'],
    ['another view', new Float32Array(4), TypeError, 'got Float32Array of length 4'],
    ['nothing', new Uint8Array(0), RangeError, 'A safetensors file expected 8 bytes or more, got 0'],
    ['7 bytes', new Uint8Array(7), RangeError, 'expected 8 bytes or more, got 7'],
    ['an empty header', length(0n, 0), RangeError, 'expected JSON in UTF-8'],
    ['a header past the end', length(9n), RangeError, 'The header expected 9 bytes, got 8'],
    ['a header above 100 MB', length(100_000_001n), RangeError, 'The header expected 100000000 bytes at most, got 100000001'],
    ['a header of 2^64 - 1 bytes', length(2n ** 64n - 1n), RangeError, 'at most, got 18446744073709551615'],
    ['a header that is not UTF-8', file('{"\u00e9":1}').map((byte) => (byte === 0xc3 ? 0xff : byte)), RangeError, 'expected JSON in UTF-8'],
    ['a header that is no JSON', file('{"a":'), RangeError, 'expected JSON in UTF-8'],
    ['a string that does not end', file('{"a'), RangeError, 'expected JSON in UTF-8'],
    ['a name with a broken escape', file('{"\\x":1}'), RangeError, 'expected JSON in UTF-8'],
    ['an array for a header', file('[]'), TypeError, 'The header expected an object, got Array of length 0'],
    ['null for a header', file('null'), TypeError, 'The header expected an object, got null'],
    ['a header that does not begin with {', file(' {}'), RangeError, 'expected "{" as its first byte, got 32'],
    ['a byte order mark', file('\ufeff{}'), RangeError, 'expected JSON in UTF-8'],
    ['a header of too many levels', file(`{"a":${'['.repeat(1e6)}`), RangeError, '64 levels at most'],
    ['a name twice', file('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'), RangeError, 'every name once, got "a" twice'],
    ['a name twice, once escaped', file('{"ab": {"dtype":"F32","shape":[0],"data_offsets":[0,0]}, "\\u0061b" : {"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'), RangeError, 'got "ab" twice'],
    ['a field twice', file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,0],"shape":[0]}}'), RangeError, 'got "shape" twice'],
    ['__proto__ twice', file('{"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"__proto__":{}}'), RangeError, 'got "__proto__" twice'],
    ['metadata of numbers', file({ __metadata__: { format: 1 } }), TypeError, '"__metadata__" expected an object of strings'],
    ['metadata that is no object', file({ __metadata__: ['pt'] }), TypeError, '"__metadata__"'],
    ['a tensor that is no object', file({ a: [1] }), TypeError, '"a" expected an object, got Array of length 1'],
    ['null for a tensor', file({ a: null }), TypeError, '"a" expected an object, got null'],
    ['no dtype', file({ a: { shape: [0], data_offsets: [0, 0] } }), TypeError, '"a" expected a dtype, got undefined'],
    ['another dtype', file({ a: tensor('F31', [0], 0, 0) }), RangeError, 'got F31'],
    ['a dtype of Object.prototype', file({ a: tensor('constructor', [0], 0, 0) }), RangeError, 'got constructor'],
    ['no shape', file({ a: { dtype: 'F32', data_offsets: [0, 0] } }), TypeError, '"a": "shape" expected an array of dimensions, got undefined'],
    ['a shape of strings', file({ a: tensor('F32', ['2'], 0, 8) }, 8), TypeError, '"a": "shape" expected numbers, got string'],
    ['a negative shape', file({ a: tensor('F32', [-1, -2], 0, 8) }, 8), RangeError, '"a": "shape" expected non-negative integers'],
    ['a fractional shape', file({ a: tensor('F32', [0.5, 4], 0, 8) }, 8), RangeError, 'non-negative integers'],
    ['a shape that overflows', file({ a: tensor('F32', [2 ** 32, 2 ** 32], 0, 8) }, 8), RangeError, 'product below 2^53'],
    ['a shape beyond any file', file({ a: tensor('F32', [2 ** 50], 0, 8) }, 8), RangeError, `"a" expected ${2 ** 52} bytes (F32 [${2 ** 50}]), got 8`],
    ['a shape of other bytes', file({ a: tensor('F32', [3], 0, 8) }, 8), RangeError, '"a" expected 12 bytes (F32 [3]), got 8'],
    ['a dtype of other bytes', file({ a: tensor('F64', [2], 0, 8) }, 8), RangeError, '"a" expected 16 bytes (F64 [2]), got 8'],
    ['half a byte', file({ a: tensor('F4', [3], 0, 1) }, 1), RangeError, '"a" expected 1.5 bytes (F4 [3]), got 1'],
    ['no offsets', file({ a: { dtype: 'F32', shape: [0] } }), TypeError, '"a" expected two data_offsets, got undefined'],
    ['three offsets', file({ a: { dtype: 'F32', shape: [0], data_offsets: [0, 0, 0] } }), TypeError, 'two data_offsets, got Array of length 3'],
    ['offsets of strings', file(F('0', '8'), 8), TypeError, 'two data_offsets'],
    ['negative offsets', file(F(-8, 0), 8), RangeError, '"a" expected data_offsets within 0 and 8, in order, got [-8, 0]'],
    ['fractional offsets', file(F(0.5, 8.5), 9), RangeError, 'got [0.5, 8.5]'],
    ['offsets beyond 2^53', file(F(2 ** 53, 2 ** 53 + 8), 8), RangeError, 'expected data_offsets within'],
    ['offsets beyond every number', file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e999]}}', 8), RangeError, 'got [0, Infinity]'],
    ['offsets in reverse', file(F(8, 0), 8), RangeError, 'in order, got [8, 0]'],
    ['offsets past the end', file(F(0, 8), 7), RangeError, 'within 0 and 7, in order, got [0, 8]'],
    ['overlapping tensors', file({ ...F(0, 8), b: tensor('F32', [2], 4, 12) }, 12), RangeError, '"b" expected to begin at byte 8 of the data, got 4'],
    ['tensors of the same bytes', file({ ...F(0, 8), b: tensor('F32', [2], 0, 8) }, 8), RangeError, '"b" expected to begin at byte 8'],
    ['a hole in front', file(F(4, 12), 12), RangeError, '"a" expected to begin at byte 0 of the data, got 4'],
    ['a hole between', file({ ...F(0, 8), b: tensor('F32', [1], 12, 16) }, 16), RangeError, '"b" expected to begin at byte 8 of the data, got 12'],
    ['bytes left over', file(F(0, 8), 9), RangeError, 'The data expected 8 bytes, got 9'],
  ])('is refused: %s', (_, bytes, error, message) => {
    expect(() => readSafetensors(bytes as never)).toThrow(error as typeof TypeError);
    expect(() => readSafetensors(bytes as never)).toThrow(message);
    const bn = new BatchNorm(2);
    expect(() => loadSafetensors({ '': bn }, bytes as never)).toThrow(message);
  });

  it('is refused wherever it is cut, and survives any flip of a bit without touching a module', () => {
    for (let end = 0; end < layers.length; end++) expect(() => readSafetensors(layers.subarray(0, end))).toThrow(/expected/);
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
    const text = '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"constructor":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a.__proto__":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}';
    const tensors = readSafetensors(file(text, 12));
    expect([...tensors.keys()]).toEqual(['__proto__', 'constructor', 'a.__proto__']);
    expect(({} as { dtype?: string }).dtype).toBeUndefined();
    expect(Object.getPrototypeOf(tensors.get('__proto__'))).toBe(Object.prototype);
    expect(readSafetensors(file('{}')).get('constructor')).toBeUndefined();
    expect(() => readSafetensors(file('{"a":{"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}}'))).toThrow('"a" expected a dtype, got undefined');
  });

  it('is not one where the header ends in spaces, names stand in another order, or tensors are empty', () => {
    const tensors = readSafetensors(file(`${JSON.stringify({ b: tensor('U8', [4], 4, 8), e: tensor('F64', [0, 3], 4, 4), a: tensor('F32', [], 0, 4) })}   `, 8));
    expect([...tensors.keys()]).toEqual(['a', 'e', 'b']);
    expect(tensors.get('a')!.read()).toEqual(Float32Array.of(0));
  });
});

describe('a file that does not fit the modules changes none of them', () => {
  const numbers = (length: number, dtype = 'F32') => ({ dtype, length });
  /** A file of zeros, by name. */
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

  it.each([
    ['a missing tensor', { bias: null }, {}, TypeError, 'The file expected "b.bias", got none'],
    ['a tensor too many', {}, { bias: false }, TypeError, '"b.": "state" expected weight, running_mean, running_var, num_batches_tracked, got "bias"'],
    ['other channels', { weight: numbers(3) }, {}, RangeError, '"b.weight" expected shape [2], got [3]'],
    ['another rank', { weight: { ...numbers(2), shape: [2, 1] } }, {}, RangeError, '"b.weight" expected shape [2], got [2, 1]'],
    ['integers', { weight: numbers(2, 'I32') }, {}, TypeError, '"b.weight" expected dtype F32, F64, F16, BF16, got I32'],
    ['integers that are read', { weight: numbers(2, 'I64') }, {}, TypeError, '"b.weight" expected dtype F32, F64, F16, BF16, got I64'],
    ['a counter of floats', { num_batches_tracked: numbers(1) }, {}, TypeError, '"b.num_batches_tracked" expected dtype I64, got F32'],
    ['two counters', { num_batches_tracked: numbers(2, 'I64') }, {}, RangeError, '"b.num_batches_tracked" expected shape [], got [2]'],
  ])('%s', (_, change, options, error, message) => {
    const first = new BatchNorm(2), second = new BatchNorm(2, options), before = [first.stateDict(), second.stateDict()];
    const bytes = zeros({ ...layer('a.'), ...layer('b.', change) });
    expect(() => loadSafetensors({ 'a.': first, 'b.': second }, bytes)).toThrow(error as typeof TypeError);
    expect(() => loadSafetensors({ 'a.': first, 'b.': second }, bytes)).toThrow(message);
    expect([first.stateDict(), second.stateDict()]).toEqual(before);
  });

  it.each([
    ['a negative variance', 'running_var', Float32Array.of(1, -1), RangeError, '"b.": "running_var" expected variances of 0 or more'],
    ['a negative counter', 'num_batches_tracked', BigInt64Array.of(-1n), RangeError, '"b.": "num_batches_tracked" expected a non-negative integer, got -1'],
    ['a counter beyond 2^53', 'num_batches_tracked', BigInt64Array.of(2n ** 53n), RangeError, '"b.": "num_batches_tracked" expected a non-negative integer'],
  ] as const)('%s', (_, name, values, error, message) => {
    const first = new BatchNorm(2), second = new BatchNorm(2), before = first.stateDict();
    first.weight!.fill(5);
    const bytes = writeSafetensors({ 'a.': first, 'b.': second });
    const length = lengthOfHeader(bytes), header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    bytes.set(new Uint8Array(values.buffer), 8 + length + header[`b.${name}`].data_offsets[0]);
    first.loadStateDict(before);
    expect(() => loadSafetensors({ 'a.': first, 'b.': second }, bytes)).toThrow(error as typeof TypeError);
    expect(() => loadSafetensors({ 'a.': first, 'b.': second }, bytes)).toThrow(message);
    expect(first.stateDict()).toEqual(before);
  });
});
