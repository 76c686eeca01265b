/**
 * Compile-time choices as type tags.
 *
 * `is<A, B>()` folds to a constant before code is generated, so the arm not taken is never compiled.
 * A tag is used only where a choice changes which memory is touched; a choice that changes only arithmetic is data.
 */

/** The kernel reads and writes no tensor beyond its own. */
export class Plain {}

/** `affine` also reads z and adds it. */
export class Residual {}

/** `reduce` also reads y, and writes g = dy where y is above 0, else 0. */
export class Rectified {}

// @ts-ignore: decorator
@inline export function is<A, B>(): bool {
  return idof<A>() == idof<B>();
}
