/**
 * Products of row-major matrices, for layers of about a hundred units. Outputs come first.
 *
 * Four terms at a time: V8 does not vectorise, so fewer loads and stores help, and so do sums that do not depend on each
 * other.
 */

/** out [n, m] = a [n, k] b [k, m] */
export function multiply(out: Float32Array, a: Float32Array, b: Float32Array, n: number, k: number, m: number): void {
  out.fill(0, 0, n * m);
  for (let row = 0; row < n; row++) addCombination(out, row * m, m, 1, a, row * k, 1, b, k);
}

/** w [k, m] += factor * transposed(a [n, k]) g [n, m] */
export function addOuter(w: Float32Array, factor: number, a: Float32Array, g: Float32Array, n: number, k: number, m: number): void {
  for (let i = 0; i < k; i++) addCombination(w, i * m, m, factor, a, i, k, g, n);
}

/** out [n, k] = a [n, m] transposed(b [k, m]) */
export function multiplyTransposed(out: Float32Array, a: Float32Array, b: Float32Array, n: number, m: number, k: number): void {
  for (let row = 0; row < n; row++) {
    const from = row * m, to = row * k;
    let i = 0;
    for (; i + 3 < k; i += 4) {
      const b0 = i * m, b1 = b0 + m, b2 = b1 + m, b3 = b2 + m;
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let j = 0; j < m; j++) {
        const value = a[from + j]!;
        s0 += value * b[b0 + j]!;
        s1 += value * b[b1 + j]!;
        s2 += value * b[b2 + j]!;
        s3 += value * b[b3 + j]!;
      }
      out[to + i] = s0;
      out[to + i + 1] = s1;
      out[to + i + 2] = s2;
      out[to + i + 3] = s3;
    }
    for (; i < k; i++) {
      let sum = 0;
      for (let j = 0; j < m; j++) sum += a[from + j]! * b[i * m + j]!;
      out[to + i] = sum;
    }
  }
}

/** sums [m] += factor * the sum of the rows of g [n, m] */
export function addRows(sums: Float32Array, factor: number, g: Float32Array, n: number, m: number): void {
  for (let row = 0; row < n; row++) {
    for (let j = 0; j < m; j++) sums[j]! += factor * g[row * m + j]!;
  }
}

/** Adds to the m values of out from `to` on: factor * the sum of the rows of b [count, m], each times its value of a. */
function addCombination(
  out: Float32Array, to: number, m: number, factor: number,
  a: Float32Array, from: number, step: number, b: Float32Array, count: number,
): void {
  let i = 0;
  for (; i + 3 < count; i += 4) {
    const at = from + i * step, b0 = i * m, b1 = b0 + m, b2 = b1 + m, b3 = b2 + m;
    const a0 = factor * a[at]!, a1 = factor * a[at + step]!, a2 = factor * a[at + 2 * step]!, a3 = factor * a[at + 3 * step]!;
    for (let j = 0; j < m; j++) out[to + j]! += a0 * b[b0 + j]! + a1 * b[b1 + j]! + a2 * b[b2 + j]! + a3 * b[b3 + j]!;
  }
  for (; i < count; i++) {
    const a0 = factor * a[from + i * step]!;
    for (let j = 0; j < m; j++) out[to + j]! += a0 * b[i * m + j]!;
  }
}
