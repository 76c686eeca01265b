/** Options of a module: what they mean, their defaults and their checks. */
import { CONVENTIONS, type Convention, type RunningVariance } from './conventions.js';
import type { DType } from './kernels.js';
import { MAXIMUM_BYTES, PAGE } from './memory.js';
import type { Runtime } from './runtime.js';
import { checkOneOf, checkOptions, describe, type Layout } from './shape.js';

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
  /** Where tensors live and what computes; default: one shared runtime, made on first use. */
  runtime?: Runtime;
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
}

const KEYS = [
  'dtype', 'layout', 'convention', 'eps', 'momentum', 'runningVariance', 'weight', 'bias', 'trackRunningStats', 'runtime',
];

/** @throws {TypeError | RangeError} where an option is of the wrong kind or value. */
export function settingsOf(channels: number, options: BatchNormOptions): Settings {
  if (typeof channels !== 'number') throw new TypeError(`"channels" expected a number, got ${describe(channels)}`);
  if (!Number.isSafeInteger(channels) || channels < 1) {
    throw new RangeError(`"channels" expected a positive integer, got ${channels}`);
  }
  checkOptions('BatchNorm', options, KEYS);
  checkOneOf('dtype', options.dtype, ['float32', 'float64']);
  checkOneOf('layout', options.layout, ['channels-first', 'channels-last']);
  checkOneOf('convention', options.convention, Object.keys(CONVENTIONS));
  checkOneOf('runningVariance', options.runningVariance, ['unbiased', 'biased']);
  for (const name of ['weight', 'bias', 'trackRunningStats'] as const) {
    const value = options[name];
    if (value !== undefined && typeof value !== 'boolean') {
      throw new TypeError(`"${name}" expected true or false, got ${describe(value)}`);
    }
  }
  const preset = CONVENTIONS[options.convention ?? 'torch'];
  const momentum = options.momentum === undefined ? preset.momentum : options.momentum;
  const eps = options.eps === undefined ? preset.eps : options.eps;
  checkNumber('eps', eps, 0, Number.MAX_VALUE);
  if (momentum !== null) checkNumber('momentum', momentum, 0, 1);
  return {
    dtype: options.dtype ?? 'float32',
    layout: options.layout ?? 'channels-first',
    eps,
    momentum,
    runningVariance: options.runningVariance ?? preset.runningVariance,
    weight: options.weight ?? true,
    bias: options.bias ?? true,
    trackRunningStats: options.trackRunningStats ?? true,
  };
}

/** Checks the options of `createRuntime`. */
export function checkRuntimeOptions(options: { kind?: unknown; module?: unknown; maximumBytes?: unknown }): void {
  checkOptions('createRuntime', options, ['kind', 'module', 'maximumBytes']);
  checkOneOf('kind', options.kind, ['wasm-simd', 'javascript']);
  const { module, maximumBytes } = options;
  const isBytes = ArrayBuffer.isView(module) || Object.prototype.toString.call(module).endsWith('ArrayBuffer]');
  if (module !== undefined && !isBytes && !(module instanceof WebAssembly.Module)) {
    throw new TypeError(`"module" expected a WebAssembly.Module or its bytes, got ${describe(module)}`);
  }
  if (maximumBytes !== undefined) checkNumber('maximumBytes', maximumBytes, PAGE, MAXIMUM_BYTES);
}

function checkNumber(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== 'number') throw new TypeError(`"${name}" expected a number, got ${describe(value)}`);
  if (!(value >= least && value <= most)) {
    throw new RangeError(`"${name}" expected a number from ${least} to ${most}, got ${value}`);
  }
}
