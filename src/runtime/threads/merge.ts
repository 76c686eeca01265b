/** Partial sums of slices become those of the whole, always in the order of slices. Addresses and rows count f64 numbers. */

/**
 * Adds up the two sums per channel of all slices, or merges mean and m2 (Chan, Golub & LeVeque 1983, eq. 1.6 and 1.7, where slices are the
 * values): about the first mean, then about the mean that results, less what that has been rounded by. Slice i has the first of its channels
 * at `at + 2 * row * i` and the second a row further on.
 *
 * @param counts - for moments: values per channel of each slice, at least 1; null: sums
 */
export function merge(
  numbers: Float64Array, first: number, second: number, at: number, row: number, channels: number, slices: number, counts: readonly number[] | null,
): void {
  const weights = counts ?? [], n = weights.reduce((sum, count) => sum + count, 0), shares = weights.map((count) => count / n);
  for (let c = 0; c < channels; c++) {
    const start = at + c, end = start + 2 * row * slices, from = counts === null ? 0 : numbers[start]!;
    let a = 0, b = 0, rest = 0;
    for (let p = start, i = 0; p < end; p += 2 * row, i++) {
      a += counts === null ? numbers[p]! : (numbers[p]! - from) * shares[i]!;
      b += numbers[p + row]!;
    }
    a += from;
    for (let i = 0; i < weights.length; i++) {
      const delta = numbers[start + 2 * row * i]! - a, weighted = weights[i]! * delta;
      b += weighted * delta;
      rest += weighted;
    }
    numbers[first + c] = a;
    numbers[second + c] = counts === null ? b : b - rest * rest / n;
  }
}

/** Positions that a packed mask lets pass: [outer, inner], one bit of a byte's upper half for each of `lanes` positions that it masks. */
export function countOpen(bytes: DataView, mask: number, outer: number, inner: number, pitch: number, lanes: number): number {
  const vectors = Math.ceil(inner / lanes), dense = pitch === vectors;
  const rows = dense ? 1 : outer, length = dense ? outer * vectors : vectors;
  let open = outer * inner;
  for (let row = 0; row < rows; row++) {
    let at = mask + row * pitch;
    const end = at + length;
    for (; at + 4 <= end; at += 4) open -= ones(bytes.getInt32(at));
    for (; at < end; at++) open -= ones(bytes.getUint8(at));
  }
  return open;
}

/** Ones of 32 bits: in pairs, in fours, in bytes, and a product adds up the bytes. */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555), fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
