import { backward, backwardSums } from './backward.js';
import type { BackwardOptions, ForwardOptions, Gradients, Snapshot } from './calls.js';
import { checkBoolean, describe, wrongKind, wrongValue } from './checks.js';
import type { Context, ForwardContext } from './context.js';
import { checkRuntime, type Runtime, type Tensor } from './engine.js';
import { forward } from './forward.js';
import type { DType, Floats } from './kernels.js';
import { Internals } from './module.js';
import { type BatchNormOptions, type RenormLimits, settingsOf } from './options.js';
import type { Layout } from './shape.js';
import { readState, type State, writeState } from './state.js';
import { checkMoments, checkSums, type GradientSums, type Moments } from './statistics.js';
import { floatsOf } from './values.js';

/** @throws {TypeError} anything but a BatchNorm. */
export function checkModule(name: string, bn: unknown): asserts bn is BatchNorm {
  if (!(bn instanceof BatchNorm)) throw new TypeError(`${name}() expected a BatchNorm, got ${describe(bn)}`);
}

/**
 * Batch normalization over [N, C, ...] or [N, ..., C] with train and eval modes, running statistics and backward.
 *
 * y = (x - mean) / sqrt(variance + eps) * weight + bias, per channel. Training takes mean and biased variance of the
 * batch and moves the running statistics towards them; eval takes the running statistics.
 * Ioffe & Szegedy 2015, arXiv 1502.03167, Alg. 1 and 2.
 */
export class BatchNorm {
  /** C. */
  readonly channels: number;
  /** Added to the variance inside the square root. */
  readonly eps: number;
  /** Weight of the new batch in the running statistics; null: cumulative average. */
  readonly momentum: number | null;
  /** Where the channel axis of a shape is. */
  readonly layout: Layout;
  /** Element type of x, y and the parameters. */
  readonly dtype: DType;

  /** [C], starts at 1; null without weight. Live: an optimiser writes into it in place. */
  readonly weight: Floats | null;
  /** [C], starts at 0; null without bias. Live. */
  readonly bias: Floats | null;
  /** [C], starts at 0; null where running statistics are not tracked. Live. */
  readonly runningMean: Floats | null;
  /** [C], starts at 1; null where running statistics are not tracked. Live. */
  readonly runningVar: Floats | null;
  /** Batches that have entered the running statistics. */
  numBatchesTracked = 0;

  readonly #internals: Internals;
  readonly #snapshots = new WeakSet<Snapshot>();

  /**
   * @param channels - C, a positive integer
   * @throws {TypeError | RangeError} an option of the wrong kind or value.
   */
  constructor(channels: number, options: BatchNormOptions = {}) {
    const settings = settingsOf(channels, options);
    const { runtime } = options;
    checkRuntime(runtime);
    const vector = (value: number) => floatsOf(settings.dtype, channels).fill(value);
    this.#internals = new Internals(settings, runtime);
    this.channels = channels;
    this.eps = settings.eps;
    this.momentum = settings.momentum;
    this.layout = settings.layout;
    this.dtype = settings.dtype;
    this.weight = settings.weight ? vector(1) : null;
    this.bias = settings.bias ? vector(0) : null;
    this.runningMean = settings.trackRunningStats ? vector(0) : null;
    this.runningVar = settings.trackRunningStats ? vector(1) : null;
  }

  /** Whether batch statistics normalise and running ones follow them; true at first. */
  get training(): boolean {
    return this.#internals.training;
  }

  /** Normalises with batch statistics from here on, and tracks them; `train(false)` is `eval()`. @throws {TypeError} no boolean. */
  train(mode = true): this {
    checkBoolean('mode', mode);
    this.#internals.training = mode;
    return this;
  }

  /** Normalises with running statistics from here on; with those of the batch where none are tracked. */
  eval(): this {
    return this.train(false);
  }

