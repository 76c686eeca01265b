/** Batches in parts: micro-batches that count as one batch, and ghost batches that each count as their own. */
import type { BatchNorm } from './batchnorm.js';
import type { Gradients } from './calls.js';
import type { ForwardContext } from './context.js';
import type { Floats } from './kernels.js';
import { moments } from './moments.js';
import { checkShape } from './shape.js';
import { addGradientSums, mergeMoments } from './statistics.js';

/** A part of a batch. */
export interface Part {
  readonly x: Floats;
  readonly shape: readonly number[];
  /** [N, ...positions], 0 where a position does not count. */
  readonly mask?: Uint8Array;
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
 * A training batch that comes in parts, normalised with the statistics of the whole: two passes over the parts, and one
 * update of the running statistics. What memory does not hold at once is the same as if it did.
 *
 * @throws {RangeError} no parts, or none with values.
 */
export function forwardParts(bn: BatchNorm, parts: readonly Part[]): PartsForward {
  if (parts.length === 0) throw new RangeError('forwardParts() expected at least one part, got none');
  const statistics = mergeMoments(
    ...parts.map(({ x, shape, mask }) => moments(x, shape, { layout: bn.layout, ...(mask && { mask }) })),
  );
  const contexts: ForwardContext[] = [];
  const y = parts.map(({ x, shape, mask }, i) => {
    const options = { updateStats: i === 0, ...(mask && { mask }) };
    const result = bn.forwardWith(statistics, x as Float32Array, shape, options);
    contexts.push(bn.context!);
    return result as Floats;
  });
  return { y, contexts };
}

/** The backward of `forwardParts`: dy in the same parts. */
export function backwardParts(bn: BatchNorm, dy: readonly Floats[], contexts: readonly ForwardContext[]): PartsGradients {
  checkParts('backwardParts', dy, contexts);
  const sums = addGradientSums(...dy.map((part, i) => bn.backwardSums(part, { context: contexts[i]! })));
  const gradients = dy.map((part, i) =>
    bn.backwardWith(sums, part as Float32Array, { context: contexts[i]! }) as Gradients<Floats>);
  const { dweight, dbias } = gradients[0]!;
  return { dx: gradients.map(({ dx }) => dx), dweight, dbias };
}

/**
 * Ghost batches: samples `size` at a time, each such slice normalised by its own statistics (Hoffer et al. 2017). Running
 * statistics move once a slice.
 *
 * @param x - of shape [N, ...]; the last slice may be smaller
 * @returns y, and a context for each slice
 * @throws {RangeError} a size that is no positive integer.
 */
export function forwardGhost(
  bn: BatchNorm, x: Floats, shape: readonly number[], size: number,
): { y: Floats; contexts: ForwardContext[] } {
  checkShape(shape);
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`"size" expected a positive integer, got ${size}`);
  const [n = 0, ...rest] = shape;
  const sample = rest.reduce((product, dimension) => product * dimension, 1);
  const y = x.slice() as Floats, contexts: ForwardContext[] = [];
  for (let start = 0; start < n; start += size) {
    const end = Math.min(start + size, n);
    const slice = (values: Floats) => values.subarray(start * sample, end * sample) as Float32Array;
    bn.forward(slice(x), [end - start, ...rest], { out: slice(y) });
    contexts.push(bn.context!);
  }
  return { y, contexts };
}

/** The backward of `forwardGhost`. Parameter gradients are summed over the slices. */
export function backwardGhost(bn: BatchNorm, dy: Floats, contexts: readonly ForwardContext[]): Gradients<Floats> {
  checkParts('backwardGhost', contexts, contexts);
  const dx = dy.slice() as Floats;
  let dweight: Floats | null = null, dbias: Floats | null = null, start = 0;
  for (const context of contexts) {
    const end = start + context.count * bn.channels;
    const slice = (values: Floats) => values.subarray(start, end) as Float32Array;
    const part: Gradients<Floats> = bn.backward(slice(dy), { context, out: slice(dx) });
    dweight = added(dweight, part.dweight);
    dbias = added(dbias, part.dbias);
    start = end;
  }
  return { dx, dweight, dbias, dresidual: null };
}

function added(total: Floats | null, part: Floats | null): Floats | null {
  if (total === null || part === null) return part;
  return total.map((value, c) => value + part[c]!) as Floats;
}

function checkParts(name: string, parts: readonly unknown[], contexts: readonly unknown[]): void {
  if (parts.length === 0 || parts.length !== contexts.length) {
    throw new RangeError(`${name}() expected as many parts as contexts, at least one, got ${parts.length} and ${contexts.length}`);
  }
}
