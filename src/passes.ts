/** The passes: kernels and formulas in order, over the blocks of the tensors. The heart of the package. */
import type { Context, Normalisation } from './context.js';
import {
  affineCoefficients, gradientCoefficients, inverseStd, linearCoefficients, parameterGradients, slopes, varianceFromM2,
} from './formulas.js';
import { type DType, type Floats, type Geometry, type Pointer, scratchBytes } from './kernels.js';
import { BYTES, type Engine } from './runtime.js';
import { type Group, groupsOf, type Operand } from './staging.js';
import { mergeInto } from './statistics.js';

/** The tensors of one forward, and what else enters it. */
export interface ForwardPass {
  readonly x: Operand;
  readonly y: Operand;
  readonly weight: Floats | null;
  readonly bias: Floats | null;
  readonly eps: number;
}

/** The tensors of one backward, and where the parameter gradients go ([C], overwritten, not accumulated). */
export interface BackwardPass {
  readonly x: Operand;
  readonly dy: Operand;
  readonly dx: Operand;
  readonly dweight: Floats | null;
  readonly dbias: Floats | null;
}

/**
 * Per-channel memory of one call: two f64 sums, shift, and a place that first serves as the scratch of a reduction
 * and then holds three coefficients.
 */
class Scratch {
  readonly #engine: Engine;
  readonly #dtype: DType;
  readonly #row: number;
  readonly first: Pointer;
  readonly second: Pointer;
  readonly shift: Pointer;
  readonly work: Pointer;

