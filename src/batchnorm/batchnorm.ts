import { allocated, checkBoolean, checkInteger, describe, wrongKind, wrongValue } from '../checks.js';
import type { RunningVariance } from '../passes/formulas.js';
import { checkMoments, checkSums, type GradientSums, type Moments } from '../passes/statistics.js';
import type { Runtime, Tensor } from '../runtime/engine.js';
import type { DType, Floats, FloatsOf } from '../runtime/kernels.js';
import type { Layout } from '../runtime/shape.js';
import { type BackwardOptions, backward, backwardSums, type Gradients, type Parameter, parametersOf } from './backward.js';
import type { Context, ForwardContext } from './context.js';
import { type ForwardOptions, forward } from './forward.js';
import { LayerState } from './layer-state.js';
import { type BatchNormOptions, checkMomentum, type RenormLimits, settingsOf } from './options.js';
import { loadStateDict, stateDict } from './state-dict.js';

/** Running statistics at one time, for `restore`. */
export interface Snapshot {
  readonly runningMean: FloatsOf | null;
  readonly runningVar: FloatsOf | null;
  readonly numBatchesTracked: number;
}

/** @throws {TypeError} not a BatchNorm. */
export function checkBatchNorm(name: string, bn: unknown): asserts bn is BatchNorm {
  if (!BatchNorm.is(bn)) throw new TypeError(`${name}() expected a BatchNorm, got ${describe(bn)}`);
}

/**
 * Batch normalization over [N, C, ...] or [N, ..., C] with train and eval modes, running statistics and backward.
 *
 * y = (x - mean) / sqrt(variance + eps) * weight + bias, per channel. Training uses mean and biased variance of the
 * batch and moves the running statistics towards them; eval uses the running statistics.
 * Ioffe & Szegedy 2015, arXiv 1502.03167, Alg. 1 and 2.
 */
export class BatchNorm {
  readonly #layer: LayerState;
  readonly #snapshots = new WeakSet<Snapshot>();

  /**
   * @param channels - C, a positive integer
   * @throws {TypeError | RangeError} an option of the wrong kind or value.
   */
  constructor(channels: number, options: BatchNormOptions = {}) {
    const { settings, runtime } = settingsOf(channels, options);
    this.#layer = allocated('channels', channels, () => new LayerState(channels, settings, runtime));
  }

  /** Whether a value is a layer itself, and not a proxy of one. @internal */
  static is(value: unknown): value is BatchNorm {
    return typeof value === 'object' && value !== null && #layer in value;
  }

  /** C. */
  get channels(): number {
    return this.#layer.channels;
  }

  /** Added to the variance inside the square root. */
  get eps(): number {
    return this.#layer.settings.eps;
  }

  /** Weight of the new batch in the running statistics; null: cumulative average. */
  get momentum(): number | null {
    return this.#layer.settings.momentum;
  }

  /** A schedule may set it: it holds from the next batch on. @throws {TypeError | RangeError} neither null nor in [0, 1]. */
  set momentum(value: number | null) {
    checkMomentum(value);
    this.#layer.settings.momentum = value;
  }

  /** Where the channel axis of a shape is. */
  get layout(): Layout {
    return this.#layer.settings.layout;
  }

  /** Element type of x, y and the parameters. */
  get dtype(): DType {
    return this.#layer.settings.dtype;
  }

  /** [C], starts at 1; null without weight. Live: an optimiser writes into it in place. */
  get weight(): FloatsOf | null {
    return this.#layer.weight;
  }

  /** [C], starts at 0; null without bias. Live. */
  get bias(): FloatsOf | null {
    return this.#layer.bias;
  }

  /** [C], starts at 0; null where running statistics are not tracked. Live. */
  get runningMean(): FloatsOf | null {
    return this.#layer.runningMean;
  }

  /** [C], starts at 1; null where running statistics are not tracked. Live. */
  get runningVar(): FloatsOf | null {
    return this.#layer.runningVar;
  }

