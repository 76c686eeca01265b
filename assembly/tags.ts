/**
 * Compile-time choices as type tags.
 *
 * `is<A, B>()` folds to a constant before code is generated, so the branch not taken is never compiled.
 * A tag is used only where a choice changes which memory is touched; a choice that changes only arithmetic is a number. The exception
 * is the floor, since planes without one are walked in 0.87 of the time.
 */

/** Only the kernel's own tensors. */
export class Plain {}

/** With a mask: positions that do not count are left out. */
export class Masked {}

/** With a residual. */
export class Residual {}

/** Through a ReLU, the sign of whose input is recomputed from x. */
export class Rectified {}

/** With further tensors: the output of a ReLU to read, the gradient of its input to write, or both. */
export class General {}

/** With a least value of the output, which may be -Infinity. */
export class Floored {}

/** A whole vector. */
export class Whole {}

/** The elements at the end of a row, fewer than a vector holds. */
export class End {}

// @ts-ignore: decorator
@inline export function is<A, B>(): bool {
  return idof<A>() == idof<B>();
}
