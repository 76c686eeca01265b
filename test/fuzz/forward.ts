/** A forward of a scenario: what must come of it, the call, and what it is held to. */
import { type Floats, type Moments, mergeMoments, moments, type Tensor } from '../../src/index.js';
import * as tolerance from '../tolerances.js';
import { distanceOf, ofD, ofOutput, ofRunning, ofVariance } from './bounds.js';
import type { Batch } from './data.js';
import { copy, hold, holdClose, type Outcome, sameNumbers } from './laws.js';
import type { Placed } from './machine.js';
import { channelOf, statisticsOf, xhat } from './oracle.js';
import type { Forward } from './scenario.js';
import type { Plan, Subject } from './subject.js';

export function forward(subject: Subject, step: Forward, batch: Batch): Outcome {
  const { bn, layer } = subject, plan = planOf(subject, batch), parts = partsOf(subject, step, batch);
  const run = () => runParts(subject, step, parts);
  if (plan.refused !== null) return subject.refused(run, plan.refused);
  const before = { mean: copy(bn.runningMean), variance: copy(bn.runningVar), counter: bn.numBatchesTracked };
  const { results, contexts } = run();
  const y = new (layer.dtype === 'float32' ? Float32Array : Float64Array)(batch.x.length);
  parts.forEach(({ from, x, residual, out }, i) => {
    const result = results[i]!;
    hold(out === null || result === out.value, () => 'out is returned');
    y.set(subject.numbersOf(result, out), from);
    if (out !== x) hold(sameNumbers(x.read(), batch.x.subarray(from, from + x.read().length)), () => 'x is left as it is');
    if (residual && out !== residual) {
      hold(sameNumbers(residual.read(), batch.residual!.subarray(from, from + residual.read().length)), () => 'the residual is left as it is');
    }
  });
  for (const { mode, count } of contexts) {
    hold(mode === plan.mode && count === plan.count, () => `the context is of mode ${plan.mode} and ${plan.count} values`);
  }
  if (!subject.machine.tensors) {
    checkOutput(subject, plan, batch, y);
    checkRunning(subject, step, plan, before, parts.length);
  }
  subject.past.push({ step, batch, plan, contexts, weight: copy(bn.weight), y, kept: step.out !== 'x' || batch.x.length === 0 });
  return { refused: null, numbers: [y, copy(bn.runningMean), copy(bn.runningVar), [bn.numBatchesTracked]] };
}

/** A part of a batch, whole samples of it. */
interface Part {
  /** Where it begins, in elements. */
  readonly from: number;
  readonly shape: readonly number[];
  readonly x: Placed;
  readonly residual: Placed | null;
  readonly mask: Uint8Array | null;
  readonly out: Placed | null;
}

function partsOf(subject: Subject, step: Forward, { sizes: { shape, count }, x, residual, mask, open }: Batch): Part[] {
  const [n = 0, ...rest] = shape, cut = Math.ceil(n / 3), each = x.length / n, positions = count / n;
  const ranges = step.parts && n > 1 && open[0]!.length > 0 ? [[0, cut], [cut, n]] as const : [[0, n]] as const;
  return ranges.map(([start, end]): Part => {
    const [from, to] = n === 0 ? [0, 0] : [start * each, end * each], own = [end - start, ...rest];
    const placedX = subject.place(x.subarray(from, to), own, step.offset);
    const placedResidual = residual && subject.place(residual.subarray(from, to), own, step.offset);
    const given = step.out === 'given' || (step.out === 'residual' && !residual);
    const out = step.out === 'x' ? placedX : given ? subject.place(new Float64Array(to - from).fill(9), own) : step.out === 'residual' ? placedResidual : null;
    return { from, shape: own, x: placedX, residual: placedResidual, mask: mask === null ? null : mask.subarray(start * positions, end * positions), out };
  });
}

/** One forward, or those of two parts with the statistics of both, which count once. */
function runParts({ bn, machine, layer }: Subject, step: Forward, parts: readonly Part[]) {
  const whole = parts.length === 1 ? null : mergeMoments(...parts.map(({ x, shape, mask }): Moments =>
    moments(x.value as Floats, shape, { layout: layer.layout, runtime: machine.runtime, ...(mask && { mask }) })));
  const contexts: NonNullable<typeof bn.context>[] = [];
  const results = parts.map(({ x, shape, residual, mask, out }, i) => {
    const options = {
      ...(out && { out: out.value }), ...(residual && { residual: residual.value }), ...(mask && { mask }),
      updateStats: step.updateStats && i === parts.length - 1,
    };
    const result = machine.tensors
      ? whole ? bn.forwardWith(whole, x.value as Tensor, options as object) : bn.forward(x.value as Tensor, options as object)
      : whole ? bn.forwardWith(whole, x.value as Float32Array, shape, options as object) : bn.forward(x.value as Float32Array, shape, options as object);
    contexts.push(bn.context!);
    return result as Floats | Tensor;
  });
  return { results, contexts };
}

