/** The passes: kernels and formulas in order, over the blocks of the tensors. The heart of the package. */
import type { Context } from './context.js';
import {
  affineCoefficients, gradientCoefficients, linearCoefficients, meanShift, parameterGradients,
} from './formulas.js';
import type { Floats, Geometry, Kernels, Pointer } from './kernels.js';
import type { Scratch } from './scratch.js';
import { type Block, type Group, groupsOf, type Operand, runsOf } from './staging.js';
import { mergeInto } from './statistics.js';

/** What both passes work with. */
export interface Pass {
  readonly kernels: Kernels;
  /** Taken for as many channels as a group may have. */
  readonly scratch: Scratch;
  readonly geometry: Geometry;
  /** Elements that a block may have at most. */
  readonly limit: number;
  readonly context: Context;
  readonly x: Operand;
}

/** The output of a forward, and what else enters it. */
export interface ForwardPass extends Pass {
  readonly y: Operand;
  readonly weight: Floats | null;
  readonly bias: Floats | null;
  readonly eps: number;
}

/** The tensors of a backward, and where the parameter gradients go ([C], overwritten, not accumulated). */
export interface BackwardPass extends Pass {
  readonly dy: Operand;
  readonly dx: Operand;
  readonly dweight: Floats | null;
  readonly dbias: Floats | null;
}

/** y from x, Alg. 1 (mode 'batch') or Alg. 2 line 11 ('running'). Fills the context's numbers. */
export function forward(pass: ForwardPass): void {
  const { kernels, scratch, context, weight, bias, eps } = pass;
  const { shift, p, q } = scratch.views;
  const groups = context.mode === 'running' ? runsOf(pass.geometry, pass.limit) : groupsOf(pass.geometry, pass.limit);
  for (const group of groups) {
    const { channels, blocks } = group;
    let x = context.mode === 'batch' ? measure(pass, group) : 0;
    affineCoefficients(shift, p, q, context.numbers, weight, bias, eps, group);
    for (const block of blocks) {
      if (x === 0 || blocks.length > 1) x = pass.x.load(block);
      kernels.affine(
        pass.y.at(block), x, 0, scratch.shift, scratch.p, scratch.q, -Infinity,
        block.outer, channels, block.inner, pass.x.pitch(block), scratch.work,
      );
      pass.y.store(block);
    }
  }
}

/** Mean and variance of a group, Alg. 1 lines 1 and 2. Returns the address of its last block. */
function measure({ kernels, scratch, context, x }: Pass, group: Group): Pointer {
  const { first, second } = scratch.views;
  let seen = 0, at = 0;
  for (const block of group.blocks) {
    at = x.load(block);
    kernels.moments(
      scratch.first, scratch.second, at, block.outer, block.channels, block.inner, x.pitch(block), scratch.work,
    );
    const n = block.outer * block.inner;
    mergeInto(context.numbers, seen, first, second, n, group);
    seen += n;
  }
  return at;
}

/** dx, dweight and dbias from dy, section 3. Statistics of mode 'running' are constants. */
export function backward(pass: BackwardPass): void {
  const { scratch, context, dweight, dbias } = pass;
  const { numbers, mode, count } = context;
  const { shift, p, q, r } = scratch.views;
  for (const group of groupsOf(pass.geometry, pass.limit)) {
    meanShift(shift, numbers, group);
    const [total, dot] = sumGradients(pass, group);
    parameterGradients(dweight, dbias, dot, total, shift, numbers, group);
    if (mode === 'batch') gradientCoefficients(p, q, r, total, dot, shift, numbers, count, group);
    else linearCoefficients(shift, p, q, numbers, group);
    for (const block of group.blocks) applyGradient(pass, block, group.blocks.length > 1);
  }
}

/** sum dy and sum dy * (x - shift) of a group, over all its blocks. */
function sumGradients(pass: BackwardPass, group: Group): readonly [total: Float64Array, dot: Float64Array] {
  const { kernels, scratch } = pass;
  const { first, second } = scratch.views;
  const several = group.blocks.length > 1;
  const total = several ? new Float64Array(group.channels) : first;
  const dot = several ? new Float64Array(group.channels) : second;
  for (const block of group.blocks) {
    const dy = pass.dy.load(block), x = pass.x.load(block);
    kernels.reduce(
      scratch.first, scratch.second, 0, dy, 0, x, scratch.shift,
      block.outer, block.channels, block.inner, pass.x.pitch(block), scratch.work,
    );
    if (several) {
      for (let c = 0; c < group.channels; c++) {
        total[c]! += first[c]!;
        dot[c]! += second[c]!;
      }
    }
  }
  return [total, dot];
}

/** dx of one block. `reload`: other blocks have passed through the stage since its sums were taken. */
function applyGradient(pass: BackwardPass, block: Block, reload: boolean): void {
  const { kernels, scratch, context } = pass;
  const { outer, channels, inner } = block;
  const dy = reload ? pass.dy.load(block) : pass.dy.at(block);
  const dx = pass.dx.at(block), pitch = pass.dy.pitch(block);
  if (context.mode === 'batch') {
    const x = reload ? pass.x.load(block) : pass.x.at(block);
    kernels.gradient(dx, dy, x, scratch.shift, scratch.p, scratch.q, scratch.r, outer, channels, inner, pitch, scratch.work);
  } else {
    kernels.affine(dx, dy, 0, scratch.shift, scratch.p, scratch.q, -Infinity, outer, channels, inner, pitch, scratch.work);
  }
  pass.dx.store(block);
}