  constructor(engine: Engine, dtype: DType, channels: number) {
    this.#engine = engine;
    this.#dtype = dtype;
    this.#row = Math.ceil((channels * BYTES[dtype]) / 16) * 16;
    const sums = Math.ceil((channels * 8) / 16) * 16;
    this.first = engine.allocate(2 * sums + this.#row + Math.max(scratchBytes(channels), 3 * this.#row));
    this.second = this.first + sums;
    this.shift = this.second + sums;
    this.work = this.shift + this.#row;
  }

  coefficient(index: 0 | 1 | 2): Pointer {
    return this.work + index * this.#row;
  }

  floats(pointer: Pointer, channels: number): Floats {
    return this.#engine.floats(this.#dtype, pointer, channels);
  }

  doubles(pointer: Pointer, channels: number): Float64Array {
    return this.#engine.floats('float64', pointer, channels) as Float64Array;
  }

  free(): void {
    this.#engine.free(this.first);
  }
}

/** y from x, Alg. 1 (mode 'batch') or Alg. 2 line 11 ('running'). Fills the context's numbers. */
export function forward(
  engine: Engine, dtype: DType, geometry: Geometry, limit: number, context: Context, pass: ForwardPass,
): void {
  const kernels = engine.kernels[dtype];
  const scratch = new Scratch(engine, dtype, geometry.channels);
  try {
    for (const group of groupsOf(geometry, limit)) {
      const { channels, blocks } = group;
      const numbers = ofGroup(context, group);
      let x: Pointer | undefined;
      if (context.mode === 'batch') x = measure(engine, dtype, scratch, group, numbers, context.count, pass.x);
      inverseStd(numbers.rstd, numbers.variance, pass.eps);
      slopes(numbers.slope, part(pass.weight, group), numbers.rstd);
      affineCoefficients(
        scratch.floats(scratch.shift, channels), scratch.floats(scratch.coefficient(0), channels),
        scratch.floats(scratch.coefficient(1), channels), numbers.mean, numbers.slope, part(pass.bias, group),
      );
      for (const block of blocks) {
        if (x === undefined || blocks.length > 1) x = pass.x.load(block);
        kernels.affine(
          pass.y.at(block), x, 0, scratch.shift, scratch.coefficient(0), scratch.coefficient(1), -Infinity,
          block.outer, channels, block.inner, pass.x.pitch(block),
        );
        pass.y.store(block);
      }
    }
  } finally {
    scratch.free();
  }
}

/** Mean and variance of a group, Alg. 1 lines 1 and 2. Returns the address of its last block. */
function measure(
  engine: Engine, dtype: DType, scratch: Scratch, group: Group, numbers: Normalisation, count: number, x: Operand,
): Pointer {
  let seen = 0, at = 0;
  for (const block of group.blocks) {
    at = x.load(block);
    engine.kernels[dtype].moments(
      scratch.first, scratch.second, at, block.outer, block.channels, block.inner, x.pitch(block), scratch.work,
    );
    const n = block.outer * block.inner;
    const mean = scratch.doubles(scratch.first, block.channels), m2 = scratch.doubles(scratch.second, block.channels);
    mergeInto(numbers.mean, numbers.variance, seen, mean, m2, n);
    seen += n;
  }
  varianceFromM2(numbers.variance, count);
  return at;
}

/** dx, dweight and dbias from dy, section 3. Statistics of mode 'running' are constants. */
export function backward(
  engine: Engine, dtype: DType, geometry: Geometry, limit: number, context: Context, pass: BackwardPass,
): void {
  const scratch = new Scratch(engine, dtype, geometry.channels);
  try {
    for (const group of groupsOf(geometry, limit)) {
      const { channels, blocks } = group;
      const numbers = ofGroup(context, group);
      const shift = scratch.floats(scratch.shift, channels);
      const p = scratch.floats(scratch.coefficient(0), channels);
      const q = scratch.floats(scratch.coefficient(1), channels);
      const r = scratch.floats(scratch.coefficient(2), channels);
      shift.set(numbers.mean);
      const [total, dot] = sumGradients(engine, dtype, scratch, group, pass);
      parameterGradients(
        part(pass.dweight, group), part(pass.dbias, group), dot, total, shift, numbers.mean, numbers.rstd,
      );
      if (context.mode === 'batch') {
        gradientCoefficients(p, q, r, total, dot, shift, numbers.mean, numbers.rstd, numbers.slope, context.count);
      } else {
        linearCoefficients(shift, p, q, numbers.slope);
      }
      for (const block of blocks) applyGradient(engine, dtype, scratch, block, blocks.length > 1, context.mode, pass);
    }
  } finally {
    scratch.free();
  }
}

/** sum dy and sum dy * (x - shift) of a group, over all its blocks. */
function sumGradients(
  engine: Engine, dtype: DType, scratch: Scratch, group: Group, pass: BackwardPass,
): [total: Float64Array, dot: Float64Array] {
  const { channels, blocks } = group;
  const first = scratch.doubles(scratch.first, channels), second = scratch.doubles(scratch.second, channels);
  const several = blocks.length > 1;
  const total = several ? new Float64Array(channels) : first;
  const dot = several ? new Float64Array(channels) : second;
  for (const block of blocks) {
    const dy = pass.dy.load(block), x = pass.x.load(block);
    engine.kernels[dtype].reduce(
      scratch.first, scratch.second, 0, dy, 0, x, scratch.shift,
      block.outer, channels, block.inner, pass.x.pitch(block), scratch.work,
    );
    if (several) {
      for (let c = 0; c < channels; c++) {
        total[c]! += first[c]!;
        dot[c]! += second[c]!;
      }
    }
  }
  return [total, dot];
}

/** dx of one block. `reload`: other blocks have passed through the stage since its sums were taken. */
function applyGradient(
  engine: Engine, dtype: DType, scratch: Scratch, block: Group['blocks'][number], reload: boolean,
  mode: Context['mode'], pass: BackwardPass,
): void {
  const { outer, channels, inner } = block;
  const { affine, gradient } = engine.kernels[dtype];
  const { shift } = scratch;
  const p = scratch.coefficient(0), q = scratch.coefficient(1), r = scratch.coefficient(2);
  const dy = reload ? pass.dy.load(block) : pass.dy.at(block);
  const dx = pass.dx.at(block), pitch = pass.dy.pitch(block);
  if (mode === 'batch') {
    const x = reload ? pass.x.load(block) : pass.x.at(block);
    gradient(dx, dy, x, shift, p, q, r, outer, channels, inner, pitch);
  } else {
    affine(dx, dy, 0, shift, p, q, -Infinity, outer, channels, inner, pitch);
  }
  pass.dx.store(block);
}

/** The numbers of a group's channels: views, or the arrays themselves where the group is all channels. */
function ofGroup(numbers: Normalisation, group: Group): Normalisation {
  if (numbers.mean.length === group.channels) return numbers;
  const { channelStart: start, channels } = group;
  return {
    mean: numbers.mean.subarray(start, start + channels),
    variance: numbers.variance.subarray(start, start + channels),
    rstd: numbers.rstd.subarray(start, start + channels),
    slope: numbers.slope.subarray(start, start + channels),
  };
}

function part(values: Floats | null, group: Group): Floats | null {
  return values?.subarray(group.channelStart, group.channelStart + group.channels) ?? null;
}
