/** The forward of a module: what is checked, which statistics normalise, and what is left for backward. */
import type { ForwardOptions } from './calls.js';
import { checkBoolean, checkOptions } from './checks.js';
import { Context } from './context.js';
import { type Engine, MemoryTensor, type Tensor } from './engine.js';
import { type ChannelNumbers, type ChannelRange, FIELDS, normalise, renormalise } from './formulas.js';
import type { Floats, Geometry } from './kernels.js';
import { bytesLike, checkMask, countValid, keptFrom } from './mask.js';
import type { Internals, Module } from './module.js';
import { checkRenorm, type RenormLimits } from './options.js';
import * as passes from './passes.js';
import { checkShape, geometryOf, listed } from './shape.js';
import { areFinite, checkFinite, type Moments, takeMoments, takeRunning, updateRunning } from './statistics.js';
import { checkInput, checkOutput, checkValues, floatsIn, releaseOnThrow, sameMemory, type Values, valuesLike } from './values.js';

const OPTIONS = ['out', 'residual', 'mask', 'updateStats'];

/** A tensor brings its shape with it: then what comes second are the options. `statistics`: those of a larger batch. */
export function forward(
  module: Module, internals: Internals, x: Floats | Tensor, second: unknown, third: unknown, statistics: Moments | null,
): Values {
  const engine = internals.engine();
  const own = x instanceof MemoryTensor;
  const shape = own ? x.shape : second, options = ((own ? second : third) ?? {}) as ForwardOptions<Values>;
  checkOptions('forward', options, OPTIONS);
  checkShape(shape);
  const geometry = geometryOf(shape, module.layout, module.channels);
  checkTensors(module, engine, geometry, shape, x, options);
  const { out, residual, updateStats = true } = options;
  const mask = options.mask ? keptFrom(engine, options.mask) : null;
  const { renorm, activation, onNonFinite } = internals.settings;
  if (renorm !== null) checkRenorm(renorm);
  const positions = geometry.outer * geometry.inner;
  const values = mask === null ? positions : countValid(mask);
  const count = statistics?.count ?? values;
  const mode = modeOf(module, internals, count, shape);
  const finite = onNonFinite === 'error';

  const y = out ?? valuesLike(x);
  const relu = activation === 'relu';
  const corrected = renorm !== null && mode === 'batch' && count > 0;
  const replaced = count === 0 || finite ? null : internals.replaceable;
  const numbers = replaced?.numbers ?? newNumbers(module, internals, count);
  const kept = mask && { bytes: bytesLike(mask, replaced?.saved.mask), total: values };
  const context = new Context(numbers, {
    owner: module, mode, count, relu,
    shape: own ? shape : [...shape],
    x: sameMemory(x, y) ? null : x,
    y: relu && residual !== undefined ? y : null,
    mask: kept,
    residual: residual !== undefined,
    renorm: corrected ? { r: new Float64Array(module.channels), d: new Float64Array(module.channels) } : null,
  });
  const adjust = corrected ? renormaliser(module, renorm, context) : null;
  releaseOnThrow(out ? [] : [y], () => {
    const { weight, bias, eps } = module;
    if (values === 0) {
      if (count > 0) {
        // What the gradients of other parts need is there all the same.
        const all = { channelStart: 0, channels: module.channels };
        takeKnown(module, numbers, mode, statistics, finite);
        normalise(numbers, weight, bias, eps, all);
        adjust?.(all);
      }
      if (positions > 0) floatsIn(y).fill(0);
      kept?.bytes.fill(0);
      return;
    }
    const tensors = residual === undefined ? [x, y] : [x, y, residual];
    const places = residual === undefined ? [0, 0] : [0, 0, 1];
    internals.runner(engine).run(geometry, tensors, places, mask && { bytes: mask, total: values }, (operands, { kernels, scratch, limit, mask: inMemory }) => {
      if (kept !== null) kept.bytes.set(mask!);
      let measured = takeKnown(module, numbers, mode, statistics, finite);
      const pass = {
        // Written out, since a spread costs as much as normalising 60x100.
        kernels, scratch, geometry, limit, mask: inMemory, numbers, x: operands[0]!, y: operands[1]!, residual: operands[2] ?? null,
        weight, bias, eps, floor: relu ? 0 : -Infinity, adjust,
      };
      if (!measured && finite) {
        passes.measure(pass);
        measured = true;
        checkFinite(numbers);
      }
      passes.forward(pass, measured);
    });
  });
  const counts = updateStats && internals.training && mode === 'batch' && count > 0;
  internals.context = context;
  internals.replaceable = context;
  if (counts && !(onNonFinite === 'skip' && !areFinite(numbers))) track(module, internals, context);
  return y;
}

