/**
 * How many rows a channels-last kernel takes per step, from the size of the tensor alone.
 *
 * Several rows at once save loads and stores of the per-channel numbers, but when the tensor streams from DRAM
 * several streams a few hundred bytes apart defeat the prefetcher (measured: two to three times slower).
 * The bounds are those of measurement on Zen 4, see bench/NOTES.md.
 */

const MIB: usize = 1 << 20;

/** Four rows at a time in a reduction (moments, reduce)? */
// @ts-ignore: decorator
@inline export function fourRows(bytes: usize, row: usize): bool {
  return bytes <= 8 * MIB || row <= 256 || row >= 4096;
}

/** Two rows at a time in an elementwise kernel (affine, gradient)? */
// @ts-ignore: decorator
@inline export function twoRows(bytes: usize, row: usize): bool {
  return bytes <= 16 * MIB || row <= 256;
}

/**
 * Rows that one call of an inner walk takes: some 64 KiB of them. V8 does not replace code that runs, so a first call
 * stays slow up to the end of the walk it is in; more calls than these cost time on narrow rows.
 */
// @ts-ignore: decorator
@inline export function rowsPerBlock(step: usize): i32 {
  return max(<i32>((64 << 10) / step), 1) << 1;
}
