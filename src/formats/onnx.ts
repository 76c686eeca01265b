/** BatchNorms from ONNX: a node with its inputs, or all nodes of a model. */
import { isTypedArray } from '../arrays.js';
import { CONVENTIONS } from '../batchnorm/options.js';
import { checkOptions, quoted, wrongKind, wrongValue } from '../checks.js';
import { build, type Converted, type ConvertOptions, checkObject, newWeightOf, numberOf, type Part, wordsOf } from './build.js';
import { type ConvertedLayers, type ConvertLayersOptions, collect, type Found, optionsOf, someOf } from './layers.js';
import { fieldOf, integerOf, isTensor, listOf, numbersOf, type ProtobufMessage } from './protobuf.js';

/** Attributes of an ONNX BatchNormalization node. */
export interface OnnxAttributes {
  epsilon?: number;
  /** Weight of the old value. */
  momentum?: number;
  training_mode?: number;
  /** Of opsets before 14 and before 9. */
  is_test?: number;
  spatial?: number;
}

/** A TensorProto as a decoder of protocol buffers returns it, with keys in snake_case or camelCase. */
export type OnnxTensor = { readonly dims?: unknown } & ProtobufMessage;

/** An array of an ONNX file: numbers, or the TensorProto itself. Bytes are not numbers: a TensorProto says what they are. */
export type OnnxValues = ArrayLike<number> | OnnxTensor;

/** The inputs of a node that are its weights, by the operator's names and in torch's. */
const INPUTS = [['weight', 'scale'], ['bias', 'B'], ['running_mean', 'input_mean'], ['running_var', 'input_var']] as const;

/**
 * A BatchNorm from the attributes and inputs of an ONNX BatchNormalization node.
 *
 * @param inputs - scale, B, input_mean and input_var, the inputs 1 to 4 by the operator's names; arrays of [C], copied, or
 *   TensorProtos of FLOAT, DOUBLE, FLOAT16 or BFLOAT16
 * @param attributes - `epsilon` (1e-5), `momentum` (0.9, weighs the old value), `training_mode` (0): an object of numbers, or
 *   the node's list of AttributeProtos. What is not among them has the standard's default; that there are none is noted
 * @param options - `savedVariance: 'unbiased'` where the file was exported from a framework that tracks that, as PyTorch
 * @returns a BatchNorm in the mode of `training_mode`, 'channels-first' unless `options.layout` says otherwise
 * @throws {TypeError | RangeError} as `fromTorch`; an unknown attribute; the attribute `spatial` of old files is 0; bytes
 *   without a data_type, or of another one.
 */
export function fromOnnx(
  inputs: Record<'scale' | 'B' | 'input_mean' | 'input_var', OnnxValues>, attributes?: OnnxAttributes | readonly ProtobufMessage[],
  options: ConvertOptions = {},
): Converted {
  checkOptions('fromOnnx', inputs, INPUTS.map(([, word]) => word));
  const given = attributes === undefined ? {} : attributesOf(attributes);
  const mode = switchOf(given, 'training_mode', [0, 1]), test = switchOf(given, 'is_test', [0, 1]);
  switchOf(given, 'spatial', [1]);
  const parts = INPUTS.map(([name, word]): Part => [name, word, valuesOf(word, inputs[word])]);
  const preset = CONVENTIONS.onnx, standard = attributes === undefined ? undefined : preset;
  const converted = build({
    framework: 'onnx', parts, layout: 'channels-first', notes: [],
    eps: numberOf(given, 'epsilon') ?? standard?.eps,
    momentum: newWeightOf(given, 'momentum') ?? standard?.momentum,
  }, options);
  converted.module.train(mode === 1 || test === 0);
  return converted;
}

/**
 * All BatchNormalization nodes of an ONNX model whose weights are constants.
 *
 * @param model - a ModelProto, or its graph, or just `{ node, initializer }`, as a decoder of protocol buffers returns them
 *   (keys in snake_case or camelCase); `initializer` may also be an object or a Map of arrays or TensorProtos by name. Weights are
 *   followed through Identity and Constant nodes
 * @param options - `savedVariance` is 'unbiased' by itself where the model's producer_name is 'pytorch'
 * @returns layers by the names of their nodes, or of their outputs where nodes have none; in eval mode unless
 *   `training_mode` is 1. A node whose weights are computed is left, and noted
 * @throws {TypeError} no such node: exporters fold them into convolutions unless told not to.
 * @throws {TypeError | RangeError} as `fromOnnx`, naming the layer.
 */
