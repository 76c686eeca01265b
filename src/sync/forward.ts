/** Forward of a batch that is spread over ranks. */
import { checkBoolean, checkOptions, wrongKind, wrongValue } from '../checks.js';
import { BatchNorm, type ForwardOptions, type Moments, mergeMoments, moments, type Tensor } from '../index.js';
import { digestsOf } from './digest.js';
import { type Call, exchange, exchangeBlocking, prepared } from './exchange.js';
import { checkGroup, type Group } from './group.js';
import { checkName, nameOfLayer, remember } from './layers.js';
import { checkApart, checkLike, checkValues, isTensor, lasting, release, type Values, valuesLike } from './operands.js';
import { encodeRecord, type Terms } from './record.js';

/** Options of one `syncForward`: those of `forward`, and a name. */
export interface SyncForwardOptions<A> extends ForwardOptions<A> {
  /** What errors call the layer; default: its number in the order of first use, from 0. */
  layer?: string | number;
}

const OPTIONS = ['out', 'residual', 'mask', 'updateStats', 'layer'];

/**
 * `forward` of a part of a batch with the statistics of the whole, one part on each rank; running statistics move once, by
 * the same bits on all ranks. Parts may be unequal, empty or masked. In eval or frozen it is `forward`, and asks nobody.
 *
 * All ranks must call it for the same layers in the same order; from the call until it resolves, leave x and the layer alone.
 * Backward is `syncBackward`.
 *
 * @param x - this rank's part, [N, C, ...] or [N, ..., C]; N may be 0
 * @returns y of this rank's part: a new array, or `out`
 * @throws {Error} (rejects) another rank has failed, is missing, or disagrees on layer, settings, mode, parameters or running
 *   statistics: the same message on all ranks. Errors of `forward` are the `cause` on the rank that has them. Nothing has changed
 *   then on any rank.
 */
export function syncForward(
  bn: BatchNorm, group: Group, x: Float32Array, shape: readonly number[], options?: SyncForwardOptions<Float32Array>,
): Promise<Float32Array>;
export function syncForward(
  bn: BatchNorm, group: Group, x: Float64Array, shape: readonly number[], options?: SyncForwardOptions<Float64Array>,
): Promise<Float64Array>;
export function syncForward(bn: BatchNorm, group: Group, x: Tensor, options?: SyncForwardOptions<Tensor>): Promise<Tensor>;
export async function syncForward(
  bn: BatchNorm, group: Group, x: Values, shapeOrOptions?: unknown, options?: unknown,
): Promise<unknown> {
  checkGroup('syncForward', group);
  return exchange(group, forwardCall(bn, group, x, shapeOrOptions, options));
}

/** `syncForward` without a promise, for layers that are called synchronously. @throws {TypeError} the group cannot wait in place. */
export function syncForwardBlocking(
  bn: BatchNorm, group: Group, x: Float32Array, shape: readonly number[], options?: SyncForwardOptions<Float32Array>,
): Float32Array;
export function syncForwardBlocking(
  bn: BatchNorm, group: Group, x: Float64Array, shape: readonly number[], options?: SyncForwardOptions<Float64Array>,
): Float64Array;
export function syncForwardBlocking(bn: BatchNorm, group: Group, x: Tensor, options?: SyncForwardOptions<Tensor>): Tensor;
export function syncForwardBlocking(
  bn: BatchNorm, group: Group, x: Values, shapeOrOptions?: unknown, options?: unknown,
): unknown {
  checkGroup('syncForwardBlocking', group);
  return exchangeBlocking(group, forwardCall(bn, group, x, shapeOrOptions, options));
}

