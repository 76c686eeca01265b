import type { BatchNorm } from '../index.js';

/**
 * 53 bits of all bits of some 32-bit words, as a number: two chains of multiplications and shifts, so that no change of one
 * bit stays in one place. For finding differences, not for keeping secrets.
 */
export function digest(...arrays: (ArrayBufferView | null)[]): number {
  let high = 0x9e3779b9, low = 0x85ebca6b;
  for (const array of arrays) {
    if (array === null) continue;
    const words = new Uint32Array(array.buffer, array.byteOffset, array.byteLength >>> 2);
    for (let i = 0; i < words.length; i++) {
      high = Math.imul(high ^ words[i]!, 0xcc9e2d51);
      high ^= high >>> 15;
      low = Math.imul(low ^ high, 0x1b873593);
      low ^= low >>> 13;
    }
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

/** Digests of what a layer has learned, by the name that an error gives them. */
export function digestsOf({ weight, bias, runningMean, runningVar }: BatchNorm): Record<string, string> {
  return {
    'digest of weight and bias': digest(weight, bias).toString(36),
    'digest of running mean and variance': digest(runningMean, runningVar).toString(36),
  };
}
