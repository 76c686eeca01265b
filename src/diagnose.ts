import type { BatchNorm } from './batchnorm.js';
import type { Floats } from './kernels.js';
import { moments } from './moments.js';
import type { Runtime } from './runtime.js';
import { checkOptions, geometryOf } from './shape.js';

/** What a batch says of a module, [C] each. */
export interface Diagnosis {
  /** (batch mean - running mean) / sqrt(running variance + eps); 0 without running statistics. */
  readonly meanShift: Float64Array;
  /** Biased batch variance / running variance; 1 without running statistics. */
  readonly varianceRatio: Float64Array;
  /** 1 where the output does not depend on x: a variance of 0, or a weight of 0. */
  readonly dead: Uint8Array;
  /** Values that are not finite. */
  readonly nonFinite: Uint32Array;
}

/**
 * Looks at a batch without changing anything: how far the running statistics are from it, which channels are dead, and
 * how many values are not finite.
 *
 * @param x - [N, C, ...] or [N, ..., C] in the layout of the module
 * @throws {TypeError | RangeError} as `moments`; another number of channels.
 */
export function diagnose(
  bn: BatchNorm, x: Floats, shape: readonly number[], options: { runtime?: Runtime } = {},
): Diagnosis {
  checkOptions('diagnose', options, ['runtime']);
  const { mean, m2, count } = moments(x, shape, { layout: bn.layout, ...options });
  const { outer, channels, inner } = geometryOf(shape, bn.layout, bn.channels);
  const { runningMean, runningVar, weight, eps } = bn;
  const meanShift = new Float64Array(bn.channels), varianceRatio = new Float64Array(bn.channels).fill(1);
  const dead = new Uint8Array(bn.channels), nonFinite = new Uint32Array(bn.channels);
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(x[i]!)) nonFinite[Math.floor(i / inner) % channels]!++;
  }
  for (let c = 0; c < bn.channels; c++) {
    const variance = m2[c]! / count;
    if (runningMean && runningVar) {
      meanShift[c] = (mean[c]! - runningMean[c]!) / Math.sqrt(runningVar[c]! + eps);
      varianceRatio[c] = variance / runningVar[c]!;
    }
    dead[c] = outer > 0 && (variance === 0 || weight?.[c] === 0) ? 1 : 0;
  }
  return { meanShift, varianceRatio, dead, nonFinite };
}