/** Which statistics normalise, or why the call is refused. */
function planOf({ bn, layer: { eps, onSingleValue, onNonFinite, renorm } }: Subject, { open }: Batch): Plan {
  const count = open[0]!.length, running = bn.frozen || (!bn.training && bn.runningMean !== null);
  let mode: Plan['mode'] = running ? 'running' : 'batch';
  if (!running && count === 1 && onSingleValue !== 'zero') {
    if (onSingleValue === 'error' || bn.runningMean === null) return { mode, count, channels: [], refused: 'a single value' };
    mode = 'running';
  }
  if (count === 0) return { mode, count, channels: open.map(() => null), refused: null };
  const channels = open.map((values, c) => {
    const { mean, variance } = mode === 'running' ? { mean: bn.runningMean![c]!, variance: bn.runningVar![c]! } : statisticsOf(values);
    if (!Number.isFinite(mean) || !Number.isFinite(variance)) return null;
    const towards = renorm && mode === 'batch' ? { ...renorm, runningMean: bn.runningMean![c]!, runningVar: bn.runningVar![c]! } : null;
    if (towards && !Number.isFinite(towards.runningMean + towards.runningVar)) return null;
    return channelOf(mean, variance, eps, towards);
  });
  const strays = mode === 'batch' && onNonFinite === 'error' && open.some((values) => !values.every(Number.isFinite));
  return { mode, count, channels, refused: strays ? 'a batch that is not finite' : null };
}

function checkOutput({ bn, layer: { dtype, activation } }: Subject, plan: Plan, { sizes, x, residual, mask }: Batch, y: Floats): void {
  const u = tolerance.U[dtype];
  sizes.places.forEach((own, c) => {
    const channel = plan.channels[c], weight = bn.weight?.[c] ?? 1, bias = bn.bias?.[c] ?? 0;
    const far = channel && plan.mode === 'batch' ? distanceOf(channel.mean, channel.variance) : 0;
    own.forEach((place, m) => {
      if (mask?.[m] === 0 || plan.count === 0) {
        hold(y[place] === 0, () => `y is 0 where masked, got ${y[place]}`);
        return;
      }
      if (!channel || !Number.isFinite(x[place])) return;
      const added = residual?.[place] ?? 0, plain = xhat(channel, x[place]!) * weight + bias + added;
      const expected = activation === 'relu' ? Math.max(plain, 0) : plain;
      const deviation = Math.abs((x[place]! - channel.mean) * channel.rstd);
      const limit = Math.abs(weight) * (channel.r * ofOutput(dtype, far, deviation, plan.count) + ofD(dtype, channel)) +
        4 * u * (Math.abs(bias) + Math.abs(added) + Math.abs(weight * channel.d));
      holdClose(() => `y of channel ${c} (mean ${channel.mean}, variance ${channel.variance}, x ${x[place]})`, y[place]!, expected, limit);
    });
  });
}

function checkRunning(
  { bn, layer: { dtype, momentum, runningVariance, onNonFinite } }: Subject, step: Forward, { mode, count, channels }: Plan,
  before: { mean: Floats | null; variance: Floats | null; counter: number }, parts: number,
): void {
  const { mean: meanBefore, variance: varianceBefore, counter } = before;
  const tracks = step.updateStats && bn.training && mode === 'batch' && count > 0 && !(onNonFinite === 'skip' && channels.includes(null));
  if (!tracks || meanBefore === null || varianceBefore === null) {
    const kept = sameNumbers(meanBefore, bn.runningMean) && sameNumbers(varianceBefore, bn.runningVar) && counter === bn.numBatchesTracked;
    hold(kept, () => 'running statistics stay where they are not to move');
    return;
  }
  hold(bn.numBatchesTracked === counter + 1, () => 'a batch is counted once');
  const factor = momentum ?? 1 / bn.numBatchesTracked, correction = runningVariance === 'unbiased' && count > 1 ? count / (count - 1) : 1;
  channels.forEach((channel, c) => {
    const oldMean = meanBefore[c]!, oldVariance = varianceBefore[c]!;
    if (!channel || !Number.isFinite(oldMean + oldVariance)) return;
    const far = distanceOf(channel.mean, channel.variance), batch = correction * channel.variance;
    const mean = (1 - factor) * oldMean + factor * channel.mean, variance = (1 - factor) * oldVariance + factor * batch;
    const meanLimit = ofRunning(dtype, factor, oldMean, mean, tolerance.mean(dtype, far) * Math.sqrt(channel.variance));
    const varianceLimit = ofRunning(dtype, factor, oldVariance, variance, ofVariance(dtype, far, parts) * batch);
    holdClose(() => `the running mean of channel ${c}`, bn.runningMean![c]!, mean, meanLimit);
    holdClose(() => `the running variance of channel ${c}`, bn.runningVar![c]!, variance, varianceLimit);
  });
}
