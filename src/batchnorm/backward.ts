/** The backward of a layer, of whole batches and of parts of them. */
import { checkBoolean, checkOptions, wrongKind, wrongValue } from '../checks.js';
import * as passes from '../passes/backward.js';
import { parameterGradients } from '../passes/formulas.js';
import type { Operands } from '../passes/operands.js';
import type { PassMemory } from '../passes/pass.js';
import type { GradientSums } from '../passes/statistics.js';
import {
  checkKept, checkOverlap, floatsIn, floatsOf, inputOf, outputOf, releaseOnThrow, resultOf, sameMemory, type Values, valuesLike,
} from '../passes/values.js';
import { type Engine, MemoryTensor, type Tensor } from '../runtime/engine.js';
import type { Floats, FloatsOf } from '../runtime/kernels.js';
import { geometryOf } from '../runtime/shape.js';
import { Context, type ForwardContext } from './context.js';
import type { LayerState } from './layer-state.js';

/** A parameter, for what trains it. */
export interface Parameter<A extends FloatsOf = FloatsOf> {
  readonly name: 'weight' | 'bias';
  /** [C], live: `weight` or `bias` of the layer itself. */
  readonly value: A;
  /** [C], of the latest backward at the time of reading: the array that it returned. null before one, and after one with `parameters: false`. */
  readonly gradient: A | null;
}

/** Options of one `backward`. */
export interface BackwardOptions<A, Wanted extends boolean = boolean> {
  /** Of which forward; default: the latest. */
  context?: ForwardContext;
  /** Receives dx; of the shape and type of dy. May be dy itself. Returned as `out` of `forward` is. */
  out?: A;
  /** Whether dweight and dbias are wanted; default true. */
  parameters?: Wanted;
}

/** What `backward` returns. */
export interface Gradients<A, Weight = FloatsOf | null, Bias = FloatsOf | null> {
  dx: A;
  /** [C]; null where there is no weight, or it was not wanted. */
  dweight: Weight;
  /** [C]; null where there is no bias, or it was not wanted. */
  dbias: Bias;
  /** null where forward had no residual. */
  dresidual: A | null;
}

const OPTIONS = ['context', 'out', 'parameters'];

/** The gradients of a forward. `sums`: those of the whole batch, where dy is a part of it. */
export function backward(
  layer: LayerState, incoming: Floats | Tensor, options: BackwardOptions<unknown>, sums: GradientSums | null,
): Gradients<Floats | Tensor> {
  checkOptions('backward', options, OPTIONS);
  const { context: asked, out, parameters = true } = options, engine = layer.engine();
  checkBoolean('parameters', parameters);
  const context = contextOf(layer, asked), dy = gradientOf(layer, engine, incoming, context);
  const output = out === undefined ? undefined : gradientOutputOf(layer, engine, out, dy, context);

  const { channels, settings: { dtype } } = layer;
  const { mode, count, table, renorm, residual } = context.normalisation, x = context.saved.x!;
  const dx = output ?? valuesLike(x, dtype);
  let dresidual: Floats | MemoryTensor | null = null;
  const dweight = parameters && layer.weight ? floatsOf(dtype, channels) : null;
  const dbias = parameters && layer.bias ? floatsOf(dtype, channels) : null;
  const made: Values[] = out === undefined ? [dx] : [];
  releaseOnThrow(made, () => {
    if (residual) {
      dresidual = valuesLike(x, dtype);
      made.push(dresidual);
    }
    // A batch of no values has no statistics, and all gradients are 0.
    if (sums !== null && (mode === 'running' || count > 0)) {
      parameterGradients(dweight, dbias, sums.total, sums.dot, table, renorm, { channelStart: 0, channels });
    }
    if (isEmpty(context)) {
      for (const zero of [dx, dresidual]) if (zero !== null) floatsIn(zero).fill(0);
      return;
    }
    run(layer, engine, context, { x, dy, dx, dresidual, output: context.saved.y }, (memory, operands) => {
      if (sums === null) passes.backward(memory, operands, context.normalisation, { dweight, dbias });
      else passes.differentiate(memory, operands, context.normalisation, sums);
    });
  });
  layer.gradients = { weight: dweight, bias: dbias };
  return { dx: resultOf(dx, out), dweight, dbias, dresidual };
}

/** The parameters that a layer has. */
export function parametersOf(layer: LayerState): Parameter[] {
  return (['weight', 'bias'] as const).flatMap((name) => {
    const value = layer[name];
    return value === null ? [] : [{ name, value, get gradient() { return layer.gradients[name]; } }];
  });
}

/** The two sums of a part of a batch. */
export function backwardSums(layer: LayerState, incoming: Floats | Tensor, options: { context?: ForwardContext }): GradientSums {
  checkOptions('backwardSums', options, ['context']);
  const { context: asked } = options, engine = layer.engine(), { channels } = layer, context = contextOf(layer, asked);
  const sums = { total: new Float64Array(channels), dot: new Float64Array(channels) };
  const dy = gradientOf(layer, engine, incoming, context);
  if (isEmpty(context)) return sums;
  run(layer, engine, context, { x: context.saved.x!, dy, output: context.saved.y }, (memory, operands) => {
    passes.sumGradients(memory, operands, context.normalisation, sums);
  });
  return sums;
}

/** The context that is asked for, or the latest. @throws {TypeError} there is none to be differentiated. */
function contextOf(layer: LayerState, asked: ForwardContext | undefined): Context {
  const context = asked === undefined ? layer.context : asked;
  if (context === null) throw new TypeError('backward() expected a forward() before it, got none');
  if (!Context.is(context) || context.saved.owner !== layer) {
    throw wrongKind('context', "one of this module's forward()", context);
  }
  const { x, y } = context.saved;
  if (x === null) throw new TypeError('backward() expected x to be kept, got a forward() that wrote over it');
  if (x instanceof MemoryTensor) x.checkAlive('"x", which backward() needs,');
  if (y instanceof MemoryTensor) y.checkAlive('"y", which backward() needs after a residual and a ReLU,');
  return context;
}

/** The values of dy, checked against the forward that it differentiates. */
function gradientOf(
  { settings: { dtype } }: LayerState, engine: Engine, dy: unknown, { saved: { x, y, shape } }: Context,
): Values {
  const values = inputOf('dy', dy, 'x', x!, dtype, shape, engine);
  checkKept('x', x!, dtype, shape);
  if (y !== null) checkKept('y', y, dtype, shape);
  return values;
}

function gradientOutputOf(
  { settings: { dtype } }: LayerState, engine: Engine, out: unknown, dy: Values, { saved }: Context,
): Values {
  const values = outputOf(out, 'dy', dy, dtype, saved.shape, engine);
  for (const name of ['x', 'y'] as const) {
    const other = saved[name];
    if (other === null) continue;
    if (sameMemory(values, other)) throw wrongValue('out', `to be apart from ${name}, which its context still holds`, name);
    checkOverlap('out', values, name, other, dtype);
  }
  return values;
}

/** Whether no value of a forward has a gradient: no positions, or all masked. */
function isEmpty({ normalisation: { count }, saved: { shape, mask } }: Context): boolean {
  return count === 0 || mask?.total === 0 || shape.includes(0);
}

function run<T extends { x: Values; dy: Values; output: Values | null }>(
  layer: LayerState, engine: Engine, { saved: { shape, mask } }: Context, tensors: T,
  pass: (memory: PassMemory, operands: Operands<T>) => void,
): void {
  const geometry = geometryOf(shape, layer.settings.layout, layer.channels);
  layer.workspace(engine).use(geometry, tensors, mask, pass);
}
