/** Batches in parts: micro-batches that count as one batch, and ghost batches that each count as a batch. */

import type { Gradients } from '../batchnorm/backward.js';
import { type BatchNorm, checkBatchNorm } from '../batchnorm/batchnorm.js';
import { Context, type ForwardContext } from '../batchnorm/context.js';
import { describe, isCount, wrongKind, wrongValue } from '../checks.js';
import { checkMask } from '../passes/mask.js';
import { addGradientSums, mergeMoments } from '../passes/statistics.js';
import { checkFloats } from '../passes/values.js';
import type { Floats } from '../runtime/kernels.js';
import { checkShape, elements, geometryOf } from '../runtime/shape.js';
import { current, located } from '../runtime/views.js';
import { moments } from './moments.js';

/** A batch of inputs of a layer, or a part of one. */
export interface Batch {
  readonly x: Floats;
  readonly shape: readonly number[];
  /** [N, ...positions], 0 where a position does not count. */
  readonly mask?: Uint8Array;
}

/** A batch to be read once memory may have grown, which detaches arrays that live there. */
function held({ x, shape, mask }: Batch): () => Batch {
  const values = located(x), counts = located(mask);
  return () => (counts ? { x: current(values), shape, mask: current(counts)! } : { x: current(values), shape });
}

/** Batches one at a time, each of which may grow memory before the next one is read: those of an array are all known before. */
export function* inTurn(batches: Iterable<Batch>): Generator<Batch> {
  if (!Array.isArray(batches)) {
    yield* batches;
    return;
  }
  const all = batches.map((batch: Batch) => (Object(batch) === batch ? held(batch) : () => batch));
  for (const batch of all) yield batch();
}

/** The outputs of parts, and what their backward needs. */
export interface PartsForward {
  readonly y: Floats[];
  readonly contexts: ForwardContext[];
}

/** The gradients of parts; those of the parameters are over all of them. */
export interface PartsGradients {
  readonly dx: Floats[];
  readonly dweight: Floats | null;
  readonly dbias: Floats | null;
}

/**
 * A training batch in parts, normalised with the statistics of the whole: two passes over the parts, and one update of the
 * running statistics. The result is the same as for the whole batch at once, which may not fit in memory; in eval too. Parts
 * without any values give what `forward` gives for such a batch, and change nothing.
 *
 * @throws {TypeError} a part of the wrong kind. @throws {RangeError} no parts; as `forward`.
 */
export function forwardParts(bn: BatchNorm, parts: readonly Batch[]): PartsForward {
  checkBatchNorm('forwardParts', bn);
  checkArray('parts', parts);
  if (parts.length === 0) throw new RangeError('forwardParts() expected at least one part, got none');
  const all = parts.map((part) => {
    if (typeof part !== 'object' || part === null) throw wrongKind('parts', '{ x, shape }', part);
    const { x, shape, mask } = part;
    checkShape(shape);
    const geometry = geometryOf(shape, bn.layout, bn.channels);
    checkFloats('x', x, bn.dtype, shape);
    if (mask) checkMask(mask, geometry);
    return held(part);
  });
  const statistics = mergeMoments(...all.map((part) => {
    const { x, shape, mask } = part();
    return moments(x, shape, { layout: bn.layout, runtime: bn.runtime, ...(mask && { mask }) });
  }));
  return bn.atomically(() => {
    const contexts: ForwardContext[] = [];
    const y = all.map((part, i) => {
      const { x, shape, mask } = part();
      // At the end, so that renormalization corrects all parts towards the same running statistics.
      const options = { updateStats: i === all.length - 1, ...(mask && { mask }) };
      const result: Floats = statistics.count === 0
        ? bn.forward(x as Float32Array, shape, options)
        : bn.forwardWith(statistics, x as Float32Array, shape, options);
      contexts.push(bn.context!);
      return result;
    });
    return { y, contexts };
  });
}

