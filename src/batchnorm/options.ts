/** Options of a layer: what they mean, the defaults of each framework, and their checks. */
import { checkBoolean, checkInteger, checkNumber, checkOneOf, checkOptions, reading, wrongKind, wrongValue } from '../checks.js';
import type { RunningVariance } from '../passes/formulas.js';
import { checkRuntime, type Engine, type Runtime } from '../runtime/engine.js';
import type { DType } from '../runtime/kernels.js';
import type { Layout } from '../runtime/shape.js';

/** The framework whose defaults apply. */
export type Convention = 'torch' | 'keras' | 'onnx' | 'flax' | 'caffe' | 'paper';

/** The defaults of a framework. */
export interface Preset {
  readonly eps: number;
  /** Weight of the new batch: Keras' 0.99 is written as 0.01. null: cumulative average. */
  readonly momentum: number | null;
  readonly runningVariance: RunningVariance;
  /** Whether the running statistics are a weighted mean of the batches alone; otherwise their start, 0 and 1, fades away. */
  readonly debias?: boolean;
}

/**
 * The defaults of each framework.
 *
 * The paper (Ioffe & Szegedy 2015, Alg. 2) averages over batches, with m / (m - 1) times the batch variance;
 * it leaves eps open. Caffe has the same factor, and weighted sums instead of averages: see `weightOfBatch`.
 */
export const CONVENTIONS: Record<Convention, Preset> = {
  torch: { eps: 1e-5, momentum: 0.1, runningVariance: 'unbiased' },
  keras: { eps: 1e-3, momentum: 0.01, runningVariance: 'biased' },
  onnx: { eps: 1e-5, momentum: 0.1, runningVariance: 'biased' },
  flax: { eps: 1e-5, momentum: 0.01, runningVariance: 'biased' },
  caffe: { eps: 1e-5, momentum: 0.001, runningVariance: 'unbiased', debias: true },
  paper: { eps: 1e-5, momentum: null, runningVariance: 'unbiased' },
};

/** Options of {@link BatchNorm}. */
export interface BatchNormOptions {
  /** Element type of x, y and the parameters; default 'float32'. Statistics are computed in f64 either way. */
  dtype?: DType;
  /** Default 'channels-first'. */
  layout?: Layout;
  /**
   * The framework whose defaults apply to `eps`, `momentum` and `runningVariance`; default 'torch'. A field given explicitly
   * wins. 'caffe' also has Caffe's average: 1 / (1 + f + f^2 + ...) is the weight of the new batch, with f = 1 - momentum and
   * one term for each batch that was tracked, so that the start of the running statistics has no weight.
   */
  convention?: Convention;
  /** Added to the variance inside the square root; finite, at least 0. torch: 1e-5. */
  eps?: number;
  /** Weight of the new batch in the running statistics, in [0, 1]; null: cumulative average. torch: 0.1. */
  momentum?: number | null;
  /** Variance that enters the running statistics; the normalisation itself uses the biased one. torch: 'unbiased'. */
  runningVariance?: RunningVariance;
  /** Whether there is a weight (gamma); default true. */
  weight?: boolean;
  /** Whether there is a bias (beta); default true. */
  bias?: boolean;
  /** Whether running statistics are kept; default true. false: batch statistics in eval too. */
  trackRunningStats?: boolean;
  /** Applied last, after the residual; default 'none'. */
  activation?: 'none' | 'relu';
  /**
   * A training batch of one value per channel. 'error' (default) refuses it; 'running' normalises it as eval would and
   * leaves the running statistics alone; 'zero' treats its variance as 0, so that y is the bias and dx is 0.
   */
  onSingleValue?: 'error' | 'running' | 'zero';
  /**
   * A training batch with a mean or variance that is not finite. 'propagate' (default) treats it like any other; 'skip'
   * computes y but leaves running statistics and counter alone; 'error' throws a RangeError before anything changes.
   */
  onNonFinite?: 'propagate' | 'skip' | 'error';
  /** Batch renormalization in training (Ioffe 2017): bounds of its corrections r and d. Read at every forward. */
  renorm?: RenormLimits;
  /** The runtime that holds the tensors and computes; default: one shared runtime, made on first use. */
  runtime?: Runtime;
}

/** How far batch renormalization may correct a batch towards the running statistics: [1 / rMax, rMax], [-dMax, dMax]. */
export interface RenormLimits {
  /** At least 1; 1 with dMax 0 is plain batch normalization. */
  rMax: number;
  /** At least 0. */
  dMax: number;
}

/** Options with every default filled in. */
export interface Settings {
  readonly dtype: DType;
  readonly layout: Layout;
  readonly eps: number;
  /** May change from one batch to the next. */
  momentum: number | null;
  readonly runningVariance: RunningVariance;
  readonly debias: boolean;
  readonly weight: boolean;
  readonly bias: boolean;
  readonly trackRunningStats: boolean;
  readonly activation: 'none' | 'relu';
  readonly onSingleValue: 'error' | 'running' | 'zero';
  readonly onNonFinite: 'propagate' | 'skip' | 'error';
  readonly renorm: RenormLimits | null;
}