  /** Batches that have entered the running statistics. */
  get numBatchesTracked(): number {
    return this.#layer.numBatchesTracked;
  }

  /** A checkpoint may set it: cumulative averages (`momentum: null`) go on from there. @throws {TypeError | RangeError} not a count. */
  set numBatchesTracked(value: number) {
    checkInteger('numBatchesTracked', value, 0);
    this.#layer.numBatchesTracked = value;
  }

  /** Whether forward normalises with batch statistics and tracks them; true at first. */
  get training(): boolean {
    return this.#layer.training;
  }

  /** From now on, normalises with batch statistics and tracks them; `train(false)` is `eval()`. @throws {TypeError} not a boolean. */
  train(mode = true): this {
    checkBoolean('mode', mode);
    this.#layer.training = mode;
    return this;
  }

  /** From now on, normalises with running statistics, or with those of the batch where none are tracked. */
  eval(): this {
    return this.train(false);
  }

  /** Whether `freeze` is in effect. */
  get frozen(): boolean {
    return this.#layer.frozen;
  }

  /**
   * Normalises with running statistics and leaves them alone, whatever `train` says, until `unfreeze`.
   *
   * @throws {TypeError} there are none.
   */
  freeze(): this {
    if (!this.runningMean) throw new TypeError('freeze() expected running statistics, got trackRunningStats false');
    this.#layer.frozen = true;
    return this;
  }

  /** Undoes `freeze`: the mode is again the one last set by `train` or `eval`. */
  unfreeze(): this {
    this.#layer.frozen = false;
    return this;
  }

  /** The runtime that computes: the one given, or the shared one. */
  get runtime(): Runtime {
    return this.#layer.engine();
  }

  /** The activation applied last. */
  get activation(): 'none' | 'relu' {
    return this.#layer.settings.activation;
  }

  /** Which variance enters the running statistics. */
  get runningVariance(): RunningVariance {
    return this.#layer.settings.runningVariance;
  }

  /** What becomes of a training batch of one value per channel. */
  get onSingleValue(): 'error' | 'running' | 'zero' {
    return this.#layer.settings.onSingleValue;
  }

  /** What becomes of a training batch whose statistics are not finite. */
  get onNonFinite(): 'propagate' | 'skip' | 'error' {
    return this.#layer.settings.onNonFinite;
  }

  /** Live limits of batch renormalization: a schedule writes into them. null without renormalization. */
  get renorm(): RenormLimits | null {
    return this.#layer.settings.renorm;
  }

  /** Context of the latest forward; hold it to run backward later or out of order. */
  get context(): ForwardContext | null {
    this.#layer.replaceable = null;
    return this.#layer.context;
  }