/** Checks x and the options against the module and each other. */
function checkTensors(
  { dtype }: Module, engine: Engine, geometry: Geometry, shape: readonly number[], x: unknown, options: ForwardOptions<Values>,
): asserts x is Values {
  const { out, residual, mask = null, updateStats = true } = options;
  checkBoolean('updateStats', updateStats);
  checkValues('x', x, dtype, shape, engine);
  if (residual !== undefined) checkInput(residual, 'residual', 'x', x, dtype, shape, engine);
  if (out !== undefined) {
    checkOutput(out, 'x', x, dtype, shape, engine);
    if (residual !== undefined) checkOutput(out, 'residual', residual, dtype, shape, engine);
  }
  if (mask !== null) checkMask(mask, geometry);
}

/**
 * An array to be filled; NaN where an empty batch leaves it so. Copying one is the fastest way to another (400 numbers:
 * 0.3 us), and that of the latest forward is there anyway: one kept for it would be 40 bytes a channel more.
 */
function newNumbers({ channels }: Module, { context }: Internals, count: number): ChannelNumbers {
  return context !== null && count > 0 ? context.numbers.slice() : new Array<number>(FIELDS * channels).fill(NaN);
}

/** Which statistics normalise, Alg. 1 or Alg. 2. @throws {RangeError} where the batch allows none. */
function modeOf(
  { runningMean }: Module, { frozen, training, settings }: Internals, count: number, shape: readonly number[],
): 'batch' | 'running' {
  if (frozen || (!training && runningMean)) return 'running';
  if (count !== 1 || settings.onSingleValue === 'zero') return 'batch';
  if (settings.onSingleValue === 'running' && runningMean) return 'running';
  throw new RangeError(`Expected more than 1 value per channel when training, got shape ${listed(shape)}`);
}

/** Takes statistics that normalise and are known before x is looked at, if there are any. */
function takeKnown(
  { runningMean, runningVar }: Module, numbers: ChannelNumbers, mode: 'batch' | 'running', given: Moments | null, finite: boolean,
): boolean {
  if (mode === 'running') {
    takeRunning(numbers, runningMean!, runningVar!);
    return true;
  }
  if (given === null) return false;
  takeMoments(numbers, given);
  if (finite) checkFinite(numbers);
  return true;
}

function renormaliser(
  { runningMean, runningVar, weight, eps }: Module, { rMax, dMax }: RenormLimits, { numbers, saved }: Context,
): (range: ChannelRange) => void {
  return (range) => renormalise(saved.renorm!, numbers, runningMean!, runningVar!, weight, eps, rMax, dMax, range);
}

/** A batch enters the running statistics: the last step of a forward that went well. */
function track(module: Module, { settings }: Internals, { numbers, count }: Context): void {
  const { runningMean, runningVar, momentum } = module;
  if (!runningMean) return;
  module.numBatchesTracked++;
  const factor = momentum === null ? 1 / module.numBatchesTracked : momentum;
  updateRunning(runningMean, runningVar!, numbers, factor, count, settings.runningVariance);
}
