/** Forward, backward and moving statistics on the tensors of a tfjs backend. */
import { type ChannelNumbers, FIELDS, MEAN, parameterGradients, RSTD, SLOPE, VARIANCE } from './formulas.js';
import type { Geometry } from './kernels.js';
import type { CountedMask } from './mask.js';
import * as passes from './passes.js';
import type { GradientSums } from './statistics.js';
import { takeRunning, updateRunning } from './statistics.js';
import type { Device, Source } from './tfjs-devices.js';

/** One forward, and what it leaves for its backward. */
export interface Call {
  readonly geometry: Geometry;
  readonly eps: number;
  /** Whether statistics are those of the batch, or given. */
  readonly mode: 'batch' | 'running';
  /** Which positions the statistics are of; null: all. Everything is normalised. */
  readonly mask: CountedMask | null;
  /** Values of one channel that the statistics are of. */
  readonly count: number;
  /** Filled by the forward: in f64, while tensors are f32. */
  readonly numbers: ChannelNumbers;
}

/** A call without its numbers yet. */
export function newCall(settings: Omit<Call, 'numbers'>): Call {
  return { ...settings, numbers: new Array<number>(FIELDS * settings.geometry.channels).fill(0) };
}

/** Per-channel tensors that enter a forward. */
export interface Parameters {
  readonly gamma: Source | null;
  readonly beta: Source | null;
  /** Given statistics; null in mode 'batch'. */
  readonly mean: Source | null;
  readonly variance: Source | null;
}

/** y from x; mean and variance of the batch into `statistics` where there is a place for them. */
export function forward(
  { runner }: Device, call: Call, x: Source, parameters: Parameters, y: Source, statistics: readonly Source[],
): void {
  const { geometry, eps, mode, mask, count, numbers } = call;
  if (isEmpty(geometry)) {
    for (const out of statistics) out().fill(0);
    return;
  }
  const measured = mode === 'running' || mask !== null;
  if (mode === 'batch' && mask !== null && count > 0) {
    runner.run(geometry, [x()], [0], mask, ([x], surroundings) => {
      passes.measure({ ...surroundings, numbers, x: x! });
    });
  }
  runner.run(geometry, [x(), y()], [0, 0], null, (operands, surroundings) => {
    // From here on nothing grows memory, so that views may be held.
    const { gamma, beta, mean, variance } = parameters;
    if (mode === 'running') takeRunning(numbers, mean!(), variance!());
    passes.forward({
      ...surroundings, numbers, x: operands[0]!, y: operands[1]!, residual: null,
      weight: gamma?.() ?? null, bias: beta?.() ?? null, eps, floor: Number.NEGATIVE_INFINITY, adjust: null,
    }, measured);
    const [meanOut, varianceOut] = statistics;
    if (meanOut) copyField(numbers, MEAN, meanOut());
    if (varianceOut) copyField(numbers, VARIANCE, varianceOut());
  });
}

function isEmpty({ outer, channels, inner }: Geometry): boolean {
  return outer * channels * inner === 0;
}

function copyField(numbers: ChannelNumbers, field: number, out: Float32Array): void {
  for (let c = 0; c < out.length; c++) out[c] = numbers[FIELDS * c + field]!;
}

/** The gradients by y and, in mode 'batch', by the statistics that were given out. */
export interface Incoming {
  readonly dy: Source;
  readonly dmean: Source | null;
  readonly dvariance: Source | null;
}

/** Gradients by x and [channels] each by the parameters; by the statistics in mode 'running'. */
export interface Outgoing {
  readonly dx: Source;
  readonly dgamma: Source;
  readonly dbeta: Source;
  readonly dmean: Source | null;
  readonly dvariance: Source | null;
}

