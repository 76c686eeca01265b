/** The backward of a module, of whole batches and of parts of them. */
import type { BackwardOptions, Gradients } from './calls.js';
import { checkBoolean, checkOptions, wrongKind, wrongValue } from './checks.js';
import { Context, type ForwardContext } from './context.js';
import { type Engine, MemoryTensor, type Tensor } from './engine.js';
import { parameterGradients } from './formulas.js';
import type { Floats } from './kernels.js';
import type { Internals, Module } from './module.js';
import * as passes from './passes.js';
import { geometryOf } from './shape.js';
import type { GradientSums } from './statistics.js';
import {
  checkInput, checkOutput, checkOverlap, checkValues, floatsIn, floatsOf, releaseOnThrow, sameMemory, type Values, valuesLike,
} from './values.js';

const OPTIONS = ['context', 'out', 'parameters'];

/** `sums`: those of the whole batch, where dy is a part of it. */
export function backward(
  module: Module, internals: Internals, dy: Floats | Tensor, options: BackwardOptions<unknown>, sums: GradientSums | null,
): Gradients<Values> {
  const engine = internals.engine();
  checkOptions('backward', options, OPTIONS);
  const { out, parameters = true } = options;
  checkBoolean('parameters', parameters);
  const { channels, dtype } = module;
  const context = contextOf(module, internals, options.context);
  checkGradient(module, engine, dy, context);
  if (out !== undefined) checkGradientOutput(module, engine, out, dy, context);

  const { x, residual, renorm } = context.saved;
  const dx = out ?? valuesLike(x!);
  let dresidual: Values | null = null;
  const dweight = parameters && module.weight ? floatsOf(dtype, channels) : null;
  const dbias = parameters && module.bias ? floatsOf(dtype, channels) : null;
  const made: Values[] = out === undefined ? [dx] : [];
  releaseOnThrow(made, () => {
    if (residual) {
      dresidual = valuesLike(x!);
      made.push(dresidual);
    }
    if (sums !== null) {
      const all = { channelStart: 0, channels };
      parameterGradients(dweight, dbias, sums.total, sums.dot, context.numbers, renorm, all);
    }
    run(module, internals, engine, context, dy, dx, dresidual, (pass) => {
      if (sums === null) passes.backward(pass, { dweight, dbias });
      else passes.differentiate(pass, sums);
    });
  });
  return { dx, dweight, dbias, dresidual };
}

/** The two sums of a part of a batch. */
export function backwardSums(
  module: Module, internals: Internals, dy: Floats | Tensor, options: { context?: ForwardContext },
): GradientSums {
  const engine = internals.engine(), { channels } = module;
  checkOptions('backwardSums', options, ['context']);
  const context = contextOf(module, internals, options.context);
  const sums = { total: new Float64Array(channels), dot: new Float64Array(channels) };
  checkGradient(module, engine, dy, context);
  run(module, internals, engine, context, dy, null, null, (pass) => { passes.sumGradients(pass, sums); });
  return sums;
}

/** The context that is asked for, or the latest. @throws {TypeError} where there is none to be differentiated. */
function contextOf(module: Module, internals: Internals, asked: ForwardContext | undefined): Context {
  const context = asked === undefined ? internals.context : asked;
  if (context === null) throw new TypeError('backward() expected a forward() before it, got none');
  if (!(context instanceof Context) || context.saved.owner !== module) {
    throw wrongKind('context', "one of this module's forward()", context);
  }
  if (context.saved.x === null) throw new TypeError('backward() expected x to be kept, got a forward() that wrote over it');
  return context;
}

/** Checks dy against the forward that it differentiates. */
function checkGradient({ dtype }: Module, engine: Engine, dy: unknown, { saved }: Context): asserts dy is Values {
  const { x, y, shape } = saved;
  checkInput(dy, 'dy', 'x', x!, dtype, shape, engine);
  checkValues('x', x, dtype, shape, engine);
  if (y !== null) checkValues('y', y, dtype, shape, engine);
}

function checkGradientOutput(
  { dtype }: Module, engine: Engine, out: unknown, dy: Values, { saved }: Context,
): asserts out is Values {
  checkOutput(out, 'dy', dy, dtype, saved.shape, engine);
  for (const name of ['x', 'y'] as const) {
    const kept = saved[name];
    if (kept === null) continue;
    if (sameMemory(out, kept)) throw wrongValue('out', `to be apart from ${name}, which its context still holds`, name);
    if (!(kept instanceof MemoryTensor)) checkOverlap('out', floatsIn(out), name, kept);
  }
}

/** Runs a pass; without dx and dresidual it is one that only sums. */
function run(
  { layout, channels }: Module, internals: Internals, engine: Engine, context: Context,
  dy: Values, dx: Values | null, dresidual: Values | null, use: (pass: passes.BackwardPass) => void,
): void {
  const { shape, mask, x, y, count } = context.saved;
  const geometry = geometryOf(shape, layout, channels);
  if (count === 0 || geometry.outer * geometry.inner === 0 || mask?.total === 0) {
    if (dx !== null) floatsIn(dx).fill(0);
    if (dresidual !== null) floatsIn(dresidual).fill(0);
    return;
  }
  const values = [x!, dy, dx ?? dy], places = [0, 1, 1];
  if (dresidual !== null) { values.push(dresidual); places.push(2); }
  if (y !== null) { values.push(y); places.push(3); }
  internals.runner(engine).run(geometry, values, places, mask, (operands, { kernels, scratch, limit, mask }) => {
    use({
      kernels, scratch, geometry, limit, mask, numbers: context.numbers, saved: context.saved,
      x: operands[0]!, dy: operands[1]!, dx: operands[2]!,
      dresidual: dresidual === null ? null : operands[3]!, y: y === null ? null : operands[operands.length - 1]!,
    });
  });
}
