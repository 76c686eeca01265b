/** Batch norm layers to and from safetensors files, under torch's names. */
import { BatchNorm } from '../batchnorm/batchnorm.js';
import { ARRAYS, COUNTER } from '../batchnorm/state-dict.js';
import { wrongKind } from '../checks.js';
import type { Floats } from '../runtime/kernels.js';
import { elements, listed } from '../runtime/shape.js';
import { checkStrings, isObject, readSafetensors, within } from './safetensors.js';

/** BatchNorms by the prefix of their names in a file, such as 'layer1.0.bn1.', or '' for no prefix. */
export type Layers = Readonly<Record<string, BatchNorm>>;

/**
 * Loads batch norm layers from a safetensors file, all of them or none.
 *
 * @param layers - values are copied and rounded to the layer's dtype; num_batches_tracked may be missing (then 0). Other
 *   tensors of the file are left alone
 * @throws {TypeError | RangeError} as `readSafetensors` and `loadStateDict`; a tensor has another shape than [C], or a dtype
 *   other than F32, F64, F16 and BF16 (for the counter: [], I64).
 */
export function loadSafetensors(layers: Layers, bytes: Uint8Array | ArrayBuffer): void {
  checkLayers(layers);
  const tensors = readSafetensors(bytes);
  const loads = Object.entries(layers).map(([prefix, bn]) => {
    const state: Record<string, Floats | BigInt64Array> = {}, own = Object.keys(bn.stateDict());
    for (const name of [...ARRAYS, COUNTER]) {
      const tensor = tensors.get(prefix + name), counter = name === COUNTER;
      if (!tensor) {
        if (!counter && own.includes(name)) throw new TypeError(`The file expected "${prefix}${name}", got none`);
        continue;
      }
      const { dtype, shape } = tensor, dtypes = counter ? ['I64'] : ['F32', 'F64', 'F16', 'BF16'];
      if (!dtypes.includes(dtype)) throw new TypeError(`"${prefix}${name}" expected dtype ${dtypes.join(', ')}, got ${dtype}`);
      if (counter ? elements(shape) !== 1 : shape.length !== 1 || shape[0] !== bn.channels) {
        throw new RangeError(`"${prefix}${name}" expected shape [${counter ? '' : bn.channels}], got ${listed(shape)}`);
      }
      state[name] = tensor.read();
    }
    // A trial: an error is thrown here, before any layer has changed.
    const { channels, dtype, weight, bias, runningMean } = bn;
    const options = { dtype, weight: weight !== null, bias: bias !== null, trackRunningStats: runningMean !== null };
    within(prefix, () => new BatchNorm(channels, options).loadStateDict(state as never));
    return () => bn.loadStateDict(state as never);
  });
  for (const load of loads) load();
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
  const tensors = Object.entries(layers).flatMap(([prefix, bn]) =>
    Object.entries(bn.stateDict()).map(([name, values]) => ({
      name: prefix + name, values, dtype: typeof values === 'number' ? 'I64' : bn.dtype === 'float32' ? 'F32' : 'F64',
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
  for (const [prefix, bn] of Object.entries(layers)) {
    if (!(bn instanceof BatchNorm)) throw wrongKind(prefix, 'a BatchNorm', bn);
  }
}
