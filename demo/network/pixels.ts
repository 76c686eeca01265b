/** The first layer, on binary pixels: sums of the rows of its weights that belong to pixels of 1. */
import type { Dataset } from './data.js';

/** x [rows, units] = images times weight: sums the weights [units] of the pixels that are 1, four at a time. */
export function addPixels(x: Float32Array, weight: Float32Array, units: number, { on, starts }: Dataset, rows: Uint32Array): void {
  x.fill(0, 0, rows.length * units);
  for (let i = 0; i < rows.length; i++) {
    const end = starts[rows[i]! + 1]!, to = i * units;
    let at = starts[rows[i]!]!;
    for (; at + 3 < end; at += 4) {
      const w0 = on[at]! * units, w1 = on[at + 1]! * units, w2 = on[at + 2]! * units, w3 = on[at + 3]! * units;
      for (let unit = 0; unit < units; unit++) {
        x[to + unit]! += weight[w0 + unit]! + weight[w1 + unit]! + weight[w2 + unit]! + weight[w3 + unit]!;
      }
    }
    for (; at < end; at++) {
      const from = on[at]! * units;
      for (let unit = 0; unit < units; unit++) x[to + unit]! += weight[from + unit]!;
    }
  }
}

/** weight += transposed(images) (factor * g); leaves g multiplied by factor. */
export function addToPixels(
  weight: Float32Array, factor: number, g: Float32Array, units: number, { on, starts }: Dataset, rows: Uint32Array,
): void {
  for (let i = 0; i < g.length; i++) g[i]! *= factor;
  for (let i = 0; i < rows.length; i++) {
    const end = starts[rows[i]! + 1]!;
    for (let at = starts[rows[i]!]!; at < end; at++) {
      const to = on[at]! * units, from = i * units;
      for (let unit = 0; unit < units; unit++) weight[to + unit]! += g[from + unit]!;
    }
  }
}
