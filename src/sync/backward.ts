/** Backward of a batch that is spread over ranks. */
import { checkOneOf, checkOptions, wrongKind } from '../checks.js';
import { addGradientSums, BatchNorm, type ForwardContext, type GradientSums, type Gradients, type Tensor } from '../index.js';
import { type Call, exchange, exchangeBlocking, prepared } from './exchange.js';
import { checkGroup, type Group } from './group.js';
import { originOf } from './layers.js';
import { checkApart, checkLike, lasting, release, type Values, valuesLike } from './operands.js';
import { encodeRecord } from './record.js';

/** Options of one `syncBackward`. */
export interface SyncBackwardOptions<A> {
  /** Of which `syncForward`; default: the latest forward of the layer. */
  context?: ForwardContext;
  /** Receives dx; of the shape and type of dy. May be dy itself. */
  out?: A;
  /**
   * Which dweight and dbias. 'whole' (default): those of the whole batch, the same bits on all ranks, not to be added up again.
   * 'part': this rank's share, for loops that add up all gradients alike; costs one more pass. false: none.
   */
  parameters?: 'whole' | 'part' | false;
}

const OPTIONS = ['context', 'out', 'parameters'];

/**
 * `backward` of this rank's part, through the statistics of the whole batch.
 *
 * dy must be the gradient of one loss over the whole batch: a mean is divided by the samples of all ranks
 * (`gatherNumbers`), not by one's own. All ranks must call it, whether they need gradients of their own or not.
 *
 * @param dy - of this rank's part, of the kind, shape and dtype of that forward's x
 * @throws {Error} (rejects) as `syncForward`; errors of `backward` are the `cause` on the rank that has them.
 */
export function syncBackward(
  bn: BatchNorm, group: Group, dy: Float32Array, options?: SyncBackwardOptions<Float32Array>,
): Promise<Gradients<Float32Array>>;
export function syncBackward(
  bn: BatchNorm, group: Group, dy: Float64Array, options?: SyncBackwardOptions<Float64Array>,
): Promise<Gradients<Float64Array>>;
export function syncBackward(bn: BatchNorm, group: Group, dy: Tensor, options?: SyncBackwardOptions<Tensor>): Promise<Gradients<Tensor>>;
export async function syncBackward(
  bn: BatchNorm, group: Group, dy: Values, options: unknown = {},
): Promise<unknown> {
  checkGroup('syncBackward', group);
  return exchange(group, backwardCall(bn, group, dy, options));
}

/** `syncBackward` without a promise. @throws {TypeError} the group cannot wait in place. */
export function syncBackwardBlocking(
  bn: BatchNorm, group: Group, dy: Float32Array, options?: SyncBackwardOptions<Float32Array>,
): Gradients<Float32Array>;
export function syncBackwardBlocking(
  bn: BatchNorm, group: Group, dy: Float64Array, options?: SyncBackwardOptions<Float64Array>,
): Gradients<Float64Array>;
export function syncBackwardBlocking(bn: BatchNorm, group: Group, dy: Tensor, options?: SyncBackwardOptions<Tensor>): Gradients<Tensor>;
export function syncBackwardBlocking(
  bn: BatchNorm, group: Group, dy: Values, options: unknown = {},
): unknown {
  checkGroup('syncBackwardBlocking', group);
  return exchangeBlocking(group, backwardCall(bn, group, dy, options));
}

function backwardCall(bn: BatchNorm, group: Group, dy: Values, options: unknown): Call<Gradients<Values>> {
  const asked = (Object(options) as SyncBackwardOptions<Values>).context ?? (bn instanceof BatchNorm ? bn.context : null);
  const origin = asked === null ? undefined : originOf(asked);
  return prepared({ operation: 'backward', layer: origin?.layer }, () => {
    if (!(bn instanceof BatchNorm)) throw wrongKind('bn', 'a BatchNorm', bn);
    checkOptions('syncBackward', options, OPTIONS);
    const { out, parameters = 'whole' } = options as SyncBackwardOptions<Values>;
    if (parameters !== false) checkOneOf('parameters', parameters, ['whole', 'part']);
    // backwardSums refuses what is no context of this layer, with the message of backward.
    const context = asked!, sums = bn.backwardSums(dy, { context });
    if (context.mode === 'batch' && origin?.group !== group) {
      throw wrongKind('context', 'that of a syncForward() with this group', context);
    }
    if (out !== undefined) {
      checkLike('out', out, 'dy', dy);
      checkApart(out, 'dy', dy, true);
      if (origin !== undefined) {
        checkApart(out, 'x', origin.x(), false);
        checkApart(out, 'y', origin.y(), false);
      }
    }
    const dx = out ?? valuesLike(bn, dy), spare = parameters === 'part' ? valuesLike(bn, dy) : null;
    const operands = { dy: lasting(bn, dy), dx: lasting(bn, dx) };
    return {
      record: encodeRecord({
        operation: 'backward', layer: origin?.layer, 'of forward': origin?.number, mode: context.mode, channels: bn.channels, parameters,
      }, [sums.total, sums.dot]),
      finish(bodies) {
        const whole = addGradientSums(...bodies.map((body) => ({ total: body.subarray(0, bn.channels), dot: body.subarray(bn.channels) })));
        const differentiate = (sums: GradientSums, dx: Values, parameters: boolean) =>
          bn.backwardWith(sums, operands.dy() as Float32Array, { context, out: dx as Float32Array, parameters });
        return bn.backwardTogether(() => {
          // dweight and dbias of this rank's values alone; before dx is written, which may be dy.
          const share = spare && differentiate(sums, spare, true);
          const gradients = differentiate(whole, operands.dx(), parameters === 'whole');
          if (share === null) return gradients;
          release(spare, share.dresidual as Values | null);
          return { ...gradients, dweight: share.dweight, dbias: share.dbias };
        }) as Gradients<Values>;
      },
      release: () => release(out === undefined ? dx : null, spare),
    };
  });
}
