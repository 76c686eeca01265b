/** The passes backward: reduce, then formulas, then gradient, over the blocks of the tensors. */
import type { Floats } from '../runtime/kernels.js';
import { type Block, type Group, groupsOf } from './blocks.js';
import { scatter } from './channel-values.js';
import { type ChannelGradient, differentiateChannel, extremesOf, sumChannel } from './extremes.js';
import { affineCoefficients, centerDot, gradientCoefficients, linearCoefficients, meanShift, NONE, parameterGradients } from './formulas.js';
import type { Operand } from './operands.js';
import type { Normalisation, PassMemory } from './pass.js';
import type { Scratch } from './scratch.js';
import type { GradientSums } from './statistics.js';

/** The tensors of a backward. */
export interface BackwardOperands {
  readonly x: Operand;
  readonly dy: Operand;
  readonly dx: Operand;
  /** Receives the gradient of the residual; null where there is none. */
  readonly dresidual: Operand | null;
  /** y of the forward where a ReLU must be differentiated by it: with a residual x alone does not tell. */
  readonly output: Operand | null;
}

/** The inputs of a backward. */
type SumOperands = Pick<BackwardOperands, 'x' | 'dy' | 'output'>;

/** [C] each, overwritten, not accumulated. */
export interface ParameterGradients {
  readonly dweight: Floats | null;
  readonly dbias: Floats | null;
}

/** dx, dresidual, dweight and dbias from dy, section 3. Statistics of mode 'running' are constants. */
export function backward(
  memory: PassMemory, operands: BackwardOperands, forward: Normalisation, { dweight, dbias }: ParameterGradients,
): void {
  for (const group of groupsOf(memory.geometry, memory.limit)) {
    const { total, dot, extremes } = sumGroup(memory, operands, forward, group, operands.dresidual);
    parameterGradients(dweight, dbias, total, dot, forward.table, forward.renorm, group);
    differentiateGroup(memory, operands, forward, group, total, dot, extremes);
  }
}

/** The two sums of all channels, to be added to those of other parts of the batch. */
export function sumGradients(memory: PassMemory, operands: SumOperands, forward: Normalisation, sums: GradientSums): void {
  for (const group of groupsOf(memory.geometry, memory.limit)) {
    const { total, dot } = sumGroup(memory, operands, forward, group, null);
    sums.total.set(total.subarray(0, group.channels), group.channelStart);
    sums.dot.set(dot.subarray(0, group.channels), group.channelStart);
  }
}

/** dx and dresidual from dy and the sums of the whole batch. */
export function differentiate(
  memory: PassMemory, operands: BackwardOperands, forward: Normalisation, { total, dot }: GradientSums,
): void {
  const { dresidual } = operands;
  for (const group of groupsOf(memory.geometry, memory.limit)) {
    // Only for the gradient of the residual, which is written on the way.
    const extremes = dresidual && sumGroup(memory, operands, forward, group, dresidual).extremes;
    const start = group.channelStart, end = start + group.channels;
    const sums = total.subarray(start, end), dots = dot.subarray(start, end);
    differentiateGroup(memory, operands, forward, group, sums, dots, extremes);
  }
}

/**
 * Writes a group's shift; if the sign of a ReLU's input is recomputed from x, its scale (p) and offset too. Returns the channels
 * that the kernels cannot compute.
 */
function writeShift({ views }: Scratch, forward: Normalisation, group: Group): readonly number[] {
  const { shift, p, offset } = views, { table } = forward;
  const some = signFromX(forward) ? affineCoefficients(shift, p, offset, table, group) : meanShift(shift, table, group);
  return some ? extremesOf(table, shift, group) : NONE;
}

/** Sums of a group, and the channels of it that the kernels cannot compute. */
interface GroupSums extends GradientSums {
  readonly extremes: readonly number[];
}

