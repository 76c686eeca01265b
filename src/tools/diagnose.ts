import { type BatchNorm, checkBatchNorm } from '../batchnorm/batchnorm.js';
import { checkOptions } from '../checks.js';
import { maskFrom } from '../passes/mask.js';
import { floatsIn, valuesOf } from '../passes/values.js';
import { checkRuntime, type Runtime, type Tensor } from '../runtime/engine.js';
import type { Floats } from '../runtime/kernels.js';
import { geometryOf, readShape } from '../runtime/shape.js';
import { kept } from '../runtime/views.js';
import { dtypeOf, moments } from './moments.js';

/** What a batch says about a layer, [C] each. */
export interface Diagnosis {
  /** (batch mean - running mean) / sqrt(running variance + eps); 0 without running statistics or values. */
  readonly meanShift: Float64Array;
  /** Biased batch variance / running variance; 1 without running statistics or values. */
  readonly varianceRatio: Float64Array;
  /** 1 where the output does not depend on x: a variance of 0, or a weight of 0. */
  readonly dead: Uint8Array;
  /** Values that are not finite. */
  readonly nonFinite: Uint32Array;
}

/**
 * Examines a batch without changing anything: how far it is from the running statistics, which channels are dead, and how
 * many values are not finite.
 *
 * @param x - [N, C, ...] or [N, ..., C] in the layout of `bn`
 * @param options - `mask`: [N, ...positions], 0 where a position does not count; `runtime`: default: that of `bn`
 * @throws {TypeError | RangeError} as `moments`; another number of channels.
 */
export function diagnose(
  bn: BatchNorm, x: Floats | Tensor, shape: readonly number[], options: { mask?: Uint8Array; runtime?: Runtime } = {},
): Diagnosis {
  checkBatchNorm('diagnose', bn);
  checkOptions('diagnose', options, ['mask', 'runtime']);
  const { mask, runtime = bn.runtime } = options;
  const dimensions = readShape(shape), geometry = geometryOf(dimensions, bn.layout, bn.channels), { channels, inner, pitch } = geometry;
  checkRuntime(runtime);
  // By address where they live in memory, which the moments may grow.
  const values = valuesOf('x', x, dtypeOf(x), dimensions, runtime), counts = mask === undefined ? undefined : kept(maskFrom(mask, geometry));
  const { mean, m2, count } = moments(x, dimensions, { layout: bn.layout, runtime, ...(counts && { mask: counts }) });
  const { runningMean, runningVar, weight, eps } = bn;
  const meanShift = new Float64Array(bn.channels), varianceRatio = new Float64Array(bn.channels).fill(1);
  const dead = new Uint8Array(bn.channels), nonFinite = new Uint32Array(bn.channels);
  const floats = floatsIn(values);
  for (let i = 0; i < floats.length; i++) {
    if (Number.isFinite(floats[i]!)) continue;
    if (counts?.[Math.floor(i / pitch) * inner + (i % inner)] !== 0) nonFinite[Math.floor(i / inner) % channels]!++;
  }
  for (let c = 0; c < bn.channels; c++) {
    const variance = m2[c]! / count;
    if (runningMean && runningVar && count > 0) {
      meanShift[c] = (mean[c]! - runningMean[c]!) / Math.sqrt(runningVar[c]! + eps);
      varianceRatio[c] = variance / runningVar[c]!;
    }
    dead[c] = count > 0 && (variance === 0 || weight?.[c] === 0) ? 1 : 0;
  }
  return { meanShift, varianceRatio, dead, nonFinite };
}
