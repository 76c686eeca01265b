/**
 * Channels whose numbers are too large or too small for the kernels, of which squares, or products of coefficients, leave the range
 * of the element type. They are found by what the kernels return, and computed here, in f64 and one channel at a time.
 */
import type { Floats, Pointer } from '../runtime/kernels.js';
import type { Block, Group } from './blocks.js';
import { type ChannelRange, type ChannelTable, FIELDS, INTERCEPT, MEAN, RSTD, SLOPE, VARIANCE } from './channel-table.js';
import { type ChannelMemory, type ChannelValues, gather, openAt } from './channel-values.js';
import { isExtreme, spanOf } from './formulas.js';
import type { Operand } from './operands.js';

/** Below `variance`, squares may have lost digits. Values beyond `constant` do not differ by so little, unless they are equal. */
const LEAST = {
  float32: { variance: 2 ** -120, constant: 2 ** -38 },
  float64: { variance: 2 ** -960, constant: 2 ** -480 },
} as const;

/** The channels of a range whose 1 / std is beyond what kernels compute with, in the type of `shift`. */
export function extremesOf(table: ChannelTable, shift: Floats, { channelStart, channels }: ChannelRange): number[] {
  const { least, most } = spanOf(shift), found: number[] = [];
  for (let c = 0, i = FIELDS * channelStart + RSTD; c < channels; c++, i += FIELDS) {
    if (isExtreme(table[i]!, least, most)) found.push(c);
  }
  return found;
}

/**
 * Puts right mean and m2 where squares have left the range, of finite values; what a kernel has found of others stays.
 *
 * @param eps - what will be added to the variance: if that is not tiny, squares that are too small do not matter
 */
export function repairMoments(
  memory: ChannelMemory, mean: Float64Array, m2: Float64Array, at: Pointer, pitch: number, block: Block, n: number, eps: number,
): void {
  const { variance, constant } = LEAST[memory.dtype], least = eps > variance * 2 ** 30 ? 0 : variance * n;
  for (let c = 0; c < block.channels; c++) {
    const found = m2[c]!;
    if (found >= least && found < Infinity) continue;
    if (found === 0 && Math.abs(mean[c]!) > constant) continue;
    const open = openAt(memory, block), values = gather(memory, at, pitch, block, c).filter((_, m) => open(m));
    const exact = scaledMoments(values);
    if (exact === null) continue;
    mean[c] = exact.mean;
    m2[c] = exact.m2;
  }
}

/** Mean and m2 by two passes over values that are scaled to be at most 1; null if one of them is not finite. */
function scaledMoments(values: ChannelValues): { mean: number; m2: number } | null {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!Number.isFinite(largest)) return null;
  if (largest === 0) return { mean: 0, m2: 0 };
  // A power of two, so that scaling is exact; its reciprocal is finite.
  const scale = 2 ** Math.min(Math.max(Math.ceil(Math.log2(largest)), -1000), 1000);
  const center = values.reduce((sum, value) => sum + value / scale, 0) / values.length;
  let missed = 0, squares = 0;
  for (const value of values) {
    const d = value / scale - center;
    missed += d;
    squares += d * d;
  }
  missed /= values.length;
  const m2 = Math.max(squares - missed * missed * values.length, 0);
  return { mean: (center + missed) * scale, m2: m2 * scale * scale };
}

/**
 * 1 / std and slope of float64 channels whose variance is too large or too small for float64 though the values are not. The
 * variance stays as it is in the table. Loads all blocks of the group again if there is such a channel.
 *
 * @returns whether there is one
 */
export function rescale(
  memory: ChannelMemory, x: Operand, { blocks, channelStart, channels }: Group, table: ChannelTable, weight: Floats | null, eps: number,
): boolean {
  if (memory.dtype === 'float32') return false;
  let found = false;
  for (let c = 0; c < channels; c++) {
    const row = FIELDS * (channelStart + c), mean = table[row + MEAN]!, variance = table[row + VARIANCE]!;
    if (!(variance === Infinity && Number.isFinite(mean)) && !(variance + eps < 2 ** -1000)) continue;
    const scale = variance === Infinity ? 2 ** 600 : 2 ** -600;
    let squares = 0, n = 0;
    for (const block of blocks) {
      const at = x.load(block), open = openAt(memory, block);
      gather(memory, at, x.pitch(block), block, c).forEach((value, m) => {
        if (!open(m)) return;
        squares += ((value - mean) / scale) ** 2;
        n += 1;
      });
    }
    const rstd = 1 / Math.hypot(Math.sqrt(squares / n) * scale, Math.sqrt(eps));
    if (!Number.isFinite(rstd)) continue;
    table[row + RSTD] = rstd;
    table[row + SLOPE] = weight === null ? rstd : weight[channelStart + c]! * rstd;
    found = true;
  }
  return found;
}