/** All gradients of a forward. */
export function backward(device: Device, call: Call, x: Source, incoming: Incoming, outgoing: Outgoing): void {
  const { geometry, mode, mask, numbers } = call;
  const { channels } = geometry;
  const dweight = new Float64Array(channels), dbias = new Float64Array(channels);
  if (!isEmpty(geometry)) {
    const { dmean, dvariance } = incoming;
    const plain = mode === 'running' || (mask === null && isZero(dmean!()) && isZero(dvariance!()));
    if (plain) {
      runBackward(device, call, x, incoming.dy, outgoing.dx, (pass) => { passes.backward(pass, { dweight, dbias }); });
    } else {
      backwardOfStatistics(device, call, x, incoming, outgoing.dx, dweight, dbias);
    }
  }
  outgoing.dgamma().set(dweight);
  outgoing.dbeta().set(dbias);
  if (mode === 'batch') return;
  // y = (x - mean) * slope + beta with slope = gamma / sqrt(variance + eps).
  const dmean = outgoing.dmean!(), dvariance = outgoing.dvariance!();
  for (let c = 0, i = 0; c < channels; c++, i += FIELDS) {
    const slope = numbers[i + SLOPE]!, rstd = numbers[i + RSTD]!;
    dmean[c] = -slope * dbias[c]!;
    dvariance[c] = -0.5 * slope * rstd * dweight[c]!;
  }
}

function isZero(values: Float32Array): boolean {
  return values.every((value) => value === 0);
}

function runBackward(
  { runner }: Device, call: Call, x: Source, dy: Source, dx: Source, use: (pass: passes.BackwardPass) => void,
): void {
  const { geometry, mode, count, numbers } = call;
  const saved = {
    owner: call, mode, count, shape: [], x: null, y: null, mask: null, relu: false, residual: false, renorm: null,
  };
  runner.run(geometry, [x(), dy(), dx()], [0, 1, 1], null, ([x, dy, dx], surroundings) => {
    use({ ...surroundings, numbers, saved, x: x!, dy: dy!, dx: dx!, dresidual: null, y: null });
  });
}

/**
 * dx where statistics are of some positions only, or are used elsewhere as well: what flows back through y at fixed
 * statistics, and through the statistics to the positions that they are of.
 *
 * dx = dy * slope + [masked in] ((x - mean) * q + r)
 */
function backwardOfStatistics(
  device: Device, call: Call, x: Source, { dy, dmean, dvariance }: Incoming, dx: Source,
  dweight: Float64Array, dbias: Float64Array,
): void {
  const { geometry, mask, count, numbers } = call;
  const { channels } = geometry, all = { channelStart: 0, channels };
  const sums: GradientSums = { total: new Float64Array(channels), dot: new Float64Array(channels) };
  runBackward(device, call, x, dy, dx, (pass) => { passes.sumGradients(pass, sums); });
  parameterGradients(dweight, dbias, sums.total, sums.dot, numbers, null, all);
  const q = new Float64Array(channels), r = new Float64Array(channels), slopes = new Float64Array(channels);
  const byMean = dmean!(), byVariance = dvariance!();
  for (let c = 0, i = 0; c < channels; c++, i += FIELDS) {
    const slope = numbers[i + SLOPE]!, rstd = numbers[i + RSTD]!;
    slopes[c] = slope;
    if (count === 0) continue;
    q[c] = (2 * byVariance[c]! - slope * rstd * rstd * sums.dot[c]!) / count;
    r[c] = (byMean[c]! - slope * sums.total[c]!) / count;
  }
  linear(device, geometry, x, numbers, q, r, mask, null, dx);
  linear(device, geometry, dy, null, slopes, null, null, dx, dx);
}

/** out = (x - mean) * slope + intercept, plus `residual`; 0 where masked. */
function linear(
  { runner }: Device, geometry: Geometry, x: Source, statistics: ChannelNumbers | null, slope: Float64Array,
  intercept: Float64Array | null, mask: CountedMask | null, residual: Source | null, out: Source,
): void {
  const numbers = new Array<number>(FIELDS * geometry.channels).fill(0);
  for (let i = 0; i < numbers.length; i += FIELDS) {
    numbers[i + MEAN] = statistics === null ? 0 : statistics[i + MEAN]!;
    numbers[i + VARIANCE] = 1;
  }
  const values = residual === null ? [x(), out()] : [x(), out(), residual()];
  runner.run(geometry, values, [0, 0, 1].slice(0, values.length), mask, (operands, surroundings) => {
    passes.forward({
      ...surroundings, numbers, x: operands[0]!, y: operands[1]!, residual: operands[2] ?? null,
      weight: slope, bias: intercept, eps: 0, floor: Number.NEGATIVE_INFINITY, adjust: null,
    }, true);
  });
}

/** Moving statistics after a call: `momentum` weighs the old ones, and the variance is the biased one. */
export function updateMoving(call: Call, momentum: number, mean: Float32Array, variance: Float32Array): void {
  updateRunning(mean, variance, call.numbers, 1 - momentum, call.count, 'biased');
}
