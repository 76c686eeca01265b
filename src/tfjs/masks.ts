/** Masks as plain data: tfjs has them as tensors, which end with the scope that they were made in. */
import type * as tfc from '@tensorflow/tfjs-core';
import type { Geometry } from '../runtime/kernels.js';

/** One byte per element, 0: masked. */
export interface Mask {
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export function readMask(tensor: tfc.Tensor): Mask {
  return { shape: tensor.shape, bytes: Uint8Array.from(tensor.dataSync(), (value) => (value === 0 ? 0 : 1)) };
}

export function tensorOf(tf: typeof tfc, { shape, bytes }: Mask): tfc.Tensor {
  return tf.tensor(bytes, [...shape], 'bool');
}

/** The mask of one time step of [N, T, ...]; null where it has no such step. */
export function maskAt({ shape, bytes }: Mask, step: number): Mask | null {
  const [samples = 0, steps = 0, ...rest] = shape;
  if (step >= steps) return null;
  const each = bytes.length / (samples * steps), column = new Uint8Array(samples * each);
  for (let n = 0; n < samples; n++) column.set(bytes.subarray((n * steps + step) * each, (n * steps + step + 1) * each), n * each);
  return { shape: [samples, ...rest], bytes: column };
}

/**
 * A mask as one byte per position, or as weights of [outer, channels, inner] if it differs between channels; null if it
 * does not fit: it must be of the first axes of x, or of all but the axis `at` of the channels.
 */
export function spreadMask(
  tf: typeof tfc, { shape, bytes }: Mask, x: readonly number[], { outer, channels, inner }: Geometry, at: number,
): Uint8Array | tfc.Tensor | null {
  const positions = x.filter((_, i) => i !== at);
  // Merging layers of tfjs put an axis of one before those of their masks.
  const shapes = shape[0] === 1 && shape.length > 1 ? [shape, shape.slice(1)] : [shape];
  const fitting = shapes.find((own) => leads(own, x) || equal(own, positions));
  if (fitting === undefined) return null;
  if (leads(fitting, x) && fitting.length > at) {
    const weights = tf.tensor(Float32Array.from(bytes), [...fitting, ...x.slice(fitting.length).map(() => 1)]);
    return tf.reshape(tf.mul(tf.ones([...x]), weights), [outer, channels, inner]);
  }
  const result = new Uint8Array(outer * inner), each = result.length / bytes.length;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) result.fill(1, i * each, (i + 1) * each);
  return result;
}

function leads(shape: readonly number[], x: readonly number[]): boolean {
  return shape.length <= x.length && equal(shape, x.slice(0, shape.length));
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