  /** Whether `freeze` is in force. */
  get frozen(): boolean {
    return this.#internals.frozen;
  }

  /** Normalises with running statistics and leaves them alone, whatever `train` says, until `unfreeze`. @throws {TypeError} without them. */
  freeze(): this {
    if (!this.runningMean) throw new TypeError('freeze() expected running statistics, got trackRunningStats false');
    this.#internals.frozen = true;
    return this;
  }

  /** Takes back `freeze`: the mode is again what `train` or `eval` said last. */
  unfreeze(): this {
    this.#internals.frozen = false;
    return this;
  }

  /** What computes: the one given, or the shared one. */
  get runtime(): Runtime {
    return this.#internals.engine();
  }

  /** What follows the affine map. */
  get activation(): 'none' | 'relu' {
    return this.#internals.settings.activation;
  }

  /** Live limits of batch renormalization: a schedule writes into them. null without. */
  get renorm(): RenormLimits | null {
    return this.#internals.settings.renorm;
  }

  /** Context of the latest forward; hold it to run backward later or out of order. */
  get context(): ForwardContext | null {
    this.#internals.replaceable = null;
    return this.#internals.context;
  }

  /**
   * Normalises x. Typed array in, typed array out; Tensor in, Tensor out.
   *
   * @param x - [N, C, ...] or [N, ..., C], row-major. Kept by reference for backward: leave its values alone until then.
   * @param shape - of a typed array; rank 2 or more. A batch without values gives an empty y and changes nothing.
   * @returns a new array, or `out`
   * @throws {TypeError} x or out of another kind or dtype than the module's; a disposed tensor.
   * @throws {RangeError} a length or shape that does not fit; one value per channel in training; out of memory.
   */
  forward(x: Float32Array, shape: readonly number[], options?: ForwardOptions<Float32Array>): Float32Array;
  forward(x: Float64Array, shape: readonly number[], options?: ForwardOptions<Float64Array>): Float64Array;
  forward(x: Tensor, options?: ForwardOptions<Tensor>): Tensor;
  forward(
    x: Floats | Tensor, second?: readonly number[] | ForwardOptions<Tensor>, third?: ForwardOptions<never>,
  ): Floats | Tensor {
    return forward(this, this.#internals, x, second, third, null);
  }

  /**
   * `forward` with batch statistics that are given, those of a larger batch of which x is a part. They enter the
   * running statistics like a batch's own (`updateStats: false` leaves these alone): once for the whole batch. Where
   * `forward` would not take batch statistics, in eval or frozen, neither does this.
   *
   * @param statistics - from `moments`, and `mergeMoments` over the parts
   * @throws {TypeError | RangeError} as `forward`; statistics of another number of channels or of no values.
   */
  forwardWith(
    statistics: Moments, x: Float32Array, shape: readonly number[], options?: ForwardOptions<Float32Array>,
  ): Float32Array;
  forwardWith(
    statistics: Moments, x: Float64Array, shape: readonly number[], options?: ForwardOptions<Float64Array>,
  ): Float64Array;
  forwardWith(statistics: Moments, x: Tensor, options?: ForwardOptions<Tensor>): Tensor;
  forwardWith(
    statistics: Moments, x: Floats | Tensor, second?: readonly number[] | ForwardOptions<Tensor>,
    third?: ForwardOptions<never>,
  ): Floats | Tensor {
    checkMoments('statistics', statistics, this.channels);
    if (statistics.count === 0) throw wrongValue('statistics', 'a count of 1 or more', '0');
    return forward(this, this.#internals, x, second, third, statistics);
  }

  /**
   * The gradients of the loss by x, weight and bias, from its gradient by y. Alg. 1 differentiated, section 3; a forward
   * of mode 'running' is differentiated with its statistics as constants.
   *
   * @param dy - of the kind, shape and dtype of that forward's x
   * @returns new arrays each time; dx is `out` where given. Parameter gradients are not accumulated.
   * @throws {TypeError} no forward before; a context of another module, or of a forward that wrote over its x;
   *   dy or out of another kind or dtype. @throws {RangeError} another length or shape; out of memory.
   */
  backward(dy: Float32Array, options?: BackwardOptions<Float32Array>): Gradients<Float32Array>;
  backward(dy: Float64Array, options?: BackwardOptions<Float64Array>): Gradients<Float64Array>;
  backward(dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
  backward(dy: Floats | Tensor, options: BackwardOptions<never> = {}): Gradients<Floats> | Gradients<Tensor> {
    return backward(this, this.#internals, dy, options, null) as Gradients<Floats> | Gradients<Tensor>;
  }

  /**
   * The two sums over a batch that all gradients need, of one part of it: to be added up over all parts and given to
   * `backwardWith`. dweight is dot / sqrt(variance + eps), dbias is total.
   */
  backwardSums(dy: Floats | Tensor, options: { context?: ForwardContext } = {}): GradientSums {
    return backwardSums(this, this.#internals, dy, options);
  }

  /** `backward` of one part of a batch, from the sums of all parts. */
  backwardWith(sums: GradientSums, dy: Float32Array, options?: BackwardOptions<Float32Array>): Gradients<Float32Array>;
  backwardWith(sums: GradientSums, dy: Float64Array, options?: BackwardOptions<Float64Array>): Gradients<Float64Array>;
  backwardWith(sums: GradientSums, dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
  backwardWith(
    sums: GradientSums, dy: Floats | Tensor, options: BackwardOptions<never> = {},
  ): Gradients<Floats> | Gradients<Tensor> {
    checkSums(sums, this.channels);
    return backward(this, this.#internals, dy, options, sums) as Gradients<Floats> | Gradients<Tensor>;
  }

  /** Copies under torch's names: weight, bias, running_mean, running_var, num_batches_tracked, as far as they exist. */
  stateDict(): Record<string, Floats | number> {
    return writeState(this.#state(), this.numBatchesTracked);
  }

  /**
   * Takes over a state dictionary, all or nothing. Values are copied; num_batches_tracked may be missing (then 0), a
   * bigint, or an array of one.
   *
   * @throws {TypeError} a name missing or unknown, or a value of the wrong kind.
   * @throws {RangeError} another length, a negative variance.
   */
  loadStateDict(state: Record<string, ArrayLike<number> | number | bigint>): this {
    this.numBatchesTracked = readState(this.#state(), state, this.dtype);
    return this;
  }

  /** A copy of running statistics and counter: a batch that is run again or thrown away need not count. */
  snapshot(): Snapshot {
    const { runningMean, runningVar, numBatchesTracked } = this;
    const snapshot: Snapshot = {
      runningMean: runningMean && (runningMean.slice() as Floats),
      runningVar: runningVar && (runningVar.slice() as Floats),
      numBatchesTracked,
    };
    this.#snapshots.add(snapshot);
    return snapshot;
  }

  /** Running statistics and counter as they were. @throws {TypeError} anything but a snapshot of this module. */
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

  /** Lets go of the latest context, and with it of x. All that computes throws a TypeError from then on. */
  dispose(): void {
    this.#internals.dispose();
  }

  /**
   * Runs an action of several forwards as one: where it throws, running statistics, counter and context are as they were.
   * For the package itself; a static block would keep bundlers from leaving the class out where it is not used.
   *
   * @internal
   */
  atomically<T>(action: () => T): T {
    // Asking for the context keeps the forwards of the action from writing into its arrays.
    const { context } = this, before = this.snapshot();
    try {
      return action();
    } catch (error) {
      this.#internals.context = context as Context | null;
      this.#internals.replaceable = null;
      this.restore(before);
      throw error;
    }
  }

  #state(): State {
    return { weight: this.weight, bias: this.bias, running_mean: this.runningMean, running_var: this.runningVar };
  }
}