/** The backward of `forwardParts`: dy in the same parts. @throws {TypeError | RangeError} as `backward`; other parts. */
export function backwardParts(bn: BatchNorm, dy: readonly Floats[], contexts: readonly ForwardContext[]): PartsGradients {
  checkBatchNorm('backwardParts', bn);
  checkArray('dy', dy);
  checkArray('contexts', contexts);
  if (dy.length === 0 || dy.length !== contexts.length) {
    throw new RangeError(`backwardParts() expected as many parts as contexts, at least one, got ${dy.length} and ${contexts.length}`);
  }
  const all = dy.map((part) => located(part));
  const sums = addGradientSums(...all.map((part, i) => bn.backwardSums(current(part), { context: contexts[i]! })));
  return bn.backwardTogether(() => {
    const gradients = all.map((part, i) =>
      bn.backwardWith(sums, current(part) as Float32Array, { context: contexts[i]! }) as Gradients<Floats>);
    const { dweight, dbias } = gradients[0]!;
    return { dx: gradients.map(({ dx }) => dx), dweight, dbias };
  });
}

/**
 * Ghost batches: samples `size` at a time, each such slice normalised by its own statistics (Hoffer et al. 2017). Running
 * statistics move once per slice.
 *
 * @param x - of shape [N, ...]; the last slice may be smaller
 * @returns y, and a context for each slice
 * @throws {TypeError | RangeError} as `forward`, of any slice; a size that is not a positive integer. Nothing changes then.
 */
export function forwardGhost(
  bn: BatchNorm, x: Floats, shape: readonly number[], size: number,
): { y: Floats; contexts: ForwardContext[] } {
  checkBatchNorm('forwardGhost', bn);
  checkShape(shape);
  geometryOf(shape, bn.layout, bn.channels);
  checkFloats('x', x, bn.dtype, shape);
  if (!isCount(size) || size < 1) throw wrongValue('size', 'a positive integer', describe(size));
  const [n = 0, ...rest] = shape;
  const sample = elements(rest);
  const y = x.slice() as Floats, values = located(x), contexts: ForwardContext[] = [];
  return bn.atomically(() => {
    let start = 0;
    // A batch without samples is one slice, with a context.
    do {
      const end = Math.min(start + size, n), from = start * sample, to = end * sample;
      bn.forward(current(values).subarray(from, to) as Float32Array, [end - start, ...rest], { out: y.subarray(from, to) as Float32Array });
      contexts.push(bn.context!);
      start = end;
    } while (start < n);
    return { y, contexts };
  });
}

/** The backward of `forwardGhost`. Parameter gradients are summed over the slices. @throws {TypeError | RangeError} as `backward`. */
export function backwardGhost(bn: BatchNorm, dy: Floats, contexts: readonly ForwardContext[]): Gradients<Floats> {
  checkBatchNorm('backwardGhost', bn);
  checkArray('contexts', contexts);
  if (contexts.length === 0) throw new RangeError('backwardGhost() expected at least one context, got none');
  const sizes = contexts.map((context) => {
    if (context instanceof Context) return elements(context.saved.shape);
    throw wrongKind('contexts', 'those of forwardGhost()', context);
  });
  checkFloats('dy', dy, bn.dtype, [sizes.reduce((total, size) => total + size, 0)]);
  const dx = dy.slice() as Floats, incoming = located(dy);
  return bn.backwardTogether(() => {
    let dweight: Floats | null = null, dbias: Floats | null = null, start = 0;
    contexts.forEach((context, i) => {
      const end = start + sizes[i]!;
      const slice = (array: Floats) => array.subarray(start, end) as Float32Array;
      const part: Gradients<Floats> = bn.backward(slice(current(incoming)), { context, out: slice(dx) });
      dweight = added(dweight, part.dweight);
      dbias = added(dbias, part.dbias);
      start = end;
    });
    return { dx, dweight, dbias, dresidual: null };
  });
}

function added(total: Floats | null, part: Floats | null): Floats | null {
  if (total === null || part === null) return part;
  return total.map((value, c) => value + part[c]!) as Floats;
}

function checkArray(name: string, value: unknown): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw wrongKind(name, 'an array', value);
}
