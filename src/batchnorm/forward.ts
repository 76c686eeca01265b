/** The forward of a layer: what is checked, which statistics normalise, and what is left for backward. */

import { checkBoolean, checkOptions, isArray } from '../checks.js';
import { areFinite, checkFinite, copyMoments, copyRunning } from '../passes/channel-table.js';
import { normalise, type Renormalisation, renormalise, updateRunning } from '../passes/formulas.js';
import * as passes from '../passes/forward.js';
import { bytesLike, countValid, maskFrom } from '../passes/mask.js';
import type { Moments } from '../passes/statistics.js';
import {
  checkOverlap, floatsIn, inputOf, outputOf, releaseOnThrow, resultOf, sameMemory, type Values, valuesLike, valuesOf,
} from '../passes/values.js';
import { type Engine, MemoryTensor, type Tensor } from '../runtime/engine.js';
import type { Floats, Geometry } from '../runtime/kernels.js';
import { geometryOf, listed, readShape } from '../runtime/shape.js';
import { kept } from '../runtime/views.js';
import { Context } from './context.js';
import type { LayerState } from './layer-state.js';
import { type RenormLimits, renormFrom, weightOfBatch } from './options.js';

/** Options of one `forward`, of arrays or tensors of one type. */
export interface ForwardOptions<A, Out extends A = A> {
  /**
   * Written and returned; of the shape and type of x. May be the residual itself, or x where no backward will follow. A view of
   * the memory of a runtime that the call has made grow is returned as a new view of the same place.
   */
  out?: Out;
  /** Added after the affine map, before the activation; of the shape and type of x. */
  residual?: A;
  /** [N, ...positions], 0 where a position does not count: it has no part in statistics or gradients, and y is 0 there. Copied. */
  mask?: Uint8Array;
  /** Default true in training; false leaves running statistics and the counter untouched. */
  updateStats?: boolean;
}

const OPTIONS = ['out', 'residual', 'mask', 'updateStats'];
/** What the options of other libraries are called here. */
const MEANT = { inplace: '"out"', skip: '"residual"', training: 'train() and eval()' };

/** The arguments of a forward, read once, checked, and such that memory may grow. */
interface Call {
  readonly engine: Engine;
  readonly x: Values;
  readonly shape: readonly number[];
  readonly geometry: Geometry;
  readonly out: Values | undefined;
  /** The same as it was given. */
  readonly given: unknown;
  readonly residual: Values | null;
  readonly mask: Uint8Array | null;
  readonly updateStats: boolean;
  readonly renorm: RenormLimits | null;
  /** Values per channel of x that are not masked. */
  readonly valid: number;
}

/**
 * y from x, and a context for backward; then the batch enters the running statistics.
 *
 * @param shapeOrOptions - of a tensor, which brings its shape with it, the options
 * @param statistics - those of a larger batch of which x is a part, or null
 */
export function forward(
  layer: LayerState, x: Floats | Tensor, shapeOrOptions: unknown, options: unknown, statistics: Moments | null,
): Floats | Tensor {
  const call = callOf(layer, x, shapeOrOptions, options);
  const count = statistics?.count ?? call.valid;
  const mode = modeOf(layer, call, statistics, count);
  const y = call.out ?? valuesLike(call.x, layer.settings.dtype);
  const context = contextOf(layer, call, y, mode, count);
  releaseOnThrow(call.out ? [] : [y], () => {
    if (call.valid === 0) normaliseNothing(layer, call, y, context, statistics);
    else normaliseValues(layer, call, y, context, statistics);
  });
  layer.context = context;
  layer.replaceable = context;
  if (call.updateStats && layer.training && mode === 'batch' && count > 0) track(layer, context);
  return resultOf(y, call.given);
}

function callOf(layer: LayerState, x: Floats | Tensor, shapeOrOptions: unknown, maybeOptions: unknown): Call {
  const { dtype, layout } = layer.settings, isTensor = MemoryTensor.is(x);
  const options = ((isTensor ? shapeOrOptions : maybeOptions) ?? {}) as ForwardOptions<unknown>;
  if (isTensor && isArray(shapeOrOptions)) {
    throw new TypeError(`forward() expected no shape with a Tensor, which has its own (${listed(x.shape)}), got ${listed(readShape(shapeOrOptions))}`);
  }
  checkOptions('forward', options, OPTIONS, MEANT);
  // What runs code of the caller comes first: getters may dispose of the layer, or detach what is checked after them.
  const { out, residual, mask = null, updateStats = true } = options;
  const shape = isTensor ? x.shape : readShape(shapeOrOptions), renorm = layer.settings.renorm && renormFrom(layer.settings.renorm);
  const engine = layer.engine();
  const geometry = geometryOf(shape, layout, layer.channels);
  checkBoolean('updateStats', updateStats);
  const input = valuesOf('x', x, dtype, shape, engine);
  const added = residual === undefined ? null : inputOf('residual', residual, 'x', input, dtype, shape, engine);
  const output = out === undefined ? undefined : outputOf(out, 'x', input, dtype, shape, engine);
  if (output !== undefined && added !== null) checkOverlap('out', output, 'residual', added, dtype);
  const counted = mask === null ? null : kept(maskFrom(mask, geometry));
  return {
    engine, x: input, shape, geometry, out: output, given: out, residual: added, mask: counted, updateStats, renorm,
    valid: counted === null ? geometry.outer * geometry.inner : countValid(counted),
  };
}

