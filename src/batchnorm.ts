import type { BackwardOptions, ForwardOptions, Gradients, Snapshot } from './calls.js';
import { Context, type ForwardContext } from './context.js';
import { type ChannelNumbers, type ChannelRange, FIELDS, normalise, parameterGradients, renormalise } from './formulas.js';
import type { DType, Floats } from './kernels.js';
import { bytesLike, checkMask, countValid, keptFrom } from './mask.js';
import { type BatchNormOptions, checkRenorm, type RenormLimits, type Settings, settingsOf } from './options.js';
import * as passes from './passes.js';
import { Runner } from './run.js';
import { Engine, MemoryTensor, type Runtime, sharedRuntime, type Tensor } from './runtime.js';
import { checkBoolean, checkOptions, checkOverlap, checkShape, describe, geometryOf, type Layout } from './shape.js';
import { readState, type State, writeState } from './state.js';
import {
  areFinite, checkFinite, checkMoments, checkSums, type GradientSums, type Moments, takeMoments, takeRunning, updateRunning,
} from './statistics.js';
import {
  checkInput, checkOutput, checkValues, floatsIn, floatsOf, releaseOnThrow, sameMemory, type Values, valuesLike,
} from './values.js';

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

  readonly #settings: Settings;
  /** What every context's numbers start from: copying an array is the fastest way to a new one. */
  readonly #numbers: ChannelNumbers;
  #runtime: Engine | undefined;
  #runner: Runner | undefined;
  #training = true;
  #frozen = false;
  #disposed = false;
  #context: Context | null = null;
  readonly #snapshots = new WeakSet<Snapshot>();
  /** Whether the latest context is in other hands. */
  #contextSeen = false;

  /**
   * @param channels - C, a positive integer
   * @throws {TypeError | RangeError} an option of the wrong kind or value.
   */
  constructor(channels: number, options: BatchNormOptions = {}) {
    const settings = settingsOf(channels, options);
    const { runtime } = options;
    if (runtime !== undefined && !(runtime instanceof Engine)) {
      throw new TypeError(`"runtime" expected what createRuntime() returns, got ${describe(runtime)}`);
    }
    const vector = (value: number) => floatsOf(settings.dtype, channels).fill(value);
    this.#settings = settings;
    this.#numbers = new Array<number>(FIELDS * channels).fill(Number.NaN);
    this.#runtime = runtime;
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
    return this.#training;
  }

  /** Normalises with batch statistics from here on, and tracks them; `train(false)` is `eval()`. @throws {TypeError} no boolean. */
  train(mode = true): this {
    checkBoolean('mode', mode);
    this.#training = mode;
    return this;
  }

  /** Normalises with running statistics from here on; with those of the batch where none are tracked. */
  eval(): this {
    return this.train(false);
  }

  /** Whether `freeze` is in force. */
  get frozen(): boolean {
    return this.#frozen;
  }

  /** Normalises with running statistics and leaves them alone, whatever `train` says, until `unfreeze`. @throws {TypeError} without them. */
  freeze(): this {
    if (!this.runningMean) throw new TypeError('freeze() expected running statistics, got trackRunningStats false');
    this.#frozen = true;
    return this;
  }

  /** Takes back `freeze`: the mode is again what `train` or `eval` said last. */
  unfreeze(): this {
    this.#frozen = false;
    return this;
  }

  /** What computes: the one given, or the shared one. */
  get runtime(): Runtime {
    return this.#engine();
  }

  /** What follows the affine map. */
  get activation(): 'none' | 'relu' {
    return this.#settings.activation;
  }

  /** Live limits of batch renormalization: a schedule writes into them. null without. */
  get renorm(): RenormLimits | null {
    return this.#settings.renorm;
  }

  /** Context of the latest forward; hold it to run backward later or out of order. */
  get context(): ForwardContext | null {
    this.#contextSeen = true;
    return this.#context;
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
    return this.#forward(x, second, third, null);
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
    if (statistics.count === 0) throw new RangeError('"statistics" expected a count of 1 or more, got 0');
    return this.#forward(x, second, third, statistics);
  }

  /** A tensor brings its shape with it: then what comes second are the options. */
  #forward(
    x: Values | Tensor, second: unknown, third: unknown, statistics: Moments | null,
  ): Values {
    const engine = this.#engine();
    const own = x instanceof MemoryTensor;
    const shape = own ? x.shape : second, options = ((own ? second : third) ?? {}) as ForwardOptions<Values>;
    checkOptions('forward', options, ['out', 'residual', 'mask', 'updateStats']);
    const { out, residual, updateStats = true } = options;
    let { mask = null } = options;
    checkBoolean('updateStats', updateStats);
    checkShape(shape);
    const geometry = geometryOf(shape, this.layout, this.channels);
    checkValues('x', x, this.dtype, shape, engine);
    if (residual !== undefined) checkInput(residual, 'residual', 'x', x, this.dtype, shape, engine);
    if (out !== undefined) checkOutput(out, 'x', x, this.dtype, shape, engine);
    if (out !== undefined && residual !== undefined) checkOutput(out, 'residual', residual, this.dtype, shape, engine);
    if (mask !== null) {
      checkMask(mask, geometry);
      mask = keptFrom(engine, mask);
    }
    const { renorm, activation, onNonFinite } = this.#settings;
    if (renorm !== null) checkRenorm(renorm);
    const values = mask === null ? geometry.outer * geometry.inner : countValid(mask);
    const count = statistics?.count ?? values;
    const mode = this.#modeOf(count, shape);
    const given = mode === 'batch' ? statistics : null;

    const y = out ?? valuesLike(x);
    const relu = activation === 'relu';
    const corrected = renorm !== null && mode === 'batch' && count > 0;
    const replaced = count === 0 || onNonFinite === 'error' ? null : this.#replaceable();
    const numbers = replaced?.numbers ?? this.#numbers.slice();
    const kept = mask && { bytes: bytesLike(mask, replaced?.saved.mask), total: values };
    const context = new Context(numbers, {
      owner: this, mode, count, relu,
      shape: own ? shape : [...shape],
      x: sameMemory(x, y) ? null : x,
      y: relu && residual !== undefined ? y : null,
      mask: kept,
      residual: residual !== undefined,
      renorm: corrected ? { r: new Float64Array(this.channels), d: new Float64Array(this.channels) } : null,
    });
    const all = { channelStart: 0, channels: this.channels };
    const adjust = corrected ? this.#renormaliser(context) : null;
    const take = () => {
      if (mode === 'running') takeRunning(numbers, this.runningMean!, this.runningVar!);
      if (given === null) return;
      takeMoments(numbers, given);
      if (onNonFinite === 'error') checkFinite(numbers);
    };
    releaseOnThrow(out ? [] : [y], () => {
      const { weight, bias, eps } = this;
      if (values === 0) {
        // What the gradients of other parts need is there all the same.
        if (count > 0) {
          take();
          normalise(numbers, weight, bias, eps, all);
          adjust?.(all);
        }
        if (geometry.outer * geometry.inner > 0) floatsIn(y).fill(0);
        kept?.bytes.fill(0);
        return;
      }
      const tensors = residual === undefined ? [x, y] : [x, y, residual];
      const places = residual === undefined ? [0, 0] : [0, 0, 1];
      this.#runnerOf(engine).run(geometry, tensors, places, mask && { bytes: mask, total: values }, (operands, { kernels, scratch, limit, mask: inMemory }) => {
        if (kept !== null) kept.bytes.set(mask!);
        take();
        const pass = {
          // Written out, since a spread costs as much as normalising 60x100.
          kernels, scratch, geometry, limit, mask: inMemory, numbers, x: operands[0]!, y: operands[1]!, residual: operands[2] ?? null,
          weight, bias, eps, floor: relu ? 0 : Number.NEGATIVE_INFINITY, adjust,
        };
        let measured = mode === 'running' || given !== null;
        if (!measured && onNonFinite === 'error') {
          passes.measure(pass);
          measured = true;
          checkFinite(numbers);
        }
        passes.forward(pass, measured);
      });
    });
    const counts = updateStats && this.#training && mode === 'batch' && count > 0;
    this.#commit(context, counts && !(onNonFinite === 'skip' && !areFinite(numbers)));
    return y;
  }

  /** Which statistics normalise, Alg. 1 or Alg. 2. @throws {RangeError} where the batch allows none. */
  #modeOf(count: number, shape: readonly number[]): 'batch' | 'running' {
    if (this.#frozen || (!this.#training && this.runningMean)) return 'running';
    if (count !== 1) return 'batch';
    const { onSingleValue } = this.#settings;
    if (onSingleValue === 'zero') return 'batch';
    if (onSingleValue === 'running' && this.runningMean) return 'running';
    throw new RangeError(`Expected more than 1 value per channel when training, got shape [${shape.join(', ')}]`);
  }

  #renormaliser({ numbers, saved }: Context): (range: ChannelRange) => void {
    const { runningMean, runningVar, weight, eps } = this;
    const { rMax, dMax } = this.#settings.renorm!;
    return (range) => renormalise(saved.renorm!, numbers, runningMean!, runningVar!, weight, eps, rMax, dMax, range);
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
    return this.#backward(dy, options, null) as Gradients<Floats> | Gradients<Tensor>;
  }

  /**
   * The two sums over a batch that all gradients need, of one part of it: to be added up over all parts and given to
   * `backwardWith`. dweight is dot / sqrt(variance + eps), dbias is total.
   */
  backwardSums(dy: Floats | Tensor, options: { context?: ForwardContext } = {}): GradientSums {
    const engine = this.#engine();
    checkOptions('backwardSums', options, ['context']);
    const context = this.#contextOf(options.context === undefined ? this.#context : options.context);
    const sums = { total: new Float64Array(this.channels), dot: new Float64Array(this.channels) };
    this.#checkGradient(engine, dy, context);
    this.#runBackward(engine, context, dy, null, null, (pass) => { passes.sumGradients(pass, sums); });
    return sums;
  }

  /** `backward` of one part of a batch, from the sums of all parts. */
  backwardWith(sums: GradientSums, dy: Float32Array, options?: BackwardOptions<Float32Array>): Gradients<Float32Array>;
  backwardWith(sums: GradientSums, dy: Float64Array, options?: BackwardOptions<Float64Array>): Gradients<Float64Array>;
  backwardWith(sums: GradientSums, dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
  backwardWith(
    sums: GradientSums, dy: Floats | Tensor, options: BackwardOptions<never> = {},
  ): Gradients<Floats> | Gradients<Tensor> {
    checkSums(sums, this.channels);
    return this.#backward(dy, options, sums) as Gradients<Floats> | Gradients<Tensor>;
  }

  #backward(dy: Values | Tensor, options: BackwardOptions<unknown>, sums: GradientSums | null): Gradients<Values> {
    const engine = this.#engine();
    checkOptions('backward', options, ['context', 'out', 'parameters']);
    const { out, parameters = true } = options;
    checkBoolean('parameters', parameters);
    const context = this.#contextOf(options.context === undefined ? this.#context : options.context);
    this.#checkGradient(engine, dy, context);
    if (out !== undefined) this.#checkGradientOutput(engine, out, dy, context);

    const { x, residual, renorm } = context.saved;
    const dx = (out as Values | undefined) ?? valuesLike(x!);
    let dresidual: Values | null = null;
    const dweight = parameters && this.weight ? floatsOf(this.dtype, this.channels) : null;
    const dbias = parameters && this.bias ? floatsOf(this.dtype, this.channels) : null;
    const made: Values[] = out === undefined ? [dx] : [];
    releaseOnThrow(made, () => {
      if (residual) {
        dresidual = valuesLike(x!);
        made.push(dresidual);
      }
      if (sums !== null) {
        const all = { channelStart: 0, channels: this.channels };
        parameterGradients(dweight, dbias, sums.total, sums.dot, context.numbers, renorm, all);
      }
      this.#runBackward(engine, context, dy, dx, dresidual, (pass) => {
        if (sums === null) passes.backward(pass, { dweight, dbias });
        else passes.differentiate(pass, sums);
      });
    });
    return { dx, dweight, dbias, dresidual };
  }

  /** Checks dy against the forward that it differentiates. */
  #checkGradient(engine: Engine, dy: Values | Tensor, { saved }: Context): asserts dy is Values {
    checkInput(dy, 'dy', 'x', saved.x!, this.dtype, saved.shape, engine);
    checkValues('x', saved.x, this.dtype, saved.shape, engine);
    if (saved.y !== null) checkValues('y', saved.y, this.dtype, saved.shape, engine);
  }

  #checkGradientOutput(engine: Engine, out: unknown, dy: Values, { saved }: Context): void {
    const { shape } = saved;
    checkOutput(out, 'dy', dy, this.dtype, shape, engine);
    for (const [name, kept] of [['x', saved.x], ['y', saved.y]] as const) {
      if (kept === null) continue;
      if (sameMemory(out as Values, kept)) throw new RangeError(`"out" expected to be apart from ${name}, which its context still holds, got ${name}`);
      if (!(kept instanceof MemoryTensor)) checkOverlap('out', out as Floats, name, kept);
    }
  }

  /** Runs a backward pass; without dx and dresidual it is one that only sums. */
  #runBackward(
    engine: Engine, context: Context, dy: Values, dx: Values | null, dresidual: Values | null,
    use: (pass: passes.BackwardPass) => void,
  ): void {
    const { shape, mask, x, y, count } = context.saved;
    const geometry = geometryOf(shape, this.layout, this.channels);
    if (count === 0 || geometry.outer * geometry.inner === 0 || mask?.total === 0) {
      if (dx !== null) floatsIn(dx).fill(0);
      if (dresidual !== null) floatsIn(dresidual).fill(0);
      return;
    }
    const values = [x!, dy, dx ?? dy], places = [0, 1, 1];
    if (dresidual !== null) { values.push(dresidual); places.push(2); }
    if (y !== null) { values.push(y); places.push(3); }
    this.#runnerOf(engine).run(geometry, values, places, mask, (operands, { kernels, scratch, limit, mask }) => {
      use({
        kernels, scratch, geometry, limit, mask, numbers: context.numbers, saved: context.saved,
        x: operands[0]!, dy: operands[1]!, dx: operands[2]!,
        dresidual: dresidual === null ? null : operands[3]!, y: y === null ? null : operands[operands.length - 1]!,
      });
    });
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
      throw new TypeError(`"snapshot" expected one of this module's snapshot(), got ${describe(snapshot)}`);
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
    this.#disposed = true;
    this.#context = null;
  }

  /**
   * Runs an action of several forwards as one: where it throws, running statistics, counter and context are as they were.
   * For the package itself; a static block would keep bundlers from leaving the class out where it is not used.
   *
   * @internal
   */
  atomically<T>(action: () => T): T {
    const { context, runningMean, runningVar, numBatchesTracked } = this;
    const mean = runningMean?.slice(), variance = runningVar?.slice();
    try {
      return action();
    } catch (error) {
      this.#context = context as Context | null;
      this.#contextSeen = true;
      if (mean) runningMean!.set(mean);
      if (variance) runningVar!.set(variance);
      this.numBatchesTracked = numBatchesTracked;
      throw error;
    }
  }

  #engine(): Engine {
    if (this.#disposed) throw new TypeError('BatchNorm expected to be in use, got one that has been disposed');
    this.#runtime ??= sharedRuntime();
    this.#runtime.checkAlive();
    return this.#runtime;
  }

  #runnerOf(engine: Engine): Runner {
    this.#runner ??= new Runner(engine, this.dtype);
    return this.#runner;
  }

  #state(): State {
    return { weight: this.weight, bias: this.bias, running_mean: this.runningMean, running_var: this.runningVar };
  }

  #contextOf(context: ForwardContext | null): Context {
    if (context === null) throw new TypeError('backward() expected a forward() before it, got none');
    if (!(context instanceof Context) || context.saved.owner !== this) {
      throw new TypeError(`"context" expected one of this module's forward(), got ${describe(context)}`);
    }
    if (context.saved.x === null) throw new TypeError('backward() expected x to be kept, got a forward() that wrote over it');
    return context;
  }

  /**
   * The latest context where nobody has asked for it: it is about to be replaced, and its arrays may be written over. So
   * a training loop allocates nothing per channel or position (60x100: a quarter of the time when caches are cold; a mask
   * of 400,000 bytes: 4 ns each). Nothing throws once a pass has begun to write into them.
   */
  #replaceable(): Context | null {
    return this.#contextSeen ? null : this.#context;
  }

  /** The last step of a forward that went well. */
  #commit(context: Context, updateStats: boolean): void {
    this.#context = context;
    this.#contextSeen = false;
    if (!updateStats || !this.runningMean) return;
    this.numBatchesTracked++;
    const factor = this.momentum === null ? 1 / this.numBatchesTracked : this.momentum;
    const { runningVariance } = this.#settings;
    updateRunning(this.runningMean, this.runningVar!, context.numbers, factor, context.count, runningVariance);
  }
}
