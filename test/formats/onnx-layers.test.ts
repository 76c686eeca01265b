/** All BatchNormalization nodes of an ONNX model, and tensors and attributes as decoders of protocol buffers return them. */
import { describe, expect, it } from 'vitest';
import { fromOnnx, layersFromOnnx } from '../../src/index.js';
import { halfOf } from './safetensors-file.js';

const VALUES = { scale: [1, 2], B: [0.5, 1], input_mean: [5, 6], input_var: [4, 9] };
const WORDS = ['scale', 'B', 'input_mean', 'input_var'] as const;

const bytesOf = (typed: Float32Array | Float64Array | Uint16Array) => new Uint8Array(typed.buffer);
const upperHalves = (values: number[]) => Array.from(new Uint32Array(Float32Array.from(values).buffer), (bits) => bits >>> 16);

/** A long integer as protobufjs returns it. */
const long = (value: number) => ({ low: value | 0, high: Math.floor(value / 2 ** 32), unsigned: false });

/** Two numbers as a TensorProto, in every way that there is. */
const TENSORS: Record<string, (values: number[]) => Record<string, unknown>> = {
  'raw_data of FLOAT': (values) => ({ dims: [2], data_type: 1, raw_data: bytesOf(Float32Array.from(values)) }),
  'rawData of FLOAT at an odd place': (values) => {
    const bytes = new Uint8Array(11);
    bytes.set(bytesOf(Float32Array.from(values)), 3);
    return { dims: [long(2)], dataType: 1, floatData: [], rawData: bytes.subarray(3) };
  },
  'rawData of DOUBLE': (values) => ({ dims: [2n], dataType: 11, rawData: bytesOf(Float64Array.from(values)) }),
  'rawData of FLOAT16': (values) => ({ dims: [2], dataType: 10, rawData: bytesOf(Uint16Array.from(values, halfOf)) }),
  'rawData of BFLOAT16': (values) => ({ dims: [2], dataType: 16, rawData: bytesOf(Uint16Array.from(upperHalves(values))) }),
  float_data: (values) => ({ dims: [2], data_type: 1, float_data: values }),
  'floatData beside an empty rawData': (values) => (
    { dims: ['2'], dataType: 'FLOAT', floatData: Float32Array.from(values), rawData: new Uint8Array(0) }
  ),
  doubleData: (values) => ({ dims: [2], dataType: 11, doubleData: values }),
  'int32Data of FLOAT16': (values) => ({ dims: [2], dataType: 10, int32Data: values.map(halfOf) }),
  'int32Data of BFLOAT16': (values) => ({ dims: [2], dataType: 'BFLOAT16', int32Data: upperHalves(values) }),
  'rawData in base64, as JSON has it': (values) => (
    { dims: ['2'], dataType: 1, rawData: btoa(String.fromCharCode(...bytesOf(Float32Array.from(values)))) }
  ),
  'rawData that went through JSON': (values) => JSON.parse(JSON.stringify(
    { dims: [2], dataType: 1, rawData: bytesOf(Float32Array.from(values)) },
  )),
};

const expected = fromOnnx(VALUES, {}).module.stateDict();
const inputsOf = (tensor: (values: number[]) => object) => Object.fromEntries(WORDS.map((word) => [word, tensor(VALUES[word])])) as never;

describe.each(Object.entries(TENSORS))('a tensor with %s', (_, tensor) => {
  it('is as many channels as it has elements, and these', () => {
    expect(fromOnnx(inputsOf(tensor), {}).module.stateDict()).toEqual(expected);
  });
});

describe('a tensor', () => {
  const raw = bytesOf(Float32Array.of(1, 2));
  it.each([
    ['bytes without a data_type', raw,
      TypeError, '"scale" expected numbers or a TensorProto, got a Uint8Array: raw_data needs its data_type'],
    ['integers', { dims: [2], data_type: 6, int32_data: [1, 2] },
      TypeError, '"scale" expected data_type FLOAT, DOUBLE, FLOAT16, BFLOAT16, got 6'],
    ['other bytes', { dims: [2], data_type: 1, raw_data: raw.subarray(1) },
      RangeError, '"scale" expected raw_data of 4 bytes an element (FLOAT), got 7 bytes'],
    ['other dims', { dims: [3], data_type: 1, raw_data: raw }, RangeError, '"scale" expected the 3 elements of dims [3], got 2'],
    ['data in another file', { dims: [2], data_type: 1, data_location: 1, external_data: [] }, TypeError, 'got data_location EXTERNAL'],
    ['data of another kind', { dims: [2], data_type: 1, raw_data: 5 },
      TypeError, '"scale" expected raw_data in a Uint8Array, got number 5'],
    ['fractional dims', { dims: [1.5], data_type: 1, raw_data: raw }, RangeError, '"dims" expected an integer, got 1.5'],
    ['no dims', { dims: {}, data_type: 1, raw_data: raw }, TypeError, '"dims" expected an array, got Object'],
    ['other channels', { dims: [1], data_type: 1, float_data: [1] }, RangeError, '"B" expected length 1 as "scale" has, got length 2'],
  ])('of %s is refused', (_, scale, error, message) => {
    expect(() => fromOnnx({ ...VALUES, scale: scale as never }, {})).toThrow(error as typeof TypeError);
    expect(() => fromOnnx({ ...VALUES, scale: scale as never }, {})).toThrow(message);
  });
});

