/**
 * Compile-time choices as type tags.
 *
 * `is<A, B>()` folds to a constant before code is generated, so the arm not taken is never compiled.
 * A tag is used only where a choice changes which memory is touched; a choice that changes only arithmetic is data.
 */

/** The kernel touches no tensor beyond its own. */
export class Plain {}

/** It goes through a ReLU whose sign is found again from x. */
export class Rectified {}

/** It may touch further ones: a residual, a mask, an activation. Each is absent where its address is 0. */
export class General {}

// @ts-ignore: decorator
@inline export function is<A, B>(): bool {
  return idof<A>() == idof<B>();
}

/** base + offset, or 0 where there is no base. */
// @ts-ignore: decorator
@inline export function offsetOf(base: usize, offset: usize): usize {
  return base ? base + offset : 0;
}