function forwardCall(bn: BatchNorm, group: Group, x: Values, shapeOrOptions: unknown, maybeOptions: unknown): Call<Values> {
  const [shape, options] = isTensor(x) ? [x.shape, shapeOrOptions ?? {}] : [shapeOrOptions as readonly number[], maybeOptions ?? {}];
  const { layer, ...rest } = Object(options) as SyncForwardOptions<Values>;
  if (bn instanceof BatchNorm && (bn.frozen || (!bn.training && bn.runningMean !== null))) {
    checkOptions('syncForward', options, OPTIONS);
    return { record: null, finish: () => run(bn, null, x, shape, rest) };
  }
  const name = bn instanceof BatchNorm ? nameOfLayer(group, bn, layer) : undefined;
  return prepared({ operation: 'forward', layer: name }, () => {
    if (!(bn instanceof BatchNorm)) throw wrongKind('bn', 'a BatchNorm', bn);
    checkOptions('syncForward', options, OPTIONS);
    checkName(layer);
    const own = checkedMoments(bn, x, shape, rest);
    const { out, residual, mask, updateStats = true } = rest, y = out ?? valuesLike(bn, x);
    const operands = { x: lasting(bn, x), y: lasting(bn, y), residual: lasting(bn, residual), mask: lasting(bn, mask) };
    return {
      record: encodeRecord(termsOf(bn, name!, updateStats), [[own.count], own.mean, own.m2]),
      finish(bodies) {
        const whole = mergeMoments(...bodies.map((body) => momentsIn(body, bn.channels)));
        const now = { out: operands.y(), residual: operands.residual(), mask: operands.mask() };
        const result = run(bn, whole.count > 0 ? whole : null, operands.x(), shape, { ...rest, ...now });
        remember(bn, group, name!, operands.x, operands.y);
        return result;
      },
      release: () => release(out === undefined ? y : null),
    };
  });
}

/** The moments of this rank's part, once everything that `forward` would check has been checked. */
function checkedMoments(bn: BatchNorm, x: Values, shape: readonly number[], options: ForwardOptions<Values>): Moments {
  const { out, residual, mask, updateStats = true } = options;
  checkBoolean('updateStats', updateStats);
  checkValues(bn, 'x', x);
  const own = moments(x, shape, { layout: bn.layout, runtime: bn.runtime, ...(mask && { mask }) });
  if (own.mean.length !== bn.channels) throw wrongValue('shape', `${bn.channels} channels (${bn.layout})`, `[${shape.join(', ')}]`);
  if (residual !== undefined) checkLike('residual', residual, 'x', x);
  if (out !== undefined) {
    checkLike('out', out, 'x', x);
    checkApart(out, 'x', x, true);
    if (residual !== undefined) checkApart(out, 'residual', residual, true);
  }
  return own;
}

/** What ranks must agree on, so that they compute the same and fail alike. */
function termsOf(bn: BatchNorm, layer: string | number, updateStats: boolean): Terms {
  const { channels, dtype, eps, momentum, activation, runningVariance, onSingleValue, onNonFinite, training, renorm } = bn;
  return {
    operation: 'forward', layer, channels, dtype, eps, momentum, runningVariance, activation, onSingleValue, onNonFinite, training,
    rMax: renorm?.rMax ?? null, dMax: renorm?.dMax ?? null, updateStats,
    'running statistics': bn.runningMean !== null, weight: bn.weight !== null, bias: bn.bias !== null,
    'batches tracked': bn.numBatchesTracked, ...digestsOf(bn),
  };
}

function momentsIn(body: Float64Array, channels: number): Moments {
  return { count: body[0]!, mean: body.subarray(1, 1 + channels), m2: body.subarray(1 + channels) };
}

function run(bn: BatchNorm, whole: Moments | null, x: Values, shape: readonly number[], options: ForwardOptions<Values>): Values {
  if (isTensor(x)) {
    const own = options as ForwardOptions<Tensor>;
    return whole ? bn.forwardWith(whole, x, own) : bn.forward(x, own);
  }
  const values = x as Float32Array, own = options as ForwardOptions<Float32Array>;
  return whole ? bn.forwardWith(whole, values, shape, own) : bn.forward(values, shape, own);
}
