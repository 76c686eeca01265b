/**
 * Reading safetensors files: u64 length of the header (little-endian), the header in JSON, the data.
 * https://github.com/huggingface/safetensors#format. Files come from anywhere, so the header is checked before its use.
 */
import { describe, quoted, within, wrongKind, wrongValue } from '../checks.js';
import { bytesIn } from '../lists.js';
import { elements, listed, readShape } from '../runtime/shape.js';
import { brains, halves } from './halves.js';

/** What a tensor of a file is read as. */
export type StoredValues =
  | Float64Array | Float32Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array
  | BigUint64Array;

/** A tensor of a file, not decoded yet. */
export interface StoredTensor {
  /** As the file has it: 'F32', 'BF16', 'I64', ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  /**
   * The values, row-major, copied: of F64 in a Float64Array, of F32, F16 and BF16 in a Float32Array (exactly), of integers in
   * the array of their name (I64 in a BigInt64Array), of BOOL in a Uint8Array.
   *
   * @throws {TypeError} another dtype: complex numbers, or floats of 8 bits or fewer.
   */
  read(): StoredValues;
}

/**
 * What a header may hold. A tensor takes about 100 bytes, 4 names and 11 values in it: this is room for 65,536 of them, where
 * the largest models have some thousand in a file, and no header takes more than a second or 100 MB.
 */
const MAXIMUM_HEADER = 2 ** 24;
const MAXIMUM_NAMES = 2 ** 18;
const MAXIMUM_VALUES = 2 ** 20;
const MAXIMUM_DEPTH = 64;

/** Bits of an element. */
const BITS = new Map([
  ['BOOL', 8], ['U8', 8], ['I8', 8], ['F8_E5M2', 8], ['F8_E4M3', 8], ['F8_E8M0', 8], ['F4', 4], ['F6_E2M3', 6], ['F6_E3M2', 6],
  ['U16', 16], ['I16', 16], ['F16', 16], ['BF16', 16], ['U32', 32], ['I32', 32], ['F32', 32],
  ['U64', 64], ['I64', 64], ['F64', 64], ['C64', 64],
]);

/**
 * The tensors of a safetensors file by name, in the order of their data; the whole header is checked, no value is read.
 *
 * @param bytes - of the whole file; the tensors keep a reference to them
 * @throws {TypeError} no bytes, or a buffer that has been detached; a field of the header of the wrong kind.
 * @throws {RangeError} a header that is cut off, longer than 16 MiB or of more than 65,536 tensors (262,144 names), not UTF-8, not
 *   JSON or names something twice; an unknown dtype; a shape that does not fill its bytes; bytes that overlap, leave a hole or end
 *   elsewhere than the file.
 */
export function readSafetensors(bytes: Uint8Array | ArrayBuffer): Map<string, StoredTensor> {
  const plain = bytesIn('bytes', bytes), file = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  if (file.byteLength < 8) throw new RangeError(`A safetensors file expected 8 bytes or more, got ${file.byteLength}`);
  const length = file.getBigUint64(0, true);
  if (length > MAXIMUM_HEADER) throw new RangeError(`The header expected ${MAXIMUM_HEADER} bytes at most, got ${length}`);
  const start = 8 + Number(length), size = file.byteLength - start;
  if (size < 0) throw new RangeError(`The header expected ${length} bytes, got ${file.byteLength - 8}`);

  const infos = [];
  for (const [name, info] of Object.entries(headerOf(new Uint8Array(file.buffer, file.byteOffset + 8, Number(length))))) {
    if (name !== '__metadata__') infos.push(infoOf(name, info, size));
    else checkStrings('__metadata__', info);
  }
  infos.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const info of infos) {
    if (info.begin !== end) throw wrongValue(info.name, `to begin at byte ${end} of the data`, info.begin);
    end = info.end;
  }
  if (end !== size) throw new RangeError(`The data expected ${end} bytes, got ${size}`);
  return new Map(infos.map(({ name, dtype, shape, begin }) => [
    name, { dtype, shape, read: () => decode(name, dtype, elements(shape), file, start + begin) },
  ]));
}

/** The header's object. Its keys are its own properties, `__proto__` too, since JSON.parse defines and never assigns. */
function headerOf(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    checkText(text);
    header = JSON.parse(text);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new RangeError(`The header expected JSON in UTF-8, got ${quoted((error as Error).message)}`);
  }
  if (!isObject(header)) throw new TypeError(`The header expected an object, got ${describe(header)}`);
  if (bytes[0] !== 0x7b) throw new RangeError(`The header expected "{" as its first byte, got ${bytes[0]}`);
  return header;
}

