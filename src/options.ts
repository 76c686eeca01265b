/** Options of a module: what they mean, their defaults and their checks. */
import { checkBoolean, checkInteger, checkNumber, checkOneOf, checkOptions, wrongKind, wrongValue } from './checks.js';
import { CONVENTIONS, type Convention, type RunningVariance } from './conventions.js';
import type { DType } from './kernels.js';
import { MAXIMUM_BYTES, PAGE } from './memory.js';
import type { Runtime } from './runtime.js';
import type { Layout } from './shape.js';

/** Options of {@link BatchNorm}. */
export interface BatchNormOptions {
  /** Element type of x, y and the parameters; default 'float32'. Statistics are computed in f64 either way. */
  dtype?: DType;
  /** Default 'channels-first'. */
  layout?: Layout;
  /** Whose defaults `eps`, `momentum` and `runningVariance` take; default 'torch'. A field given explicitly wins. */
  convention?: Convention;
  /** Added to the variance inside the square root; finite, at least 0. torch: 1e-5. */
  eps?: number;
  /** Weight of the new batch in the running statistics, in [0, 1]; null: cumulative average. torch: 0.1. */
  momentum?: number | null;
  /** Variance that enters the running statistics; the normalisation itself takes the biased one. torch: 'unbiased'. */
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
   * A training batch of one value a channel. 'error' (default) refuses it; 'running' normalises it as eval would and
   * leaves the running statistics alone; 'zero' takes its variance as 0, so that y is the bias and dx is 0.
   */
  onSingleValue?: 'error' | 'running' | 'zero';
  /**
   * A training batch with a mean or variance that is not finite. 'propagate' (default) treats it like any other; 'skip'
   * computes y but leaves running statistics and counter alone; 'error' throws a RangeError before anything changes.
   */
  onNonFinite?: 'propagate' | 'skip' | 'error';
  /** Batch renormalization in training (Ioffe 2017): bounds of its corrections r and d. Read at every forward. */
  renorm?: RenormLimits;
  /** Where tensors live and what computes; default: one shared runtime, made on first use. */
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
  readonly momentum: number | null;
  readonly runningVariance: RunningVariance;
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
];

/** @throws {TypeError | RangeError} where an option is of the wrong kind or value. */
export function settingsOf(channels: number, options: BatchNormOptions): Settings {
  checkInteger('channels', channels, 1);
  checkOptions('BatchNorm', options, KEYS);
  const {
    dtype = 'float32', layout = 'channels-first', convention = 'torch', weight = true, bias = true, trackRunningStats = true,
    activation = 'none', onSingleValue = 'error', onNonFinite = 'propagate', renorm,
  } = options;
  checkOneOf('dtype', dtype, ['float32', 'float64']);
  checkOneOf('layout', layout, ['channels-first', 'channels-last']);
  checkOneOf('convention', convention, Object.keys(CONVENTIONS));
  const preset = CONVENTIONS[convention];
  const { eps = preset.eps, momentum = preset.momentum, runningVariance = preset.runningVariance } = options;
  checkOneOf('runningVariance', runningVariance, ['unbiased', 'biased']);
  checkOneOf('activation', activation, ['none', 'relu']);
  checkOneOf('onSingleValue', onSingleValue, ['error', 'running', 'zero']);
  checkOneOf('onNonFinite', onNonFinite, ['propagate', 'skip', 'error']);
  checkBoolean('weight', weight);
  checkBoolean('bias', bias);
  checkBoolean('trackRunningStats', trackRunningStats);
  if (renorm !== undefined) {
    checkRenorm(renorm);
    if (!trackRunningStats) throw wrongValue('renorm', 'running statistics to correct towards', 'trackRunningStats false');
  }
  checkNumber('eps', eps);
  if (momentum !== null) checkNumber('momentum', momentum, 0, 1);
  return {
    dtype, layout, eps, momentum, runningVariance, weight, bias, trackRunningStats, activation, onSingleValue, onNonFinite, renorm: renorm ?? null,
  };
}

/** @throws {TypeError | RangeError} where limits of batch renormalization are of the wrong kind or value. */
export function checkRenorm(limits: RenormLimits): void {
  checkOptions('renorm', limits, ['rMax', 'dMax']);
  checkNumber('rMax', limits.rMax, 1);
  checkNumber('dMax', limits.dMax);
}

/** Checks the options of `createRuntime`. */
export function checkRuntimeOptions(options: { kind?: unknown; module?: unknown; maximumBytes?: unknown }): void {
  checkOptions('createRuntime', options, ['kind', 'module', 'maximumBytes']);
  checkOneOf('kind', options.kind, ['wasm-simd', 'javascript']);
  const { module, maximumBytes } = options;
  if (module !== undefined && !ArrayBuffer.isView(module) && !/(ArrayBuffer|WebAssembly\.Module)\]$/.test(Object.prototype.toString.call(module))) {
    throw wrongKind('module', 'a WebAssembly.Module or its bytes', module);
  }
  if (maximumBytes !== undefined) checkNumber('maximumBytes', maximumBytes, PAGE, MAXIMUM_BYTES);
}
