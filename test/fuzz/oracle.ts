/** What a layer must do, in float64 and without any of the package: one channel at a time, as lists of numbers. */

/** A sum with the error of every addition carried along (Neumaier 1974), of a function of each index. */
function sum(n: number, term: (i: number) => number): number {
  let total = 0, error = 0;
  for (let i = 0; i < n; i++) {
    const value = term(i), next = total + value;
    error += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + error;
}

/** Mean and biased variance of the values, in two sweeps. */
export function statisticsOf(values: Float64Array): { mean: number; variance: number } {
  const n = values.length, about = values.reduce((total, value) => total + value, 0) / n;
  const mean = about + sum(n, (i) => values[i]! - about) / n;
  return { mean, variance: sum(n, (i) => (values[i]! - mean) ** 2) / n };
}

/** One channel of a forward. */
export interface Channel {
  readonly mean: number;
  readonly variance: number;
  readonly rstd: number;
  /** Of batch renormalization; 1 and 0 without. */
  readonly r: number;
  readonly d: number;
  /** By how much d changes where the mean changes by 1; 0 without. */
  readonly slopeOfD: number;
}

export function channelOf(
  mean: number, variance: number, eps: number,
  renorm: { rMax: number; dMax: number; runningMean: number; runningVar: number } | null,
): Channel {
  const std = Math.sqrt(variance + eps), rstd = std === 0 ? 0 : 1 / std;
  if (renorm === null) return { mean, variance, rstd, r: 1, d: 0, slopeOfD: 0 };
  const running = Math.sqrt(renorm.runningVar + eps), inverse = running === 0 ? 0 : 1 / running;
  const clamp = (value: number, least: number, most: number) => Math.min(Math.max(value, least), most);
  return {
    mean, variance, rstd,
    r: clamp(std * inverse, 1 / renorm.rMax, renorm.rMax),
    d: clamp((mean - renorm.runningMean) * inverse, -renorm.dMax, renorm.dMax),
    slopeOfD: renorm.dMax > 0 ? inverse : 0,
  };
}

/** xhat of a value, corrected where there is batch renormalization. */
export function xhat({ mean, rstd, r, d }: Channel, x: number): number {
  return (x - mean) * rstd * r + d;
}

/** The gradients of one channel. `scale` and `dweightScale`: the size of the terms that cancel, by which an error is measured. */
export interface ChannelGradients {
  readonly dx: Float64Array;
  readonly scale: Float64Array;
  readonly dweight: number;
  readonly dweightScale: number;
  readonly dbias: number;
  readonly dbiasScale: number;
}

/** Gradients of one channel by the chain rule. Constants: r, d, and with mode 'running' the statistics too. */
export function gradientsOf(
  channel: Channel, mode: 'batch' | 'running', x: Float64Array, g: Float64Array, weight: number,
): ChannelGradients {
  const n = x.length, { mean, rstd, r, d } = channel, slope = weight * rstd * r;
  const plain = x.map((value) => (value - mean) * rstd);
  const total = sum(n, (i) => g[i]!), dot = sum(n, (i) => g[i]! * plain[i]!);
  const absolute = sum(n, (i) => Math.abs(g[i]!)), absoluteDot = sum(n, (i) => Math.abs(g[i]! * plain[i]!));
  const dx = g.map((value, i) => {
    if (mode === 'running') return slope * value;
    return n === 1 ? 0 : slope * (value - total / n - (plain[i]! * dot) / n);
  });
  const scale = g.map((value, i) =>
    Math.abs(slope) * (Math.abs(value) + (mode === 'batch' ? (absolute + Math.abs(plain[i]!) * absoluteDot) / n : 0)));
  return {
    dx, scale, dweight: sum(n, (i) => g[i]! * xhat(channel, x[i]!)), dbias: total,
    dweightScale: absoluteDot * Math.abs(r) + absolute * (1 + Math.abs(d)), dbiasScale: absolute,
  };
}
