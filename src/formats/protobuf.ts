/** Messages of ONNX and Caffe as their decoders return them: plain objects, with keys like `raw_data` or `rawData`. */
import { quoted, wrongKind, wrongValue } from '../checks.js';
import { bytesIn, fromJson } from '../lists.js';
import { brains, halves } from './halves.js';

/** A message: an object of fields. */
export type ProtobufMessage = Readonly<Record<string, unknown>>;

/** A field by its name in the .proto file. Decoders leave out what is not set, or give an empty value. */
export function fieldOf(message: ProtobufMessage, name: string): unknown {
  return message[name] ?? message[name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())];
}

/** A repeated field, an empty array where it is not set. */
export function listOf(message: ProtobufMessage, name: string): readonly unknown[] {
  const value = fromJson(fieldOf(message, name) ?? []);
  if (Array.isArray(value)) return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>);
  throw wrongKind(name, 'an array', value);
}

/** An integer of 64 bits, which decoders return as a number, bigint or string, or as an object of two halves. */
export function integerOf(name: string, value: unknown): number {
  const { low, high } = Object(value) as { low?: unknown; high?: unknown };
  const halfs = typeof low === 'number' && typeof high === 'number';
  const number = halfs ? high * 2 ** 32 + (low >>> 0) : typeof value === 'bigint' || typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number') throw wrongKind(name, 'an integer', value);
  if (!Number.isSafeInteger(number)) throw wrongValue(name, 'an integer', number);
  return number;
}

/** A TensorProto's data_type: its number in onnx.proto, bytes of an element of raw_data, and the field that has it otherwise. */
const TYPES: Record<string, readonly [code: number, size: number, field: string]> = {
  FLOAT: [1, 4, 'float_data'], DOUBLE: [11, 8, 'double_data'], FLOAT16: [10, 2, 'int32_data'], BFLOAT16: [16, 2, 'int32_data'],
};

/** Whether a value is a TensorProto, rather than an array of numbers. */
export function isTensor(value: unknown): value is ProtobufMessage {
  return typeof value === 'object' && value !== null && fieldOf(value as ProtobufMessage, 'data_type') !== undefined;
}

/**
 * The numbers of a TensorProto of floats.
 *
 * @throws {TypeError} another data_type, or data in another file. @throws {RangeError} dims that are not those of the data.
 */
export function numbersOf(name: string, tensor: ProtobufMessage): ArrayLike<number> {
  const dataType = fieldOf(tensor, 'data_type');
  const type = Object.keys(TYPES).find((key) => dataType === key || dataType === TYPES[key]![0]);
  if (type === undefined) throw new TypeError(`"${name}" expected data_type ${Object.keys(TYPES).join(', ')}, got ${quoted(String(dataType))}`);
  const location = fieldOf(tensor, 'data_location');
  if (location === 1 || location === 'EXTERNAL') {
    throw new TypeError(`"${name}" expected its data in the model, got data_location EXTERNAL: load it into raw_data`);
  }
  const [, size, field] = TYPES[type]!, raw = bytesOf(name, fieldOf(tensor, 'raw_data'));
  if (raw.length % size !== 0) throw wrongValue(name, `raw_data of ${size} bytes an element (${type})`, `${raw.length} bytes`);
  const values = raw.length > 0 ? decode(type, raw, size) : inField(type, fieldOf(tensor, field));
  const shape = listOf(tensor, 'dims').map((dimension) => integerOf('dims', dimension));
  const length = shape.reduce((product, dimension) => product * dimension, 1);
  if (length !== values.length) throw wrongValue(name, `the ${length} elements of dims [${shape.join(', ')}]`, values.length);
  return values;
}

/** Bytes, which JSON has in base64. */
function bytesOf(name: string, value: unknown): Uint8Array {
  if (value === undefined || value === null) return new Uint8Array(0);
  if (typeof value === 'string') return Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  const bytes = fromJson(value);
  return Array.isArray(bytes) ? Uint8Array.from(bytes) : bytesIn(name, bytes, 'raw_data in a Uint8Array');
}

function decode(type: string, bytes: Uint8Array, size: number): ArrayLike<number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), length = bytes.length / size;
  if (type === 'FLOAT') return Float32Array.from({ length }, (_, i) => view.getFloat32(4 * i, true));
  if (type === 'DOUBLE') return Float64Array.from({ length }, (_, i) => view.getFloat64(8 * i, true));
  return inField(type, Uint16Array.from({ length }, (_, i) => view.getUint16(2 * i, true)));
}

/** 16-bit floats stand as the integers of their bits in a field. */
function inField(type: string, value: unknown): ArrayLike<number> {
  const list = (fromJson(value) ?? []) as ArrayLike<number>;
  if (type === 'FLOAT16') return halves(list);
  return type === 'BFLOAT16' ? brains(list) : list;
}