/** Which statistics normalise, Alg. 1 or Alg. 2. @throws {RangeError} the batch allows none. */
function modeOf(
  { runningMean, frozen, training, settings }: LayerState, { shape, mask }: Call, statistics: Moments | null, count: number,
): 'batch' | 'running' {
  if (frozen || (!training && runningMean)) return 'running';
  if (count !== 1 || settings.onSingleValue === 'zero') return 'batch';
  if (settings.onSingleValue === 'running' && runningMean) return 'running';
  const got = statistics ? 'statistics of 1' : `shape ${listed(shape)}${mask ? ' with a mask that leaves 1' : ''}`;
  throw new RangeError(`Expected more than 1 value per channel when training, got ${got}`);
}

/** The context of a forward that has not yet run: its table is filled by the passes, its mask once nothing can fail. */
function contextOf(
  layer: LayerState, { engine, x, shape, residual, mask, renorm, valid }: Call, y: Values, mode: 'batch' | 'running', count: number,
): Context {
  const { activation, onNonFinite } = layer.settings;
  const relu = activation === 'relu';
  // A worker that dies while it writes over its input makes a forward fail that has filled its table.
  const over = engine.threads > 1 && (sameMemory(x, y) || (residual !== null && sameMemory(residual, y)));
  const replaced = count === 0 || onNonFinite === 'error' || over ? null : layer.replaceable;
  return new Context({
    mode, count, relu,
    table: replaced?.normalisation.table ?? layer.newTable(count),
    residual: residual !== null,
    renorm: mode === 'batch' && count > 0 && renorm !== null ? renormalisationOf(layer, renorm) : null,
  }, {
    owner: layer, shape,
    x: sameMemory(x, y) ? null : x,
    y: relu && residual !== null ? y : null,
    mask: mask && { bytes: bytesLike(mask, replaced?.saved.mask), total: valid },
  });
}

/** Batch renormalization towards the running statistics of now. */
function renormalisationOf({ channels, runningMean, runningVar }: LayerState, { rMax, dMax }: RenormLimits): Renormalisation {
  return {
    r: new Float64Array(channels), d: new Float64Array(channels), rMax, dMax, runningMean: runningMean!, runningVar: runningVar!,
  };
}

/** y of a batch whose values are all masked, or that has none: zeros. The gradients of other parts need its table all the same. */
function normaliseNothing(layer: LayerState, { geometry }: Call, y: Values, context: Context, statistics: Moments | null): void {
  const { channels, weight, bias, settings } = layer;
  const { mode, table, count, renorm } = context.normalisation;
  if (mode === 'running' || count > 0) {
    const all = { channelStart: 0, channels };
    copyKnown(layer, context, statistics);
    normalise(table, weight, bias, settings.eps, all);
    if (renorm !== null) renormalise(renorm, table, weight, settings.eps, all);
  }
  if (geometry.outer * geometry.inner > 0) floatsIn(y).fill(0);
  context.saved.mask?.bytes.fill(0);
}

/** y = (x - mean) / sqrt(variance + eps) * weight + bias, Alg. 1; with known statistics Alg. 2 line 11. */
function normaliseValues(
  layer: LayerState, { engine, x, geometry, residual, mask, valid }: Call, y: Values, context: Context, statistics: Moments | null,
): void {
  const { weight, bias, settings } = layer;
  const { table, relu, renorm } = context.normalisation;
  const affine = { table, weight, bias, eps: settings.eps, floor: relu ? 0 : -Infinity, renorm };
  const counted = mask && { bytes: mask, total: valid };
  layer.workspace(engine).use(geometry, { x, y, residual }, counted, (memory, operands) => {
    context.saved.mask?.bytes.set(mask!);
    let measured = copyKnown(layer, context, statistics);
    if (!measured && settings.onNonFinite === 'error') {
      passes.measure(memory, operands.x, table);
      checkFinite(table);
      measured = true;
    }
    passes.forward(memory, operands, affine, measured);
  });
}

/** Copies statistics that are known before x is looked at into the table; false where there are none. */
function copyKnown(
  { runningMean, runningVar, settings }: LayerState, { normalisation: { mode, table } }: Context, statistics: Moments | null,
): boolean {
  if (mode === 'running') {
    copyRunning(table, runningMean!, runningVar!);
    return true;
  }
  if (statistics === null) return false;
  copyMoments(table, statistics.count, statistics.mean, statistics.m2);
  if (settings.onNonFinite === 'error') checkFinite(table);
  return true;
}

/** A batch enters the running statistics: the last step of a forward that went well. */
function track(layer: LayerState, { normalisation: { table, count } }: Context): void {
  const { runningMean, runningVar, settings } = layer;
  if (!runningMean || (settings.onNonFinite === 'skip' && !areFinite(table))) return;
  layer.numBatchesTracked++;
  updateRunning(
    runningMean, runningVar!, table, weightOfBatch(settings, layer.numBatchesTracked), count, settings.runningVariance,
  );
}