/** Both sums of a group, over all its blocks. Leaves in scratch what `writeShift` writes, and writes g where it is given. */
function sumGroup(
  memory: PassMemory, { x, dy, output }: SumOperands, forward: Normalisation, group: Group, g: Operand | null,
): GroupSums {
  const { kernels, scratch, mask } = memory, { views } = scratch, { channels, blocks } = group;
  const sign = signFromX(forward), extremes = writeShift(scratch, forward, group);
  const several = blocks.length > 1;
  const total = several ? new Float64Array(channels) : views.total, dot = several ? new Float64Array(channels) : views.dot;
  for (const block of blocks) {
    kernels.reduce(
      scratch.total, scratch.dot, g === null ? 0 : g.at(block), dy.load(block),
      output === null ? 0 : output.load(block), x.load(block), mask.at(block),
      scratch.shift, scratch.p, sign ? scratch.offset : 0,
      block.outer, channels, block.inner, x.pitch(block), mask.pitch, scratch.work,
    );
    for (const c of extremes) {
      const y = output === null ? 0 : output.at(block), { shift } = views;
      const sums = sumChannel(memory, dy.at(block), x.at(block), y, x.pitch(block), block, c, forward.table, shift[c]!, sign);
      views.total[c] = sums.total;
      views.dot[c] = sums.dot;
    }
    if (g !== null) g.store(block);
    if (several) {
      for (let c = 0; c < channels; c++) {
        total[c]! += views.total[c]!;
        dot[c]! += views.dot[c]!;
      }
    }
  }
  centerDot(dot, total, views.shift, forward.table, group);
  return { total, dot, extremes };
}

/** Whether the sign of what a ReLU was given is recomputed from x. */
function signFromX({ relu, residual }: Normalisation): boolean {
  return relu && !residual;
}

/** dx of a group. `extremes`: its sums have just been computed: its last block is in reach, shift and offset in scratch. */
function differentiateGroup(
  memory: PassMemory, operands: BackwardOperands, forward: Normalisation, group: Group,
  total: Float64Array, dot: Float64Array, extremes: readonly number[] | null,
): void {
  const { scratch } = memory, { shift, p, q, r } = scratch.views, { table } = forward;
  const own = extremes ?? writeShift(scratch, forward, group);
  let beyond: readonly number[] = NONE;
  if (forward.mode === 'batch') beyond = gradientCoefficients(p, q, r, total, dot, shift, table, forward.count, group);
  else linearCoefficients(p, q, r, table, group);
  const apart = extremeGradients(memory, forward, group, total, dot, beyond === NONE ? own : [...new Set([...own, ...beyond])]);
  const reload = extremes === null || group.blocks.length > 1;
  for (const block of group.blocks) differentiateBlock(memory, operands, forward, block, reload, apart);
}

/** What computes the gradients that the kernels cannot. */
function extremeGradients(
  { geometry }: PassMemory, forward: Normalisation, group: Group, total: Float64Array, dot: Float64Array, extremes: readonly number[],
): readonly ChannelGradient[] {
  const { mode, count } = forward, sign = signFromX(forward), constant = mode === 'running';
  // Of a single value, p is 0, by which the kernel would take the sign of other values.
  const single = count === 1 && !constant && sign && geometry.outer * geometry.inner > 1;
  if (extremes === NONE && !single) return NONE;
  const found = single ? Array.from({ length: group.channels }, (_, c) => c) : extremes;
  return found.map((channel) => ({ channel, total: total[channel]!, dot: dot[channel]!, count, sign, constant }));
}

/** dx of one block. `reload`: other blocks have passed through the stage since it was loaded, or it never was. */
function differentiateBlock(
  memory: PassMemory, operands: BackwardOperands, forward: Normalisation, block: Block, reload: boolean,
  extremes: readonly ChannelGradient[],
): void {
  const { kernels, scratch, mask } = memory, { outer, channels, inner } = block;
  // What the ReLU let pass has been written as the gradient of the residual.
  const source = operands.dresidual ?? operands.dy;
  const g = reload ? source.load(block) : source.at(block);
  const dx = operands.dx.at(block), pitch = operands.dy.pitch(block);
  const m = mask.at(block), maskPitch = mask.pitch;
  const { shift, p, q, r, work } = scratch;
  const sign = signFromX(forward), readsX = forward.mode === 'batch' || sign;
  const x = reload && readsX ? operands.x.load(block) : operands.x.at(block);
  // Before the kernel, which may write over g.
  const apart = extremes === NONE
    ? NONE
    : extremes.map((gradient) => differentiateChannel(memory, g, x, pitch, block, forward.table, gradient));
  if (readsX) {
    const offset = sign ? scratch.offset : 0;
    kernels.gradient(dx, g, x, m, shift, p, q, r, offset, outer, channels, inner, pitch, maskPitch, work);
  } else {
    // (dy - 0) * p + 0: q and r are 0.
    kernels.affine(dx, g, 0, m, q, p, r, -Infinity, outer, channels, inner, pitch, maskPitch, work);
  }
  for (let i = 0; i < apart.length; i++) scatter(memory, apart[i]!, dx, pitch, block, extremes[i]!.channel);
  operands.dx.store(block);
}
