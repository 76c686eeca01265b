/** Softmax and cross-entropy. */
import { CLASSES, type Dataset } from './data.js';

/** Mean of -log p of the correct digit; infinite if p underflows. */
export function crossEntropy(probabilities: Float32Array, { labels }: Dataset, rows: Uint32Array): number {
  return rows.reduce((sum, row, i) => sum - Math.log(probabilities[i * CLASSES + labels[row]!]!), 0) / rows.length;
}

/** In place, on rows of 10. */
export function softmax(logits: Float32Array, n: number): void {
  for (let row = 0; row < n; row++) {
    const values = logits.subarray(row * CLASSES, (row + 1) * CLASSES);
    const most = Math.max(...values);
    let sum = 0;
    for (let i = 0; i < CLASSES; i++) sum += values[i] = Math.exp(values[i]! - most);
    for (let i = 0; i < CLASSES; i++) values[i]! /= sum;
  }
}
