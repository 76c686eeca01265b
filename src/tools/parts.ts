/** Batches in parts: micro-batches that count as one batch, and ghost batches that each count as a batch. */

import { plainNumbers } from '../arrays.js';
import type { Gradients } from '../batchnorm/backward.js';
import { type BatchNorm, checkBatchNorm } from '../batchnorm/batchnorm.js';
import { Context, type ForwardContext } from '../batchnorm/context.js';
import { describe, isArray, isCount, reading, wrongKind, wrongValue } from '../checks.js';
import { listIn } from '../lists.js';
import { maskFrom } from '../passes/mask.js';
import { addGradientSums, mergeMoments } from '../passes/statistics.js';
import { floatsFrom } from '../passes/values.js';
import type { Floats } from '../runtime/kernels.js';
import { elements, geometryOf, readShape } from '../runtime/shape.js';
import { current, located } from '../runtime/views.js';
import { moments } from './moments.js';

/** A batch of inputs of a layer, or a part of one. */
export interface Batch {
  readonly x: Floats;
  readonly shape: readonly number[];
  /** [N, ...positions], 0 where a position does not count. */
  readonly mask?: Uint8Array;
}

/** A value to be read once memory may have grown, which detaches arrays that live there. */
function held<T>(value: T): () => T {
  const array = plainNumbers(value);
  if (array === undefined || array.length === 0) return () => value;
  const place = located(array as Floats);
  return () => current(place) as T;
}

/** A caller's batch, each of its fields read once, to be read once memory may have grown. */
function heldBatch(name: string, batch: unknown): () => Batch {
  if (typeof batch !== 'object' || batch === null) throw wrongKind(name, '{ x, shape }', batch);
  const { x, shape: given, mask: bytes } = reading(name, () => {
    const { x, shape, mask } = batch as Batch;
    return { x, shape, mask };
  });
  const shape = readShape(given), values = held(x), mask = held(bytes);
  return () => ({ x: values(), shape, ...(bytes && { mask: mask()! }) });
}

/** Batches one at a time, each of which may grow memory before the next one is read: those of an array are all known before. */
export function* inTurn(batches: Iterable<unknown>): Generator<Batch> {
  if (!isArray(batches)) {
    for (const batch of batches) yield heldBatch('batches', batch)();
    return;
  }
  const all = listIn('batches', batches).map((batch) => heldBatch('batches', batch));
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
  const all = arrayIn('parts', parts).map((part) => heldBatch('parts', part));
  if (all.length === 0) throw new RangeError('forwardParts() expected at least one part, got none');
  for (const part of all) {
    const { x, shape, mask } = part(), geometry = geometryOf(shape, bn.layout, bn.channels);
    floatsFrom('x', x, bn.dtype, shape);
    if (mask) maskFrom(mask, geometry);
  }
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
  const all = arrayIn('dy', dy).map((part) => held(part as Float32Array)), of = arrayIn('contexts', contexts) as readonly ForwardContext[];
  if (all.length === 0 || all.length !== of.length) {
    throw new RangeError(`backwardParts() expected as many parts as contexts, at least one, got ${all.length} and ${of.length}`);
  }
  const sums = addGradientSums(...all.map((part, i) => bn.backwardSums(part(), { context: of[i]! })));
  return bn.backwardTogether(() => {
    const gradients = all.map((part, i) => bn.backwardWith(sums, part(), { context: of[i]! }) as Gradients<Floats>);
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
  const dimensions = readShape(shape);
  geometryOf(dimensions, bn.layout, bn.channels);
  const input = floatsFrom('x', x, bn.dtype, dimensions);
  if (!isCount(size) || size < 1) throw wrongValue('size', 'a positive integer', describe(size));
  const [n = 0, ...rest] = dimensions;
  const sample = elements(rest);
  const y = input.slice(), values = located(input), contexts: ForwardContext[] = [];
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
  const of = arrayIn('contexts', contexts).map((context) => {
    if (Context.is(context)) return context;
    throw wrongKind('contexts', 'those of forwardGhost()', context);
  });
  if (of.length === 0) throw new RangeError('backwardGhost() expected at least one context, got none');
  const sizes = of.map(({ saved }) => elements(saved.shape));
  const given = floatsFrom('dy', dy, bn.dtype, [sizes.reduce((total, size) => total + size, 0)]);
  const dx = given.slice(), incoming = located(given);
  return bn.backwardTogether(() => {
    let dweight: Floats | null = null, dbias: Floats | null = null, start = 0;
    of.forEach((context, i) => {
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

/** What a caller's array holds. */
function arrayIn(name: string, value: unknown): unknown[] {
  if (!isArray(value)) throw wrongKind(name, 'an array', value);
  return listIn(name, value);
}
