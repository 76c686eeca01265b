/** Batch norm layers to and from safetensors files, under torch's names. */
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { COUNTER, countOf } from '../batchnorm/state-dict.js';
import { quoted, within, wrongKind, wrongValue } from '../checks.js';
import { elements, listed } from '../runtime/shape.js';
import type { ConvertedLayers, ConvertLayersOptions } from './layers.js';
import { checkStrings, isObject, readSafetensors, type StoredTensor, type StoredValues } from './safetensors.js';
import { layersOf, TORCH, type TorchLayersConfig, unwrapped } from './torch.js';

/** BatchNorms by their names in a file, such as 'layer1.0.bn1' (a dot at the end is allowed), or '' for no name. */
export type Layers = Readonly<Record<string, BatchNorm>>;

/**
 * Loads batch norm layers from a safetensors file, all of them or none.
 *
 * @param layers - values are copied and rounded to the layer's dtype; num_batches_tracked may be of any dtype. Other
 *   tensors of the file are left alone. Names may lack what wraps them in the file, as in `layersFromTorch`
 * @returns notes: a counter that is missing or infinite (then 0), one sentence each
 * @throws {TypeError | RangeError} as `readSafetensors` and `loadStateDict`; a tensor has another shape than [C] (the
 *   counter: [] or [1]), or a dtype other than F32, F64, F16 and BF16.
 */
export function loadSafetensors(layers: Layers, bytes: Uint8Array | ArrayBuffer): { readonly notes: readonly string[] } {
  checkLayers(layers);
  const tensors = readSafetensors(bytes), names = [...tensors.keys()];
  const plain = new Map(Array.from(unwrapped(names), ([name, short]) => [short, name]));
  const notes: string[] = [];
  const loads = Object.entries(layers).map(([name, bn]) => {
    const state: Record<string, StoredValues> = {}, prefix = prefixOf(name), own = Object.keys(bn.stateDict());
    for (const last of TORCH) {
      const tensor = tensors.get(prefix + last) ?? tensors.get(plain.get(prefix + last)!);
      if (tensor) state[last] = valuesOf(prefix + last, tensor, bn.channels);
      else if (last !== COUNTER && own.includes(last)) throw new TypeError(`The file expected "${quoted(prefix)}${last}", got none`);
    }
    if (own.includes(COUNTER) && within(prefix, () => countOf(state[COUNTER])) === undefined) {
      notes.push(`"${prefix}${COUNTER}" ${state[COUNTER] ? 'overflowed to infinity' : 'is missing'}: it is taken as 0`);
    }
    // A trial: an error is thrown here, before any layer has changed.
    const { channels, dtype, weight, bias, runningMean } = bn;
    const options = { dtype, weight: weight !== null, bias: bias !== null, trackRunningStats: runningMean !== null };
    within(prefix, () => new BatchNorm(channels, options).loadStateDict(state as never));
    return () => bn.loadStateDict(state as never);
  });
  for (const load of loads) load();
  return { notes };
}

/**
 * All batch norm layers of a safetensors file with torch's names, such as one of PyTorch, tinygrad or MLX.
 *
 * @param config - `eps` and `momentum` for all layers, or as functions of their names; `prefix`; as in `layersFromTorch`
 * @returns layers by name, as `layersFromTorch` returns them
 * @throws {TypeError | RangeError} as `readSafetensors` and `layersFromTorch`; a shape or dtype that `loadSafetensors` refuses.
 */
export function layersFromSafetensors(
  bytes: Uint8Array | ArrayBuffer, config: TorchLayersConfig = {}, options: ConvertLayersOptions = {},
): ConvertedLayers {
  const tensors = readSafetensors(bytes);
  return layersOf('layersFromSafetensors', [...tensors.keys()], (name) => valuesOf(name, tensors.get(name)!), config, options);
}

/** The values of one of a layer's tensors. @throws {TypeError | RangeError} a dtype or shape that it cannot have. */
function valuesOf(name: string, tensor: StoredTensor, channels?: number): StoredValues {
  const { dtype, shape } = tensor, counter = name.endsWith(COUNTER);
  if (!counter && !FLOATS.includes(dtype)) throw new TypeError(`"${quoted(name)}" expected dtype ${FLOATS.join(', ')}, got ${dtype}`);
  const fits = counter ? elements(shape) === 1 : shape.length === 1 && shape[0] === (channels ?? shape[0]);
  if (!fits) throw wrongValue(name, `shape [${counter ? '' : channels ?? 'C'}]`, listed(shape));
  return tensor.read();
}

const FLOATS = ['F32', 'F64', 'F16', 'BF16'];

function prefixOf(name: string): string {
  return name === '' || name.endsWith('.') ? name : `${name}.`;
}

/**
 * The bytes of a safetensors file of batch norm layers, as Python's package writes them: by alignment, then by name.
 *
 * @param layers - F32 or F64 by the layer's dtype, num_batches_tracked I64
 * @param metadata - strings to store; default `{ format: 'pt' }`, by which PyTorch's loaders know their files
 * @throws {TypeError} layers are not BatchNorms, or metadata is not strings.
 */
export function writeSafetensors(layers: Layers, metadata: Readonly<Record<string, string>> = { format: 'pt' }): Uint8Array {
  checkLayers(layers);
  checkStrings('metadata', metadata);
  const tensors = Object.entries(layers).flatMap(([layer, bn]) =>
    Object.entries(bn.stateDict()).map(([name, values]) => ({
      name: prefixOf(layer) + name, values, dtype: typeof values === 'number' ? 'I64' : bn.dtype === 'float32' ? 'F32' : 'F64',
    })),
  );
  const order = ['I64', 'F64', 'F32'];
  tensors.sort((a, b) => order.indexOf(a.dtype) - order.indexOf(b.dtype) || (a.name < b.name ? -1 : 1));
  let size = 0;
  const fields = tensors.map(({ name, dtype, values }) => {
    const shape = typeof values === 'number' ? [] : [values.length], begin = size;
    size += elements(shape) * (dtype === 'F32' ? 4 : 8);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, size] })}`;
  });
  const header = new TextEncoder().encode(`{${[`"__metadata__":${JSON.stringify(metadata)}`, ...fields].join()}}`);
  const start = 8 + Math.ceil(header.length / 8) * 8;
  const bytes = new Uint8Array(start + size).fill(0x20, 8, start), file = new DataView(bytes.buffer);
  file.setBigUint64(0, BigInt(start - 8), true);
  bytes.set(header, 8);
  let at = start;
  for (const { dtype, values } of tensors) {
    if (typeof values === 'number') file.setBigInt64(at, BigInt(values), true);
    else if (dtype === 'F32') values.forEach((value, i) => { file.setFloat32(at + 4 * i, value, true); });
    else values.forEach((value, i) => { file.setFloat64(at + 8 * i, value, true); });
    at += typeof values === 'number' ? 8 : values.byteLength;
  }
  return bytes;
}

function checkLayers(layers: unknown): void {
  if (!isObject(layers) || layers instanceof BatchNorm) {
    throw wrongKind('layers', 'modules by the prefix of their names', layers);
  }
  for (const [name, bn] of Object.entries(layers)) {
    if (!(bn instanceof BatchNorm)) throw wrongKind(name, 'a BatchNorm', bn);
    if (name !== '' && prefixOf(name) !== name && prefixOf(name) in layers) {
      throw new RangeError(`"layers" expected every name once, got "${name}" and "${prefixOf(name)}"`);
    }
  }
}
