/**
 * tf.batchNorm in the memory of the wasm backend, for parameters of many small blocks, such as those of one example each: their
 * coefficients are made once, and the kernel is called per block.
 */
import type { Engine } from '../runtime/engine.js';
import { ALIGNMENT } from '../runtime/memory.js';
import type { Source } from './devices.js';
import { type Parameters, slopeOf } from './rows.js';
import { type Blocks, eachRun } from './spread.js';

/** Whether blocks are large enough for a call each: it takes 0.4 us, plain loops 4 ns per element. */
export function areWorthCalls({ geometry: { outer, channels, inner } }: Blocks): boolean {
  return outer * channels * inner >= 256 && outer * inner >= 4;
}

/** y = (x - mean) / sqrt(variance + eps) * scale + offset; the parameters of all blocks, end to end. x and y are in the memory of `engine`. */
export function normaliseBlocks(
  engine: Engine, { geometry, runs }: Blocks, eps: number, x: Source, [mean, variance, scale, offset]: Parameters, y: Source,
): void {
  const { outer, channels, inner, pitch } = geometry, kernels = engine.kernels.float32, size = mean.length;
  const row = Math.ceil((4 * size) / ALIGNMENT) * ALIGNMENT, slope = slopeOf(scale, variance, eps);
  const start = engine.allocate(3 * row + kernels.scratchBytes(channels, inner));
  try {
    [mean, slope, offset].forEach((values, i) => { engine.floats('float32', start + i * row, size).set(values); });
    const from = x().byteOffset, to = y().byteOffset;
    eachRun(runs, 0, (element, channel) => {
      const at = start + 4 * channel;
      kernels.affine(
        to + 4 * element, from + 4 * element, 0, 0, at, at + row, at + 2 * row, Number.NEGATIVE_INFINITY,
        outer, channels, inner, pitch, 0, start + 3 * row,
      );
    });
  } finally {
    engine.free(start);
  }
}