/** y of a channel, as the kernel `affine` has it. */
export function normaliseChannel(
  memory: ChannelMemory, x: Pointer, z: Pointer, pitch: number, block: Block, c: number, table: ChannelTable, floor: number,
): ChannelValues {
  const row = FIELDS * (block.channelStart + c), mean = table[row + MEAN]!, slope = table[row + SLOPE]!;
  const intercept = table[row + INTERCEPT]!, open = openAt(memory, block);
  const residual = z === 0 ? null : gather(memory, z, pitch, block, c);
  return gather(memory, x, pitch, block, c).map((value, m) => {
    if (!open(m)) return 0;
    const y = (value - mean) * slope + intercept + (residual === null ? 0 : residual[m]!);
    return y < floor ? floor : y;
  });
}

/** What of dy reaches a channel's normalisation: 0 where masked and, if `sign`, where the input of a ReLU is 0 or below. */
function passing(
  memory: ChannelMemory, dy: Pointer, x: ChannelValues, pitch: number, block: Block, c: number, table: ChannelTable, sign: boolean,
): ChannelValues {
  const row = FIELDS * (block.channelStart + c), mean = table[row + MEAN]!, slope = table[row + SLOPE]!;
  const intercept = table[row + INTERCEPT]!, open = openAt(memory, block);
  return gather(memory, dy, pitch, block, c).map((value, m) =>
    (!open(m) || (sign && (x[m]! - mean) * slope + intercept <= 0) ? 0 : value));
}

/**
 * sum g and sum g * (x - shift) of a channel, as the kernel `reduce` has them.
 *
 * @param output - of a ReLU: g is 0 where it is 0 or below; 0: there is none
 */
export function sumChannel(
  memory: ChannelMemory, dy: Pointer, x: Pointer, output: Pointer, pitch: number, block: Block, c: number,
  table: ChannelTable, shift: number, sign: boolean,
): { total: number; dot: number } {
  const open = openAt(memory, block), xs = gather(memory, x, pitch, block, c);
  const ys = output === 0 ? null : gather(memory, output, pitch, block, c);
  let total = 0, dot = 0;
  passing(memory, dy, xs, pitch, block, c, table, sign).forEach((g, m) => {
    if (!open(m) || (ys !== null && ys[m]! <= 0)) return;
    total += g;
    dot += g * (xs[m]! - shift);
  });
  return { total, dot };
}

/** What a gradient of a channel depends on beside its values. */
export interface ChannelGradient {
  /** In its group. */
  readonly channel: number;
  /** sum dy */
  readonly total: number;
  /** sum dy * (x - mean) */
  readonly dot: number;
  /** Values per channel that the statistics are of. */
  readonly count: number;
  /** Whether a ReLU's sign is recomputed from x. */
  readonly sign: boolean;
  /** Whether the statistics are constants. */
  readonly constant: boolean;
}

/** dx = slope * (dy - sum dy / n - xhat * sum(dy * xhat) / n) of a channel, section 3; of a single value, y does not depend on it. */
export function differentiateChannel(
  memory: ChannelMemory, g: Pointer, x: Pointer, pitch: number, block: Block, table: ChannelTable,
  { channel: c, total, dot, count, sign, constant }: ChannelGradient,
): ChannelValues {
  const row = FIELDS * (block.channelStart + c), mean = table[row + MEAN]!, rstd = table[row + RSTD]!;
  const slope = count === 1 && !constant ? 0 : table[row + SLOPE]!, open = openAt(memory, block);
  const xs = gather(memory, x, pitch, block, c), share = total / count, along = (dot * rstd) / count;
  return passing(memory, g, xs, pitch, block, c, table, sign).map((value, m) =>
    (open(m) ? slope * (constant ? value : value - share - (xs[m]! - mean) * rstd * along) : 0));
}