const KEYS = [
  'dtype', 'layout', 'convention', 'eps', 'momentum', 'runningVariance', 'weight', 'bias', 'trackRunningStats', 'runtime',
  'activation', 'onSingleValue', 'onNonFinite', 'renorm',
] as const;

/** What the options of other libraries are called here. */
const MEANT = {
  affine: '"weight" and "bias"', gamma: '"weight"', scale: '"weight"', beta: '"bias"', center: '"bias"', offset: '"bias"',
  axis: '"layout"', dataformat: '"layout"', channelslast: '"layout"', decay: '"momentum"', device: '"runtime"',
  channels: 'the first argument', features: 'the first argument', numfeatures: 'the first argument',
  training: 'train() and eval()', trainable: 'freeze()',
  runningmean: 'loadStateDict()', runningvar: 'loadStateDict()', movingmean: 'loadStateDict()', movingvariance: 'loadStateDict()',
};

/** All options, each read once. */
function optionsIn(options: BatchNormOptions): BatchNormOptions {
  return Object.fromEntries(KEYS.map((key) => [key, options[key]]));
}

/** The settings and the runtime, if one is given. @throws {TypeError | RangeError} an option is of the wrong kind or value. */
export function settingsOf(channels: number, options: BatchNormOptions): { settings: Settings; runtime: Engine | undefined } {
  checkInteger('channels', channels, 1);
  checkOptions('BatchNorm', options, KEYS, MEANT);
  const {
    dtype = 'float32', layout = 'channels-first', convention = 'torch', weight = true, bias = true, trackRunningStats = true,
    activation = 'none', onSingleValue = 'error', onNonFinite = 'propagate', renorm, runtime, ...given
  } = optionsIn(options);
  checkOneOf('dtype', dtype, ['float32', 'float64']);
  checkOneOf('layout', layout, ['channels-first', 'channels-last']);
  checkOneOf('convention', convention, Object.keys(CONVENTIONS));
  const preset = CONVENTIONS[convention];
  const { eps = preset.eps, momentum = preset.momentum, runningVariance = preset.runningVariance } = given;
  checkOneOf('runningVariance', runningVariance, ['unbiased', 'biased']);
  checkOneOf('activation', activation, ['none', 'relu']);
  checkOneOf('onSingleValue', onSingleValue, ['error', 'running', 'zero']);
  checkOneOf('onNonFinite', onNonFinite, ['propagate', 'skip', 'error']);
  checkBoolean('weight', weight);
  checkBoolean('bias', bias);
  checkBoolean('trackRunningStats', trackRunningStats);
  if (renorm !== undefined) {
    renormFrom(renorm);
    if (!trackRunningStats) throw wrongValue('renorm', 'running statistics to correct towards', 'trackRunningStats false');
  }
  checkNumber('eps', eps);
  checkMomentum(momentum);
  checkRuntime(runtime);
  return {
    settings: {
      dtype, layout, eps, momentum, runningVariance, debias: preset.debias === true, weight, bias, trackRunningStats, activation,
      onSingleValue, onNonFinite, renorm: renorm ?? null,
    },
    runtime,
  };
}

/**
 * Weight of the newest of `batches` batches in the running statistics.
 *
 * Caffe keeps the sums S = f * S + batch and s = f * s + 1, with f = moving_average_fraction = 1 - momentum, and normalises
 * with S / s (batch_norm_layer.cpp, Forward_cpu). The newest batch has the weight 1 / s in that.
 */
export function weightOfBatch({ momentum, debias }: Settings, batches: number): number {
  if (momentum === null) return 1 / batches;
  return debias ? 1 / sumOfWeights(1 - momentum, batches) : momentum;
}

/**
 * Caffe's third blob after `batches` batches: 1 + f + f^2 + ... + f^(batches - 1). By the binary digits of `batches`: products
 * and sums of positive numbers lose no digits and are the same on every engine.
 */
export function sumOfWeights(fraction: number, batches: number): number {
  let sum = 0, power = 1;
  for (const digit of batches.toString(2)) {
    sum += sum * power;
    power *= power;
    if (digit === '1') {
      sum = sum * fraction + 1;
      power *= fraction;
    }
  }
  return sum;
}

/** @throws {TypeError} neither a number nor null. @throws {RangeError} not in [0, 1]. */
export function checkMomentum(momentum: unknown): void {
  if (momentum === null) return;
  if (typeof momentum !== 'number') throw wrongKind('momentum', 'a number or null', momentum);
  checkNumber('momentum', momentum, 0, 1);
}

/** A caller's limits of batch renormalization, as they are now. @throws {TypeError | RangeError} they are of the wrong kind or value. */
export function renormFrom(limits: RenormLimits): RenormLimits {
  checkOptions('renorm', limits, ['rMax', 'dMax']);
  const { rMax, dMax } = reading('renorm', () => ({ rMax: limits.rMax, dMax: limits.dMax }));
  checkNumber('rMax', rMax, 1);
  checkNumber('dMax', dMax);
  return { rMax, dMax };
}