/** Attributes as decoders return them: with the type, and perhaps with fields of other types. */
const attribute = (name: string, value: number, type: 1 | 2) =>
  (type === 1 ? { name, type, f: value, i: long(0), s: '' } : { name, type, f: 0, i: long(value) });

describe('attributes', () => {
  it('may be a list of AttributeProtos', () => {
    const list = [attribute('epsilon', 0.25, 1), attribute('momentum', 0.5, 1), attribute('training_mode', 1, 2)];
    expect(fromOnnx(VALUES, list).module).toMatchObject({ eps: 0.25, momentum: 0.5, training: true });
    expect(fromOnnx(VALUES, [{ name: 'epsilon', type: 'FLOAT', f: 0.25 }, { name: 'training_mode', type: 'INT', i: '1' }]).module)
      .toMatchObject({ eps: 0.25, training: true });
    expect(fromOnnx(VALUES, [{ name: 'training_mode', type: 2, i: 1n }, { name: 'epsilon', type: 1 }]).module)
      .toMatchObject({ eps: 0, training: true });
  });

  it('that are left out have the standard\'s default; that there are none is noted', () => {
    expect(fromOnnx(VALUES, {})).toMatchObject({ notes: [], module: { eps: 1e-5, training: false } });
    expect(fromOnnx(VALUES, [])).toMatchObject({ notes: [], module: { eps: 1e-5 } });
    expect(fromOnnx(VALUES).notes).toEqual(['nothing says epsilon and momentum: they are the defaults of ONNX, 0.00001 and 0.9']);
  });

  it('of old files are known, and others are not', () => {
    const old = [attribute('is_test', 1, 2), attribute('spatial', 1, 2), { name: 'consumed_inputs', type: 7, ints: [0, 0] }];
    expect(fromOnnx(VALUES, old).module.training).toBe(false);
    expect(fromOnnx(VALUES, { is_test: 0 }).module.training).toBe(true);
    expect(() => fromOnnx(VALUES, [attribute('spatial', 0, 2)])).toThrow('"spatial" expected 1, got 0');
    expect(() => fromOnnx(VALUES, { epsilom: 1 } as never)).toThrow('got "epsilom"');
    expect(() => fromOnnx(VALUES, [{ name: 'epsilon', type: 3, s: 'a' }]))
      .toThrow('"epsilon" expected an attribute of type FLOAT or INT, got 3');
  });
});

/** A model as PyTorch exports it, with keys of either spelling. */
function modelOf(camel: boolean) {
  const key = (name: string) => (camel ? name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) : name);
  const rename = (message: object) => Object.fromEntries(Object.entries(message).map(([name, value]) => [key(name), value]));
  const tensor = (name: string, values: number[]) =>
    rename({ name, dims: [values.length], data_type: 1, raw_data: bytesOf(Float32Array.from(values)) });
  const node = (op_type: string, name: string, input: string[], output: string, attributes: object[] = []) =>
    rename({ op_type, name, input, output: [output], attribute: attributes });
  const of = (layer: string) => ['weight', 'bias', 'running_mean', 'running_var'].map((word) => `${layer}.${word}`);
  const epsilon = [attribute('epsilon', 0.25, 1), attribute('momentum', 0.5, 1)];
  return rename({ producer_name: 'pytorch', graph: rename({
    node: [
      node('Identity', '', ['bn1.weight'], 'onnx::bn2.weight'),
      node('Constant', 'c', [], 'constant', [{ name: 'value', type: 4, t: tensor('', [3, 4]) }]),
      node('Conv', '/conv1/Conv', ['input', 'conv1.weight'], 'a'),
      node('BatchNormalization', '/bn1/BatchNormalization', ['a', ...of('bn1')], 'b', epsilon),
      node('Constant', '', [], 'floats', [{ name: 'value_floats', type: 6, floats: [7, 8] }]),
      node('BatchNormalization', '', ['b', 'onnx::bn2.weight', 'constant', 'floats', 'bn1.running_var'], 'c'),
      node('BatchNormalization', 'computed', ['c', 'scaled', ...of('bn1').slice(1)], 'd'),
    ],
    initializer: [tensor('conv1.weight', [1]), ...of('bn1').map((name, i) => tensor(name, Object.values(VALUES)[i]!))],
  }) });
}

