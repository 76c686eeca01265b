/**
 * Compile-time choices as type tags.
 *
 * `is<A, B>()` folds to a constant before code is generated, so the arm not taken is never compiled.
 * A tag is used only where a choice changes which memory is touched; a choice that changes only arithmetic is data.
 */

/** No more than the kernel's own tensors. */
export class Plain {}

/** Positions that do not count are left out. */
export class Masked {}

/** A residual besides. */
export class Residual {}

/** Through a ReLU whose sign is found again from x. */
export class Rectified {}

/** Further tensors and a mask. */
export class General {}

/** A whole vector. */
export class Whole {}

/** The elements at the end of a row, fewer than a vector. */
export class End {}

// @ts-ignore: decorator
@inline export function is<A, B>(): bool {
  return idof<A>() == idof<B>();
}
