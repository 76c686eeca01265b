/**
 * Does a walk take several rows at a step?
 *
 * That saves loads and stores of the per-channel numbers. But rows of 512 to 2,048 bytes are then streams inside one
 * page, which the prefetcher loses: what comes from the L3 cache or from DRAM takes up to twice the time. From the size
 * of the tensors alone, so that results never depend on anything else; the bounds are measured, see bench/NOTES.md.
 *
 * @param bytes - that the walk reads and writes in all
 * @param row - bytes of a row
 */
// @ts-ignore: decorator
@inline export function severalRows(bytes: usize, row: usize): bool {
  return bytes <= 2 << 20 || row <= 256 || row >= 4096;
}

/**
 * Rows that one call of an inner walk takes: some 64 KiB of them. V8 does not replace code that runs, so a first call
 * stays slow up to the end of the walk it is in; more calls than these cost time on narrow rows.
 */
// @ts-ignore: decorator
@inline export function rowsPerBlock(step: usize): i32 {
  return max(<i32>(<usize>(64 << 10) / step), 1) << 1;
}
