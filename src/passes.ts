/** The passes: kernels and formulas in order, over the blocks of the tensors. The heart of the package. */
import type { Saved } from './context.js';
import {
  affineCoefficients, type ChannelNumbers, type ChannelRange, centerDot, gradientCoefficients, linearCoefficients, meanShift, normalise,
  parameterGradients,
} from './formulas.js';
import type { Floats, Geometry, Kernels, Pointer } from './kernels.js';
import type { Mask } from './mask.js';
import type { Scratch } from './scratch.js';
import { type Block, type Group, groupsOf, type Operand, runsOf } from './staging.js';
import { type GradientSums, mergeInto } from './statistics.js';

/** What every pass works with. */
export interface Pass {
  readonly kernels: Kernels;
  /** Taken for as many channels as a group may have. */
  readonly scratch: Scratch;
  readonly geometry: Geometry;
  /** Elements that a block may have at most. */
  readonly limit: number;
  readonly mask: Mask;
  readonly numbers: ChannelNumbers;
  readonly x: Operand;
}

/** The output of a forward, and what else enters it. */
export interface ForwardPass extends Pass {
  readonly y: Operand;
  readonly residual: Operand | null;
  readonly weight: Floats | null;
  readonly bias: Floats | null;
  readonly eps: number;
  /** 0: ReLU, -Infinity: none. */
  readonly floor: number;
  /** Changes what normalises a range of channels, once it is known: batch renormalization. */
  readonly adjust: ((range: ChannelRange) => void) | null;
}

/** The tensors of a backward, and of which forward it is. */
export interface BackwardPass extends Pass {
  readonly saved: Saved;
  readonly dy: Operand;
  readonly dx: Operand;
  /** Takes the gradient of the residual; null where there is none. */
  readonly dresidual: Operand | null;
  /** The output of the forward where a ReLU must be differentiated by it: with a residual x alone does not tell. */
  readonly y: Operand | null;
}

/** [C] each, overwritten, not accumulated. */
export interface ParameterGradients {
  readonly dweight: Floats | null;
  readonly dbias: Floats | null;
}

/** y from x, Alg. 1 (mode 'batch') or Alg. 2 line 11 ('running'). Fills `numbers`; `measured`: mean and variance are there already. */
export function forward(pass: ForwardPass, measured: boolean): void {
  for (const group of measured ? runsOf(pass.geometry, pass.limit) : groupsOf(pass.geometry, pass.limit)) {
    const at = measured ? 0 : measureGroup(pass, group);
    normaliseGroup(pass, group, at);
  }
}

/** Mean and variance of all channels, into `numbers`. */
export function measure(pass: Pass): void {
  for (const group of groupsOf(pass.geometry, pass.limit)) measureGroup(pass, group);
}

/** Mean and variance of a group, Alg. 1 lines 1 and 2. Returns the address of its last block. */
function measureGroup({ kernels, scratch, numbers, mask, x }: Pass, group: Group): Pointer {
  const { first, second } = scratch.views;
  let seen = 0, at = 0;
  for (const block of group.blocks) {
    const n = mask.count(block);
    at = x.load(block);
    if (n === 0) continue;
    kernels.moments(
      scratch.first, scratch.second, at, mask.at(block), n,
      block.outer, block.channels, block.inner, x.pitch(block), mask.pitch, scratch.work,
    );
    mergeInto(numbers, seen, first, second, n, group);
    seen += n;
  }
  return at;
}

/** y of a group. `at`: where its only block is to be found, if it has been loaded. */
function normaliseGroup(pass: ForwardPass, group: Group, at: Pointer): void {
  const { kernels, scratch, numbers, mask, residual, floor } = pass;
  const { shift, p, q } = scratch.views;
  const { channels, blocks } = group;
  normalise(numbers, pass.weight, pass.bias, pass.eps, group);
  if (pass.adjust !== null) pass.adjust(group);
  affineCoefficients(shift, p, q, numbers, group);
  for (const block of blocks) {
    const x = at === 0 || blocks.length > 1 ? pass.x.load(block) : at;
    const z = residual === null ? 0 : residual.load(block);
    kernels.affine(
      pass.y.at(block), x, z, mask.at(block), scratch.shift, scratch.p, scratch.q, floor,
      block.outer, channels, block.inner, pass.x.pitch(block), mask.pitch, scratch.work,
    );
    pass.y.store(block);
  }
}

/** dx, dresidual, dweight and dbias from dy, section 3. Statistics of mode 'running' are constants. */
export function backward(pass: BackwardPass, parameters: ParameterGradients): void {
  const { numbers, saved } = pass;
  for (const group of groupsOf(pass.geometry, pass.limit)) {
    const { total, dot } = sumGroup(pass, group, pass.dresidual);
    parameterGradients(parameters.dweight, parameters.dbias, total, dot, numbers, saved.renorm, group);
    differentiateGroup(pass, group, total, dot, true);
  }
}