export function layersFromOnnx(model: ProtobufMessage, options: ConvertLayersOptions = {}): ConvertedLayers {
  checkObject('model', model);
  const graph = (fieldOf(model, 'graph') ?? model) as ProtobufMessage;
  const { savedVariance = fieldOf(model, 'producer_name') === 'pytorch' ? 'unbiased' as const : undefined, ...rest } = options;
  const nodes = listOf(graph, 'node') as readonly ProtobufMessage[], constants = constantsOf(graph, nodes);
  const norms = nodes.filter((node) => fieldOf(node, 'op_type') === 'BatchNormalization');
  if (norms.length === 0) {
    const types = [...new Set(nodes.map((node) => String(fieldOf(node, 'op_type'))))];
    throw new TypeError(`layersFromOnnx() expected nodes of op_type BatchNormalization, got ${someOf(types)}`);
  }
  const notes: string[] = [], found: Found[] = [];
  for (const node of norms) {
    const output = String(listOf(node, 'output')[0]), name = String(fieldOf(node, 'name') || output);
    const inputs = listOf(node, 'input').slice(1, 5).map(String);
    const computed = inputs.find((input) => !constants.has(input));
    if (computed !== undefined || inputs.length < 4) {
      notes.push(`"${name}" is left: its input "${computed}" is not a constant of the graph`);
      continue;
    }
    found.push({
      name, path: output, tensors: inputs.map((input) => constants.get(input)!.name),
      convert(of) {
        const values = Object.fromEntries(INPUTS.map(([, word], i) => [word, constants.get(inputs[i]!)!.tensor]));
        const attributes = (fieldOf(node, 'attribute') ?? []) as readonly ProtobufMessage[];
        return fromOnnx(values as never, attributes, optionsOf(savedVariance ? { ...rest, savedVariance } : rest, of));
      },
    });
  }
  return collect(found, new Set(Array.from(constants.values(), ({ name }) => name)), notes);
}

/** Constants of a graph by every name that they have, with the name under which the file holds them. */
function constantsOf(graph: ProtobufMessage, nodes: readonly ProtobufMessage[]): Map<string, { name: string; tensor: OnnxValues }> {
  const constants = new Map<string, { name: string; tensor: OnnxValues }>();
  const initializers = fieldOf(graph, 'initializer') ?? [];
  const named: Iterable<[string, OnnxValues]> = Array.isArray(initializers)
    ? initializers.map((tensor: OnnxTensor) => [String(fieldOf(tensor, 'name')), tensor])
    : initializers instanceof Map ? initializers : Object.entries(initializers as Record<string, OnnxValues>);
  for (const [name, tensor] of named) constants.set(name, { name, tensor });
  for (const node of nodes) {
    const type = fieldOf(node, 'op_type'), output = String(listOf(node, 'output')[0]);
    if (type === 'Identity') {
      const source = constants.get(String(listOf(node, 'input')[0]));
      if (source) constants.set(output, source);
    } else if (type === 'Constant') {
      const [value] = listOf(node, 'attribute') as readonly ProtobufMessage[];
      const tensor = value && { value: fieldOf(value, 't'), value_floats: fieldOf(value, 'floats') }[String(fieldOf(value, 'name'))];
      if (tensor) constants.set(output, { name: output, tensor: tensor as OnnxValues });
    }
  }
  return constants;
}

/** Numbers by name, from such an object or from a list of AttributeProtos. */
function attributesOf(attributes: unknown): Record<string, unknown> {
  checkObject('attributes', attributes);
  const entries = Array.isArray(attributes)
    ? Object.fromEntries((attributes as readonly ProtobufMessage[]).map((one) => [String(fieldOf(one, 'name')), numberIn(one)]))
    : attributes;
  return wordsOf('fromOnnx', entries, ['epsilon', 'momentum', 'training_mode', 'is_test', 'spatial'], ['consumed_inputs']);
}

/** The value of an AttributeProto: FLOAT 1, INT 2, INTS 7. Decoders may set the fields of other types to 0. */
function numberIn(attribute: ProtobufMessage): unknown {
  const name = String(fieldOf(attribute, 'name')), type = fieldOf(attribute, 'type');
  if (type === 1 || type === 'FLOAT') return fieldOf(attribute, 'f') ?? 0;
  if (type === 2 || type === 'INT') return integerOf(name, fieldOf(attribute, 'i') ?? 0);
  if (type === 7 || type === 'INTS') return fieldOf(attribute, 'ints');
  throw new TypeError(`"${quoted(name)}" expected an attribute of type FLOAT or INT, got ${quoted(String(type))}`);
}

function switchOf(attributes: Record<string, unknown>, word: string, accepted: readonly number[]): number | undefined {
  const value = attributes[word];
  if (value === undefined) return undefined;
  if (typeof value !== 'number') throw wrongKind(word, 'a number', value);
  if (!accepted.includes(value)) throw wrongValue(word, accepted.join(' or '), value);
  return value;
}

function valuesOf(word: string, values: unknown): unknown {
  if (isTensor(values)) return numbersOf(word, values);
  if (!isTypedArray(values, 'Uint8Array')) return values;
  throw new TypeError(`"${word}" expected numbers or a TensorProto, got a Uint8Array: raw_data needs its data_type`);
}