describe.each([['snake_case', false], ['camelCase', true]])('a model in %s', (_, camel) => {
  const model = modelOf(camel);

  it('gives every node whose weights are constants, through Identity and Constant too', () => {
    const { layers, taken, left, notes } = layersFromOnnx(model);
    expect(Object.keys(layers)).toEqual(['/bn1/BatchNormalization', 'c']);
    expect(layers['/bn1/BatchNormalization']).toMatchObject({ channels: 2, eps: 0.25, momentum: 0.5, training: false });
    expect(layers.c).toMatchObject({
      eps: 1e-5, weight: Float32Array.of(1, 2), bias: Float32Array.of(3, 4), runningMean: Float32Array.of(7, 8),
    });
    expect(left).toEqual(['conv1.weight']);
    expect(taken).toContain('constant');
    expect(notes).toEqual(['"computed" is left: its input "scaled" is not a constant of the graph']);
  });

  it('is read from its graph, or from nodes and initializers alone', () => {
    const { graph } = model as { graph: { node: object[]; initializer: object[] } };
    expect(Object.keys(layersFromOnnx(graph).layers)).toEqual(['/bn1/BatchNormalization', 'c']);
    const { node, initializer } = graph;
    expect(Object.keys(layersFromOnnx({ node: node.slice(3, 4), initializer }).layers)).toEqual(['/bn1/BatchNormalization']);
    const names = ['weight', 'bias', 'running_mean', 'running_var'];
    const arrays = Object.fromEntries(WORDS.map((word, i) => [`bn1.${names[i]}`, VALUES[word]]));
    for (const given of [arrays, new Map(Object.entries(arrays))]) {
      const { layers } = layersFromOnnx({ node: node.slice(3, 4), initializer: given });
      expect(layers['/bn1/BatchNormalization']!.stateDict()).toEqual(expected);
    }
  });

  it('of PyTorch holds the unbiased variance, of others the biased one', () => {
    const note = expect.stringMatching(/the running variance is unbiased as it was saved/);
    expect(layersFromOnnx(model, { runningVariance: 'biased' }).notes).toContainEqual(note);
    expect(layersFromOnnx(model, { runningVariance: 'biased', savedVariance: 'biased' }).notes).not.toContainEqual(note);
    expect(layersFromOnnx((model as { graph: never }).graph, { runningVariance: 'biased' }).notes).not.toContainEqual(note);
  });
});

it('nodes of one name are told apart by their outputs, and refused where these are the same', () => {
  const node = (output: string) => ({ opType: 'BatchNormalization', name: 'bn', input: ['x', ...WORDS], output: [output], attribute: [] });
  expect(Object.keys(layersFromOnnx({ node: [node('a'), node('b')], initializer: VALUES }).layers)).toEqual(['a', 'b']);
  expect(() => layersFromOnnx({ node: [node('a'), node('a')], initializer: VALUES })).toThrow(RangeError);
});

it('a model whose batch norms were folded says which nodes there are', () => {
  const { graph } = modelOf(false) as { graph: { node: { op_type: string }[] } };
  const folded = { node: graph.node.filter(({ op_type }) => op_type !== 'BatchNormalization'), initializer: [] };
  expect(() => layersFromOnnx(folded))
    .toThrow(new TypeError('layersFromOnnx() expected nodes of op_type BatchNormalization, got "Identity", "Constant", "Conv"'));
  expect(() => layersFromOnnx({})).toThrow('got nothing');
  expect(() => layersFromOnnx(null as never)).toThrow(TypeError);
  expect(() => layersFromOnnx({ node: 5 })).toThrow('"node" expected an array, got number 5');
});

it('a model with a tensor that does not fit names the node', () => {
  const model = modelOf(true) as { graph: { initializer: Record<string, unknown>[] } };
  model.graph.initializer[1]!.dataType = 7;
  expect(() => layersFromOnnx(model)).toThrow('"/bn1/BatchNormalization": "scale" expected data_type');
});
