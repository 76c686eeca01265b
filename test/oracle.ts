/** Batch normalization as the paper writes it: f64 loops with compensated sums, one channel at a time. */

/** A sum with the error of every addition carried along (Neumaier 1974). */
export class CompensatedSum {
  #total = 0;
  #error = 0;

  add(value: number): void {
    const next = this.#total + value;
    this.#error += Math.abs(this.#total) >= Math.abs(value) ? this.#total - next + value : value - next + this.#total;
    this.#total = next;
  }

  get value(): number {
    return this.#total + this.#error;
  }
}

export function sum(values: readonly number[]): number {
  const total = new CompensatedSum();
  for (const value of values) total.add(value);
  return total.value;
}

export interface Channel {
  mean: number;
  variance: number;
  y: number[];
}

/** Alg. 1 on one channel; statistics may be given instead. */
export function normalise(
  x: readonly number[], weight: number, bias: number, eps: number, given?: { mean: number; variance: number },
): Channel {
  const n = x.length;
  // The mean in two steps, so that its error is one rounding even where it is large compared to the deviations.
  const first = sum(x as number[]) / n;
  const mean = given ? given.mean : first + sum(x.map((value) => value - first)) / n;
  const variance = given ? given.variance : sum(x.map((value) => (value - mean) ** 2)) / n;
  const std = Math.sqrt(variance + eps);
  return { mean, variance, y: x.map((value) => (std === 0 ? 0 : ((value - mean) / std) * weight) + bias) };
}

/** The chain rule of section 3, term by term and not simplified. */
export function differentiate(
  dy: readonly number[], x: readonly number[], weight: number, mean: number, variance: number, eps: number,
  mode: 'batch' | 'running',
): { dx: number[]; dweight: number; dbias: number } {
  const m = x.length, std = Math.sqrt(variance + eps);
  const xhat = x.map((value) => (value - mean) / std);
  const dxhat = dy.map((value) => value * weight);
  const dweight = sum(dy.map((value, i) => value * xhat[i]!));
  const dbias = sum(dy as number[]);
  if (mode === 'running') return { dx: dxhat.map((value) => value / std), dweight, dbias };
  const dvariance = sum(dxhat.map((value, i) => value * (x[i]! - mean) * -0.5 * std ** -3));
  const dmean = sum(dxhat.map((value) => -value / std)) + (dvariance * sum(x.map((value) => -2 * (value - mean)))) / m;
  const dx = dxhat.map((value, i) => value / std + (dvariance * 2 * (x[i]! - mean)) / m + dmean / m);
  return { dx, dweight, dbias };
}

/** Central differences of a loss with respect to every element of `values`, which is unchanged at the end. */
export function differences(values: Float32Array | Float64Array, loss: () => number): number[] {
  return Array.from(values as ArrayLike<number>, (value, i) => {
    const h = 1e-5;
    values[i] = value + h;
    const above = loss();
    values[i] = value - h;
    const below = loss();
    values[i] = value;
    return (above - below) / (2 * h);
  });
}
