/** Weights of TensorFlow.js models: specs, and the bytes of all of them one after another. */
import { isArray, quoted, within, wrongKind, wrongValue } from '../checks.js';
import { bytesIn, listIn } from '../lists.js';
import { elements, readShape } from '../runtime/shape.js';
import { checkObject } from './build.js';
import { halves } from './halves.js';

/** What a `tf.io` handler loads; or a model.json, with the bytes of its shards as `weightData`. */
export interface TfjsArtifacts {
  readonly modelTopology?: unknown;
  readonly weightSpecs?: readonly TfjsWeightSpec[];
  readonly weightsManifest?: readonly { readonly weights: readonly TfjsWeightSpec[] }[];
  /** In the order of the specs, in one piece or several. */
  readonly weightData?: ArrayBuffer | Uint8Array | readonly (ArrayBuffer | Uint8Array)[];
}

/** A weight of a TensorFlow.js model. */
export interface TfjsWeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string; readonly scale?: number; readonly min?: number };
}

/** Bytes of a value. A string has its length in front of it. */
const BYTES: Record<string, number> = { float32: 4, float16: 2, int32: 4, uint16: 2, uint8: 1, bool: 1, complex64: 8 };

export function isArtifacts(weights: object): weights is TfjsArtifacts {
  return 'weightSpecs' in weights || 'weightsManifest' in weights;
}

/**
 * The weights by their names: floats of rank 1 as numbers, as batch norm has them, anything else as null.
 *
 * @throws {TypeError} no data, or an unknown dtype. @throws {RangeError} data of another size than the specs'.
 */
export function readArtifacts(artifacts: TfjsArtifacts): Map<string, ArrayLike<number> | null> {
  const specs = artifacts.weightSpecs ?? (artifacts.weightsManifest ?? []).flatMap(({ weights }) => weights);
  const bytes = concatenate(artifacts.weightData), view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const result = new Map<string, ArrayLike<number> | null>();
  let at = 0;
  for (const spec of specs) {
    checkObject('weightSpecs', spec);
    const { name, dtype, quantization } = spec, stored = quantization?.dtype ?? dtype, shape = within(name, () => readShape(spec.shape));
    const length = elements(shape);
    const size = stored === 'string' ? stringsAt(view, at, length) : length * (BYTES[stored] ?? Number.NaN);
    if (Number.isNaN(size)) throw new TypeError(`"${quoted(name)}" expected dtype ${Object.keys(BYTES).join(', ')} or string, got ${quoted(String(stored))}`);
    if (at + size > bytes.length) throw wrongValue('weightData', `${at + size} bytes or more, as "${name}" ends there`, bytes.length);
    const floating = dtype === 'float32' && shape.length === 1;
    result.set(name, floating ? floats(name, bytes.slice(at, at + size), quantization) : null);
    at += size;
  }
  if (at !== bytes.length) throw wrongValue('weightData', `${at} bytes, as the specs say`, bytes.length);
  return result;
}

function concatenate(data: TfjsArtifacts['weightData']): Uint8Array {
  const parts = (isArray(data) ? listIn('weightData', data) : [data]).map((part) => bytesIn('weightData', part, 'the bytes of the weights'));
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Bytes of a number of strings, at least: each that is missing has 4 for its length. */
function stringsAt(view: DataView, start: number, count: number): number {
  let at = start, i = 0;
  for (; i < count && at + 4 <= view.byteLength; i++) at += 4 + view.getUint32(at, true);
  return at - start + 4 * (count - i);
}

/** Floats, also as tfjs' converter stores them to save space: in half precision, or as integers q of scale * q + min. */
function floats(name: string, { buffer }: Uint8Array<ArrayBuffer>, quantization: TfjsWeightSpec['quantization']): ArrayLike<number> {
  if (!quantization) return new Float32Array(buffer);
  const { dtype, scale, min } = quantization;
  if (dtype === 'float16') return halves(new Uint16Array(buffer));
  if (typeof scale !== 'number' || typeof min !== 'number') throw wrongKind(name, 'a scale and a min of its quantization', scale);
  return Float32Array.from(dtype === 'uint8' ? new Uint8Array(buffer) : new Uint16Array(buffer), (value) => scale * value + min);
}
