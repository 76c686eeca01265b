import type { Case, Operation, Side } from './cases.js';

/** What a result may be off by: y per unit of weight and dx relative to max(1, |dx|), the package's own bounds. */
const BOUND: Record<Operation, number> = { eval: 2e-6, train: 2e-6, backward: 4e-6 };

/** Runs an operation once and holds every element of its result to f64 loops with compensated sums. */
export function verify(operation: Operation, side: Side, { layout, channels, size }: Case): void {
  side.run[operation]();
  const { bn, x, dy, out } = side;
  const count = size / channels, positions = layout === 'channels-first' ? size / channels / x.shape[0]! : 1;
  const xs = x.data, dys = dy.data, results = out.data;
  let worst = 0;
  for (let c = 0; c < channels; c++) {
    const at = (m: number) =>
      layout === 'channels-first'
        ? (Math.floor(m / positions) * channels + c) * positions + (m % positions)
        : m * channels + c;
    const { mean, std } = operation === 'eval'
      ? { mean: bn.runningMean![c]!, std: Math.sqrt(bn.runningVar![c]! + bn.eps) }
      : statistics(xs, at, count, bn.eps);
    const weight = bn.weight![c]!, bias = bn.bias![c]!;
    if (operation === 'backward') {
      const total = compensated(count, (m) => dys[at(m)]!);
      const dot = compensated(count, (m) => dys[at(m)]! * ((xs[at(m)]! - mean) / std));
      for (let m = 0; m < count; m++) {
        const i = at(m), xhat = (xs[i]! - mean) / std;
        const expected = (weight / std) * (dys[i]! - total / count - (xhat * dot) / count);
        worst = Math.max(worst, Math.abs(results[i]! - expected) / Math.max(1, Math.abs(expected)));
      }
      const { dweight, dbias } = side.gradients();
      const scale = 1e-5 * Math.sqrt(count);
      if (!(Math.abs(dweight[c]! - dot) <= Math.max(scale, 1e-5 * Math.abs(dot)))) fail('dweight', dweight[c]!, dot);
      if (!(Math.abs(dbias[c]! - total) <= Math.max(scale, 1e-5 * Math.abs(total)))) fail('dbias', dbias[c]!, total);
    } else {
      for (let m = 0; m < count; m++) {
        const i = at(m), expected = ((xs[i]! - mean) / std) * weight + bias;
        const difference = Math.abs(results[i]! - expected) / Math.max(1, weight);
        // A comparison that NaN fails as well.
        if (!(difference <= worst)) worst = difference;
      }
    }
  }
  if (!(worst <= BOUND[operation])) fail(`${side.kind} ${operation}`, worst, BOUND[operation]);
}

function statistics(x: ArrayLike<number>, at: (m: number) => number, count: number, eps: number) {
  const mean = compensated(count, (m) => x[at(m)]!) / count;
  const variance = compensated(count, (m) => (x[at(m)]! - mean) ** 2) / count;
  return { mean, std: Math.sqrt(variance + eps) };
}

/** Sum with the error of every addition carried along (Neumaier 1974). */
function compensated(count: number, value: (m: number) => number): number {
  let total = 0, error = 0;
  for (let m = 0; m < count; m++) {
    const v = value(m), next = total + v;
    error += Math.abs(total) >= Math.abs(v) ? total - next + v : v - next + total;
    total = next;
  }
  return total + error;
}

function fail(what: string, got: number, expected: number): never {
  throw new Error(`verification failed: ${what} expected ${expected}, got ${got}`);
}
