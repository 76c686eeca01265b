/** ONNX' own backend tests of BatchNormalization (opset 15), from the files in vectors/onnx. */
import { describe, expect, it } from 'vitest';
import { fromOnnx } from '../../src/index.js';
import { bytesOf } from '../host.js';
import { arrayOf, COMBINATIONS, distance, permute, RUNTIMES, shapeIn } from '../setup.js';
import { GOLDEN } from '../tolerances.js';

/** A field of a protobuf message: its number, and a varint's value or the bytes of anything else. */
type Field = readonly [number: number, value: number, bytes: Uint8Array];

function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = () => {
    let value = 0, scale = 1, byte = 0;
    do {
      byte = message[at++]!;
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  };
  while (at < message.length) {
    const key = varint(), wire = key & 7;
    const value = wire === 0 ? varint() : 0;
    const length = wire === 0 ? 0 : wire === 1 ? 8 : wire === 5 ? 4 : varint();
    yield [key >>> 3, value, message.subarray(at, at + length)];
    at += length;
  }
}

/** Floats of little-endian bytes. */
function floats(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** A TensorProto of floats: dims 1, data_type 2, float_data 4, raw_data 9. */
function readTensor(message: Uint8Array): { shape: number[]; values: number[] } {
  const shape: number[] = [], values: number[] = [];
  for (const [number, value, bytes] of fieldsOf(message)) {
    if (number === 1) shape.push(value);
    if (number === 2) expect(value).toBe(1);
    if (number === 4 || number === 9) values.push(...floats(bytes));
  }
  return { shape, values };
}

/** The attributes of the only node of a model: ModelProto.graph 7, GraphProto.node 1, NodeProto.attribute 5. */
function readAttributes(model: Uint8Array): Record<string, number> {
  const within = (message: Uint8Array, wanted: number) =>
    [...fieldsOf(message)].filter(([number]) => number === wanted).map(([, , bytes]) => bytes);
  const nodes = within(model, 7).flatMap((graph) => within(graph, 1));
  expect(nodes).toHaveLength(1);
  return Object.fromEntries(within(nodes[0]!, 5).map((attribute) => {
    let name = '', number = 0;
    for (const [field, value, bytes] of fieldsOf(attribute)) {
      if (field === 1) name = new TextDecoder().decode(bytes);
      if (field === 2) number = floats(bytes)[0]!;
      if (field === 3) number = value;
    }
    return [name, number];
  }));
}

const read = (path: string) => bytesOf(`vectors/onnx/${path}`);

const NAMES = ['example', 'epsilon', 'example_training_mode', 'epsilon_training_mode'];
const cases = await Promise.all(NAMES.map(async (name) => {
  const tensors = (kind: string, count: number) => Promise.all(
    Array.from({ length: count }, async (_, i) => readTensor(await read(`${name}/${kind}_${i}.pb`))),
  );
  const [model, inputs, outputs] = await Promise.all([
    read(`${name}/model.onnx`), tensors('input', 5), tensors('output', name.endsWith('training_mode') ? 3 : 1),
  ]);
  return { name, attributes: readAttributes(model), inputs, outputs };
}));

it('the files say what each test is about', () => {
  const epsilon = Math.fround(1e-2);
  expect(cases.map(({ attributes }) => attributes)).toEqual([
    {}, { epsilon }, { training_mode: 1 }, { epsilon, training_mode: 1 },
  ]);
});

// The expected values are float32, so that float64 cannot be checked more closely either.
const bound = GOLDEN.float32;

describe.each(COMBINATIONS)('ONNX against $kind $dtype $layout', ({ kind, dtype, layout }) => {
  it.each(cases)('test_batchnorm_$name', ({ attributes, inputs, outputs }) => {
    const [x = [], scale = [], B = [], mean = [], variance = []] = inputs.map(({ values }) => values);
    const [y, runningMean = mean, runningVar = variance] = outputs.map(({ values }) => values);
    const { shape } = inputs[0]!;
    const { module, notes } = fromOnnx(
      { scale, B, input_mean: mean, input_var: variance }, attributes, { dtype, layout, runtime: RUNTIMES[kind] },
    );
    expect(notes).toEqual([]);
    expect(module.training).toBe(attributes.training_mode === 1);
    const actual = module.forward(arrayOf(dtype, permute(x, shape, layout)), shapeIn(layout, shape));
    expect(distance(actual, permute(y!, shape, layout))).toBeLessThan(bound.y);
    expect(distance(module.runningMean!, runningMean)).toBeLessThan(bound.running);
    expect(distance(module.runningVar!, runningVar)).toBeLessThan(bound.running);
  });
});