/**
 * What JSON.parse does not refuse: more than there is to be in a header, before anything is made of it, and equal keys, of which it
 * keeps the last in silence; a file that has two of them means two things.
 */
function checkText(json: string): void {
  const open: (Set<string> | null)[] = [];
  let names = 0, values = 0;
  for (let i = 0; i < json.length; i++) {
    const character = json[i]!;
    if (character === '{' || character === '[') open.push(character === '{' ? new Set() : null);
    else if (character === '}' || character === ']') open.pop();
    if (character === '{' || character === '[' || character === ',') checkSize(++values, MAXIMUM_VALUES, 'values');
    checkSize(open.length, MAXIMUM_DEPTH, 'levels');
    if (character !== '"') continue;
    const start = i++;
    while (i < json.length && json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
    let next = i + 1;
    while (next < json.length && ' \t\n\r'.includes(json[next]!)) next++;
    if (json[next] !== ':') continue;
    checkSize(++names, MAXIMUM_NAMES, 'names');
    const key = JSON.parse(json.slice(start, i + 1)) as string, keys = open.at(-1);
    if (keys?.has(key)) throw new RangeError(`The header expected every name once, got "${quoted(key)}" twice`);
    keys?.add(key);
  }
}

function checkSize(size: number, most: number, what: string): void {
  if (size > most) throw new RangeError(`The header expected ${most} ${what} at most, got more`);
}

function infoOf(name: string, info: unknown, size: number) {
  if (!isObject(info)) throw wrongKind(name, 'an object', info);
  const { dtype, data_offsets: offsets } = info;
  if (typeof dtype !== 'string') throw wrongKind(name, 'a dtype', dtype);
  const bits = BITS.get(dtype);
  if (bits === undefined) throw wrongValue(name, `a dtype of ${[...BITS.keys()].join(', ')}`, dtype);
  const shape = within(name, () => readShape(info.shape));
  if (!Array.isArray(offsets) || offsets.length !== 2 || offsets.some((offset) => typeof offset !== 'number')) {
    throw wrongKind(name, 'two data_offsets', offsets);
  }
  const [begin, end] = offsets as [number, number];
  if (!(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && 0 <= begin && begin <= end && end <= size)) {
    throw wrongValue(name, `data_offsets within 0 and ${size}, in order`, `[${begin}, ${end}]`);
  }
  if ((elements(shape) * bits) / 8 !== end - begin) {
    throw wrongValue(name, `${(elements(shape) * bits) / 8} bytes (${dtype} ${listed(shape)})`, end - begin);
  }
  return { name, dtype, shape: Object.freeze(shape), begin, end };
}

function decode(name: string, dtype: string, length: number, file: DataView, at: number): StoredValues {
  switch (dtype) {
    case 'F64': return Float64Array.from({ length }, (_, i) => file.getFloat64(at + 8 * i, true));
    case 'F32': return Float32Array.from({ length }, (_, i) => file.getFloat32(at + 4 * i, true));
    case 'F16': return halves(shorts());
    case 'BF16': return brains(shorts());
    case 'I64': return BigInt64Array.from({ length }, (_, i) => file.getBigInt64(at + 8 * i, true));
    case 'U64': return BigUint64Array.from({ length }, (_, i) => file.getBigUint64(at + 8 * i, true));
    case 'I32': return Int32Array.from({ length }, (_, i) => file.getInt32(at + 4 * i, true));
    case 'U32': return Uint32Array.from({ length }, (_, i) => file.getUint32(at + 4 * i, true));
    case 'I16': return Int16Array.from({ length }, (_, i) => file.getInt16(at + 2 * i, true));
    case 'U16': return shorts();
    case 'I8': return Int8Array.from({ length }, (_, i) => file.getInt8(at + i));
    case 'U8': case 'BOOL': return Uint8Array.from({ length }, (_, i) => file.getUint8(at + i));
    default: throw new TypeError(`"${quoted(name)}" expected a dtype of floats of 16 bits or more, or of integers, to be read, got ${dtype}`);
  }
  function shorts(): Uint16Array {
    return Uint16Array.from({ length }, (_, i) => file.getUint16(at + 2 * i, true));
  }
}

/** @throws {TypeError} not an object, or one that holds anything but strings. */
export function checkStrings(name: string, value: unknown): void {
  const strings = isObject(value) && Object.values(value).every((string) => typeof string === 'string');
  if (!strings) throw new TypeError(`"${name}" expected an object of strings, got another`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
