/**
 * Rows that one call of an inner walk takes: some 64 KiB of them. V8 does not replace code that runs, so a first call
 * stays slow up to the end of the walk it is in; more calls than these cost time on narrow rows.
 */
// @ts-ignore: decorator
@inline export function rowsPerBlock(step: usize): i32 {
  return max(<i32>(<usize>(64 << 10) / step), 1);
}