/** The two sums of all channels, to be added to those of other parts of the batch. */
export function sumGradients(pass: BackwardPass, sums: GradientSums): void {
  for (const group of groupsOf(pass.geometry, pass.limit)) {
    const { total, dot } = sumGroup(pass, group, null);
    sums.total.set(total.subarray(0, group.channels), group.channelStart);
    sums.dot.set(dot.subarray(0, group.channels), group.channelStart);
  }
}

/** dx and dresidual from dy and the sums of the whole batch. */
export function differentiate(pass: BackwardPass, { total, dot }: GradientSums): void {
  for (const group of groupsOf(pass.geometry, pass.limit)) {
    const { channelStart: start, channels } = group;
    // Only for the gradient of the residual, which is written on the way.
    if (pass.dresidual !== null) sumGroup(pass, group, pass.dresidual);
    const end = start + channels;
    differentiateGroup(pass, group, total.subarray(start, end), dot.subarray(start, end), pass.dresidual !== null);
  }
}

/** The shift of a group, and where x tells the sign of what a ReLU was given also its scale (p) and offset. */
function takeShift(pass: BackwardPass, group: Group): void {
  const { shift, p, offset } = pass.scratch.views;
  if (signFromX(pass)) affineCoefficients(shift, p, offset, pass.numbers, group);
  else meanShift(shift, pass.numbers, group);
}

/** Both sums of a group, over all its blocks. Leaves what `takeShift` takes in scratch, and writes g where it is given. */
function sumGroup(pass: BackwardPass, group: Group, g: Operand | null): GradientSums {
  const { kernels, scratch, numbers, mask } = pass;
  const { first, second, shift } = scratch.views;
  const { channels, blocks } = group;
  takeShift(pass, group);
  const several = blocks.length > 1;
  const total = several ? new Float64Array(channels) : first, dot = several ? new Float64Array(channels) : second;
  for (const block of blocks) {
    kernels.reduce(
      scratch.first, scratch.second, g === null ? 0 : g.at(block), pass.dy.load(block),
      pass.y === null ? 0 : pass.y.load(block), pass.x.load(block), mask.at(block),
      scratch.shift, scratch.p, signFromX(pass) ? scratch.offset : 0,
      block.outer, channels, block.inner, pass.x.pitch(block), mask.pitch, scratch.work,
    );
    if (g !== null) g.store(block);
    if (several) {
      for (let c = 0; c < channels; c++) {
        total[c]! += first[c]!;
        dot[c]! += second[c]!;
      }
    }
  }
  centerDot(dot, total, shift, numbers, group);
  return { total, dot };
}

/** Whether the sign of what a ReLU was given is found again from x. */
function signFromX({ saved }: BackwardPass): boolean {
  return saved.relu && !saved.residual;
}

/** dx of a group. `loaded`: its sums have just been taken: its last block is in reach, shift and offset in scratch. */
function differentiateGroup(pass: BackwardPass, group: Group, total: Float64Array, dot: Float64Array, loaded: boolean): void {
  const { numbers, saved, scratch } = pass;
  const { shift, p, q, r } = scratch.views;
  if (!loaded) takeShift(pass, group);
  if (saved.mode === 'batch') gradientCoefficients(p, q, r, total, dot, shift, numbers, saved.count, group);
  else linearCoefficients(p, q, r, numbers, group);
  const reload = !loaded || group.blocks.length > 1;
  for (const block of group.blocks) differentiateBlock(pass, block, reload);
}

/** dx of one block. `reload`: other blocks have passed through the stage since it was loaded, or it never was. */
function differentiateBlock(pass: BackwardPass, block: Block, reload: boolean): void {
  const { kernels, scratch, saved, mask, x } = pass;
  const { outer, channels, inner } = block;
  // What the ReLU let pass has been written as the gradient of the residual.
  const source = pass.dresidual ?? pass.dy;
  const g = reload ? source.load(block) : source.at(block);
  const dx = pass.dx.at(block), pitch = pass.dy.pitch(block);
  const m = mask.at(block), maskPitch = mask.pitch;
  const { shift, p, q, r, work } = scratch;
  const sign = signFromX(pass);
  if (saved.mode === 'batch' || sign) {
    const at = reload ? x.load(block) : x.at(block);
    const offset = sign ? scratch.offset : 0;
    kernels.gradient(dx, g, at, m, shift, p, q, r, offset, outer, channels, inner, pitch, maskPitch, work);
  } else {
    // (dy - 0) * p + 0: q and r are 0.
    kernels.affine(dx, g, 0, m, q, p, r, -Infinity, outer, channels, inner, pitch, maskPitch, work);
  }
  pass.dx.store(block);
}
