/** One call on the tensors of a tfjs backend: forward, backward and moving statistics, by the passes. */
import * as backwardPass from '../passes/backward.js';
import { type ChannelTable, column, copyRunning, FIELDS, MEAN, newTable, SLOPE, VARIANCE } from '../passes/channel-table.js';
import { parameterGradients, statisticsGradients, throughStatistics, updateRunning } from '../passes/formulas.js';
import * as forwardPass from '../passes/forward.js';
import type { CountedMask } from '../passes/mask.js';
import type { Operands } from '../passes/operands.js';
import type { Normalisation, PassMemory } from '../passes/pass.js';
import type { GradientSums } from '../passes/statistics.js';
import type { Values } from '../passes/values.js';
import type { Geometry } from '../runtime/kernels.js';
import type { Device, Source } from './devices.js';

/** One forward, and what it leaves for its backward. */
export interface Call {
  readonly geometry: Geometry;
  readonly eps: number;
  /** Whether statistics are those of the batch, or given. */
  readonly mode: 'batch' | 'running';
  /** The positions that the statistics are of; null: all. Everything is normalised. */
  readonly mask: CountedMask | null;
  /** Values per channel that the statistics are of. */
  readonly count: number;
  /** Filled by the forward: in f64, while tensors are f32. */
  readonly table: ChannelTable;
}

/** A call whose table is still to be filled. */
export function newCall(settings: Omit<Call, 'table'>): Call {
  return { ...settings, table: newTable(settings.geometry.channels) };
}

/** Per-channel tensors that enter a forward. */
export interface Parameters {
  readonly gamma: Source | null;
  readonly beta: Source | null;
  /** Given statistics; null in mode 'batch'. */
  readonly mean: Source | null;
  readonly variance: Source | null;
}

/** y from x; mean and variance of the batch into `statistics`, if given. */
export function forward(
  { workspace }: Device, call: Call, x: Source, parameters: Parameters, y: Source, statistics: readonly Source[],
): void {
  const { geometry, eps, mode, mask, count, table } = call;
  if (isEmpty(geometry)) {
    for (const out of statistics) out().fill(0);
    return;
  }
  const measured = mode === 'running' || mask !== null;
  if (mode === 'batch' && mask !== null && count > 0) {
    workspace.use(geometry, { x: x() }, mask, (memory, operands) => { forwardPass.measure(memory, operands.x, table); });
  }
  workspace.use(geometry, { x: x(), y: y(), residual: null }, null, (memory, operands) => {
    const { gamma, beta, mean, variance } = parameters;
    if (mode === 'running') copyRunning(table, mean!(), variance!());
    forwardPass.forward(memory, operands, {
      table, weight: gamma?.() ?? null, bias: beta?.() ?? null, eps, floor: Number.NEGATIVE_INFINITY, renorm: null,
    }, measured);
    const [meanOut, varianceOut] = statistics;
    if (meanOut) copyField(table, MEAN, meanOut());
    if (varianceOut) copyField(table, VARIANCE, varianceOut());
  });
}

function isEmpty({ outer, channels, inner }: Geometry): boolean {
  return outer * channels * inner === 0;
}

function copyField(table: ChannelTable, field: number, out: Float32Array): void {
  for (let c = 0; c < out.length; c++) out[c] = table[FIELDS * c + field]!;
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
  const { geometry, mode, mask } = call;
  const { channels } = geometry;
  const dweight = new Float64Array(channels), dbias = new Float64Array(channels);
  if (!isEmpty(geometry)) {
    const { dmean, dvariance } = incoming;
    const plain = mode === 'running' || (mask === null && isZero(dmean!()) && isZero(dvariance!()));
    if (plain) {
      const tensors = { x: x(), dy: incoming.dy(), dx: outgoing.dx(), dresidual: null, output: null };
      run(device, call, tensors, (memory, operands, normalisation) => {
        backwardPass.backward(memory, operands, normalisation, { dweight, dbias });
      });
    } else {
      backwardOfStatistics(device, call, x, incoming, outgoing.dx, dweight, dbias);
    }
  }
  outgoing.dgamma().set(dweight);
  outgoing.dbeta().set(dbias);
  if (mode === 'running') statisticsGradients(outgoing.dmean!(), outgoing.dvariance!(), dweight, dbias, call.table);
}

function isZero(values: Float32Array): boolean {
  return values.every((value) => value === 0);
}

function run<T extends Record<string, Values | null>>(
  { workspace }: Device, { geometry, mode, count, table }: Call, tensors: T,
  pass: (memory: PassMemory, operands: Operands<T>, normalisation: Normalisation) => void,
): void {
  const normalisation = { mode, count, table, relu: false, residual: false, renorm: null };
  workspace.use(geometry, tensors, null, (memory, operands) => { pass(memory, operands, normalisation); });
}

/**
 * dx if the statistics are of some positions only, or are used elsewhere as well: the gradient through y at fixed
 * statistics, plus the gradient through the statistics at the positions that they are of.
 *
 * dx = dy * slope + [masked in] ((x - mean) * q + r)
 */
function backwardOfStatistics(
  device: Device, call: Call, x: Source, { dy, dmean, dvariance }: Incoming, dx: Source,
  dweight: Float64Array, dbias: Float64Array,
): void {
  const { geometry, mask, count, table } = call;
  const { channels } = geometry, all = { channelStart: 0, channels };
  const sums: GradientSums = { total: new Float64Array(channels), dot: new Float64Array(channels) };
  run(device, call, { x: x(), dy: dy(), output: null }, (memory, operands, normalisation) => {
    backwardPass.sumGradients(memory, operands, normalisation, sums);
  });
  parameterGradients(dweight, dbias, sums.total, sums.dot, table, null, all);
  const q = new Float64Array(channels), r = new Float64Array(channels);
  if (count > 0) throughStatistics(q, r, dmean!(), dvariance!(), sums.total, sums.dot, table, count);
  linear(device, geometry, x, table, q, r, mask, null, dx);
  linear(device, geometry, dy, null, column(table, SLOPE), null, null, dx, dx);
}

/** out = (x - mean) * slope + intercept, plus `residual`; 0 where masked. */
function linear(
  { workspace }: Device, geometry: Geometry, x: Source, statistics: ChannelTable | null, slope: Float64Array,
  intercept: Float64Array | null, mask: CountedMask | null, residual: Source | null, out: Source,
): void {
  const table = newTable(geometry.channels);
  for (let i = 0; i < table.length; i += FIELDS) {
    table[i + MEAN] = statistics === null ? 0 : statistics[i + MEAN]!;
    table[i + VARIANCE] = 1;
  }
  workspace.use(geometry, { x: x(), y: out(), residual: residual === null ? null : residual() }, mask, (memory, operands) => {
    forwardPass.forward(memory, operands, {
      table, weight: slope, bias: intercept, eps: 0, floor: Number.NEGATIVE_INFINITY, renorm: null,
    }, true);
  });
}

/** Moving statistics after a call: `momentum` weighs the old ones, and the variance is the biased one. */
export function updateMoving(call: Call, momentum: number, mean: Float32Array, variance: Float32Array): void {
  updateRunning(mean, variance, call.table, 1 - momentum, call.count, 'biased');
}