  /**
   * Normalises x. Typed array in, typed array out; Tensor in, Tensor out.
   *
   * @param x - [N, C, ...] or [N, ..., C], row-major. Kept by reference for backward: leave its values alone until then.
   * @param shape - of a typed array; rank 2 or more. A batch without values gives an empty y and changes nothing.
   * @returns a new array, or `out`
   * @throws {TypeError} x or out is of another kind or dtype than the layer's, or a disposed tensor.
   * @throws {RangeError} a length or shape does not fit; one value per channel in training; out of memory.
   */
  forward<Out extends Float32Array = FloatsOf<'float32'>>(
    x: Float32Array, shape: readonly number[], options?: ForwardOptions<Float32Array, Out>,
  ): Out;
  forward<Out extends Float64Array = FloatsOf<'float64'>>(
    x: Float64Array, shape: readonly number[], options?: ForwardOptions<Float64Array, Out>,
  ): Out;
  forward(x: Tensor, options?: ForwardOptions<Tensor>): Tensor;
  forward(
    x: Floats | Tensor, shapeOrOptions?: readonly number[] | ForwardOptions<Tensor>, options?: ForwardOptions<never>,
  ): Floats | Tensor {
    return forward(this.#layer, x, shapeOrOptions, options, null);
  }

  /**
   * `forward` with given batch statistics: those of a larger batch of which x is a part. They enter the
   * running statistics like a batch's own (`updateStats: false` leaves these alone): once for the whole batch. In eval or
   * frozen they are not used, as in `forward`.
   *
   * @param statistics - from `moments`, and `mergeMoments` over the parts
   * @throws {TypeError | RangeError} as `forward`; statistics of another number of channels, or of no values.
   */
  forwardWith<Out extends Float32Array = FloatsOf<'float32'>>(
    statistics: Moments, x: Float32Array, shape: readonly number[], options?: ForwardOptions<Float32Array, Out>,
  ): Out;
  forwardWith<Out extends Float64Array = FloatsOf<'float64'>>(
    statistics: Moments, x: Float64Array, shape: readonly number[], options?: ForwardOptions<Float64Array, Out>,
  ): Out;
  forwardWith(statistics: Moments, x: Tensor, options?: ForwardOptions<Tensor>): Tensor;
  forwardWith(
    statistics: Moments, x: Floats | Tensor, shapeOrOptions?: readonly number[] | ForwardOptions<Tensor>,
    options?: ForwardOptions<never>,
  ): Floats | Tensor {
    const checked = checkMoments('statistics', statistics, this.channels);
    if (checked.count === 0) throw wrongValue('statistics', 'a count of 1 or more', '0');
    return forward(this.#layer, x, shapeOrOptions, options, checked);
  }

  /**
   * The gradients of the loss with respect to x, weight and bias, from that with respect to y. Alg. 1 differentiated, section 3; a forward
   * of mode 'running' is differentiated with its statistics as constants.
   *
   * @param dy - of the kind, shape and dtype of that forward's x
   * @returns new arrays each time; dx is `out` where given. Parameter gradients are not accumulated.
   * @throws {TypeError} there was no forward; a context of another layer, or of a forward that wrote over its x;
   *   dy or out is of another kind or dtype. @throws {RangeError} another length or shape; out of memory.
   */
  backward<Out extends Float32Array = FloatsOf<'float32'>>(dy: Float32Array, options?: BackwardOptions<Out>): Gradients<Out>;
  backward<Out extends Float64Array = FloatsOf<'float64'>>(dy: Float64Array, options?: BackwardOptions<Out>): Gradients<Out>;
  backward(dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
  backward(dy: Floats | Tensor, options: BackwardOptions<never> = {}): Gradients<Floats> | Gradients<Tensor> {
    return backward(this.#layer, dy, options, null) as Gradients<Floats> | Gradients<Tensor>;
  }

  /**
   * The two sums over a batch that all gradients need, for one part of it. Add them up over all parts and give them to
   * `backwardWith`. dweight is dot / sqrt(variance + eps), dbias is total. Section 3.
   *
   * @param dy - of the part, of the kind, shape and dtype of that forward's x
   * @param options - `context`: of which forward; default: the latest
   * @returns new arrays, [C] each
   * @throws {TypeError | RangeError} as `backward`.
   */
  backwardSums(dy: Floats | Tensor, options: { context?: ForwardContext } = {}): GradientSums {
    return backwardSums(this.#layer, dy, options);
  }

  /**
   * `backward` of one part of a batch, from the sums of all parts. dweight and dbias are those of the whole batch.
   *
   * @param sums - from `backwardSums`, and `addGradientSums` over the parts
   * @param dy - of the part, of the kind, shape and dtype of that forward's x
   * @throws {TypeError | RangeError} as `backward`; sums of the wrong kind or of another number of channels.
   */
  backwardWith<Out extends Float32Array = FloatsOf<'float32'>>(
    sums: GradientSums, dy: Float32Array, options?: BackwardOptions<Out>,
  ): Gradients<Out>;
  backwardWith<Out extends Float64Array = FloatsOf<'float64'>>(
    sums: GradientSums, dy: Float64Array, options?: BackwardOptions<Out>,
  ): Gradients<Out>;
  backwardWith(sums: GradientSums, dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
  backwardWith(
    sums: GradientSums, dy: Floats | Tensor, options: BackwardOptions<never> = {},
  ): Gradients<Floats> | Gradients<Tensor> {
    return backward(this.#layer, dy, options, checkSums(sums, this.channels)) as Gradients<Floats> | Gradients<Tensor>;
  }

  /**
   * The weight and the bias, if they exist, each with its gradient of the latest `backward` or `backwardWith`: what an
   * optimiser steps over, made once or anew for each step. Nothing is copied, and gradients are not accumulated. Those of
   * `backwardParts` and `backwardGhost` are of the whole batch. A backward that throws leaves them as they were.
   */
  parameters(): Parameter[] {
    return parametersOf(this.#layer);
  }

  /** Copies under torch's names: weight, bias, running_mean, running_var and num_batches_tracked, those that exist. */
  stateDict(): Record<string, Floats | number> {
    return stateDict(this.#layer);
  }

  /**
   * Loads a state dictionary, all or nothing. Values are copied; what JSON made of a state dictionary is read too.
   * num_batches_tracked may be a bigint or an array of one; it becomes 0 where it is missing, infinite or null.
   *
   * @throws {TypeError} a name is missing or unknown, or a value is of the wrong kind.
   * @throws {RangeError} another length, a negative variance.
   */
  loadStateDict(state: Record<string, ArrayLike<number> | ArrayLike<bigint> | number | bigint | null>): this {
    loadStateDict(this.#layer, state);
    return this;
  }

  /** A copy of running statistics and counter, for `restore`: a batch that is run twice or discarded need not count. */
  snapshot(): Snapshot {
    const { runningMean, runningVar, numBatchesTracked } = this;
    const snapshot: Snapshot = {
      runningMean: runningMean?.slice() ?? null,
      runningVar: runningVar?.slice() ?? null,
      numBatchesTracked,
    };
    this.#snapshots.add(snapshot);
    return snapshot;
  }

  /** Sets running statistics and counter back to a snapshot. @throws {TypeError} not a snapshot of this layer. */
  restore(snapshot: Snapshot): this {
    if (!this.#snapshots.has(snapshot)) {
      throw wrongKind('snapshot', "one of this module's snapshot()", snapshot);
    }
    if (snapshot.runningMean) this.runningMean!.set(snapshot.runningMean);
    if (snapshot.runningVar) this.runningVar!.set(snapshot.runningVar);
    this.numBatchesTracked = snapshot.numBatchesTracked;
    return this;
  }

  /** Running mean to 0, running variance to 1, counter to 0. */
  resetRunningStats(): this {
    this.runningMean?.fill(0);
    this.runningVar?.fill(1);
    this.numBatchesTracked = 0;
    return this;
  }

  /** Releases the latest context, and with it x. From then on everything that computes throws a TypeError. */
  dispose(): void {
    this.#layer.dispose();
  }

  /**
   * Runs several forwards as one: if the action throws, running statistics, counter and context are as they were before.
   * For the package itself. A static block would keep bundlers from dropping the class where it is not used.
   *
   * @internal
   */
  atomically<T>(action: () => T): T {
    // Reading the context keeps the forwards of the action from writing into its arrays.
    const { context } = this, before = this.snapshot();
    try {
      return action();
    } catch (error) {
      this.#layer.context = context as Context | null;
      this.#layer.replaceable = null;
      this.restore(before);
      throw error;
    }
  }

  /**
   * Runs several backwards as one: the gradients that the action returns are those of the latest backward, and if it throws,
   * these are as they were before. For the package itself.
   *
   * @internal
   */
  backwardTogether<T extends Pick<Gradients<unknown>, 'dweight' | 'dbias'>>(action: () => T): T {
    let { gradients } = this.#layer;
    try {
      const result = action();
      gradients = { weight: result.dweight, bias: result.dbias };
      return result;
    } finally {
      this.#layer.gradients = gradients;
    }
  }
}
