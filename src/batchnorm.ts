import { Context, type ForwardContext } from './context.js';
import { type ChannelNumbers, FIELDS } from './formulas.js';
import type { DType, Floats, Geometry } from './kernels.js';
import { type BatchNormOptions, type Settings, settingsOf } from './options.js';
import * as passes from './passes.js';
import { Engine, MemoryTensor, sharedRuntime, type Tensor } from './runtime.js';
import { Scratch } from './scratch.js';
import { checkOptions, checkOverlap, checkShape, describe, geometryOf, type Layout } from './shape.js';
import { MOST_CHANNELS, type Operand } from './staging.js';
import { readState, type State, writeState } from './state.js';
import { takeRunning, updateRunning } from './statistics.js';
import { checkOutput, checkSameKind, checkValues, floatsOf, reach, type Values, valuesLike } from './values.js';

/** Options of one `forward`. */
export interface ForwardOptions<A> {
  /** Written and returned; of the shape and type of x. May be x itself where no backward will follow. */
  out?: A;
  /** Default true in training; false leaves running statistics and the counter untouched. */
  updateStats?: boolean;
}

/** Options of one `backward`. */
export interface BackwardOptions<A> {
  /** Of which forward; default: the latest. */
  context?: ForwardContext;
  /** Takes dx; of the shape and type of dy. May be dy itself. */
  out?: A;
}

/** What `backward` returns. */
export interface Gradients<A> {
  dx: A;
  /** [C]; null where there is no weight. */
  dweight: Floats | null;
  /** [C]; null where there is no bias. */
  dbias: Floats | null;
  /** null: forward had no residual. */
  dresidual: A | null;
}

/**
 * Batch normalization over [N, C, ...] or [N, ..., C] with train and eval modes, running statistics and backward.
 *
 * y = (x - mean) / sqrt(variance + eps) * weight + bias, per channel. Training takes mean and biased variance of the
 * batch and moves the running statistics towards them; eval takes the running statistics.
 * Ioffe & Szegedy 2015, arXiv 1502.03167, Alg. 1 and 2.
 */
export class BatchNorm {
  readonly channels: number;
  readonly eps: number;
  readonly momentum: number | null;
  readonly layout: Layout;
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
  #scratch: Scratch | undefined;
  #training = true;
  #disposed = false;
  #context: Context | null = null;
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

  train(mode = true): this {
    if (typeof mode !== 'boolean') throw new TypeError(`"mode" expected true or false, got ${describe(mode)}`);
    this.#training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
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
    const engine = this.#engine();
    const options: ForwardOptions<Values> = (x instanceof MemoryTensor ? (second as ForwardOptions<never>) : third) ?? {};
    checkOptions('forward', options, ['out', 'updateStats']);
    const { out, updateStats = true } = options;
    if (typeof updateStats !== 'boolean') {
      throw new TypeError(`"updateStats" expected true or false, got ${describe(updateStats)}`);
    }
    const shape = x instanceof MemoryTensor ? x.shape : second;
    checkShape(shape);
    const geometry = geometryOf(shape, this.layout, this.channels);
    checkValues('x', x, this.dtype, shape, engine);
    if (out !== undefined) checkOutput(out, 'x', x, this.dtype, shape, engine);
    const count = geometry.outer * geometry.inner;
    const mode = this.#training || !this.runningMean ? 'batch' : 'running';
    if (mode === 'batch' && count === 1) {
      throw new RangeError(`Expected more than 1 value per channel when training, got shape [${shape.join(', ')}]`);
    }

    const y = out ?? valuesLike(x);
    const numbers = count === 0 ? this.#numbers.slice() : this.#newNumbers();
    const ownShape = x instanceof MemoryTensor ? shape : [...shape];
    const context = new Context(this, mode, count, numbers, ownShape, x === y ? null : x);
    if (count > 0) {
      this.#run(engine, geometry, [x, y], [0, 0], out ? null : y, ([x, y], limit, scratch) => {
        const { weight, bias, eps } = this;
        if (mode === 'running') takeRunning(numbers, this.runningMean!, this.runningVar!);
        const kernels = engine.kernels[this.dtype];
        passes.forward({ kernels, scratch, geometry, limit, context, x, y, weight, bias, eps });
      });
    }
    this.#commit(context, updateStats && this.#training);
    return y;
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
    const engine = this.#engine();
    checkOptions('backward', options, ['context', 'out']);
    const out = options.out as unknown;
    const context = this.#contextOf(options.context === undefined ? this.#context : options.context);
    const { shape, count } = context;
    const x = context.x!;
    checkSameKind('dy', dy, 'x', x);
    checkValues('dy', dy, this.dtype, shape, engine);
    checkValues('x', x, this.dtype, shape, engine);
    if (out !== undefined) {
      checkOutput(out, 'dy', dy, this.dtype, shape, engine);
      if (out === x) throw new RangeError('"out" expected to be apart from x, which its context still holds, got x');
      if (!(x instanceof MemoryTensor)) checkOverlap('out', out as Floats, 'x', x);
    }

    const geometry = geometryOf(shape, this.layout, this.channels);
    const dx = out ?? valuesLike(x);
    const dweight = this.weight && floatsOf(this.dtype, this.channels);
    const dbias = this.bias && floatsOf(this.dtype, this.channels);
    if (count > 0) {
      this.#run(engine, geometry, [x, dy, dx], [0, 1, 1], out ? null : dx, ([x, dy, dx], limit, scratch) => {
        const kernels = engine.kernels[this.dtype];
        passes.backward({ kernels, scratch, geometry, limit, context, x, dy, dx, dweight, dbias });
      });
    }
    return { dx, dweight, dbias, dresidual: null } as Gradients<Floats> | Gradients<Tensor>;
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

  /** Running mean to 0, running variance to 1, counter to 0. */
  resetRunningStats(): this {
    this.runningMean?.fill(0);
    this.runningVar?.fill(1);
    this.numBatchesTracked = 0;
    return this;
  }

  /** Lets go of the latest context, and with it of x. Forward and backward throw a TypeError from then on. */
  dispose(): void {
    this.#disposed = true;
    this.#context = null;
  }

  #engine(): Engine {
    if (this.#disposed) throw new TypeError('BatchNorm expected to be in use, got one that has been disposed');
    this.#runtime ??= sharedRuntime();
    this.#runtime.checkAlive();
    return this.#runtime;
  }

  #state(): State {
    return { weight: this.weight, bias: this.bias, running_mean: this.runningMean, running_var: this.runningVar };
  }

  #contextOf(context: ForwardContext | null): Context {
    if (context === null) throw new TypeError('backward() expected a forward() before it, got none');
    if (!(context instanceof Context) || context.owner !== this) {
      throw new TypeError(`"context" expected one of this module's forward(), got ${describe(context)}`);
    }
    if (context.x === null) throw new TypeError('backward() expected x to be kept, got a forward() that wrote over it');
    return context;
  }

  /** Runs a pass with its operands and scratch. Where it throws, a result that nobody will see is given back. */
  #run<const V extends readonly Values[]>(
    engine: Engine, geometry: Geometry, values: V, places: readonly number[], result: Values | null,
    pass: (operands: { [I in keyof V]: Operand }, limit: number, scratch: Scratch) => void,
  ): void {
    this.#scratch ??= new Scratch(engine, this.dtype);
    const scratch = this.#scratch;
    let stage = 0;
    try {
      const near = reach(engine, this.dtype, geometry, values, places);
      stage = near.stage;
      scratch.take(Math.min(this.channels, MOST_CHANNELS), geometry.inner);
      pass(near.operands, near.limit, scratch);
    } catch (error) {
      if (result instanceof MemoryTensor) result.dispose();
      throw error;
    } finally {
      scratch.free();
      if (stage) engine.free(stage);
    }
  }

  /**
   * An array for the numbers of a forward. That of the latest context where nobody has asked for it, since it is then
   * about to be replaced: a training loop allocates nothing per channel (60x100: a quarter of the time when caches are
   * cold). Nothing throws once a pass has begun to write into it.
   */
  #newNumbers(): ChannelNumbers {
    const reusable = this.#context !== null && !this.#contextSeen;
    return reusable ? this.#context!.numbers : this.#numbers.slice();
  }

  /** The last step of a forward that went well. */
  #commit(context: Context, updateStats: boolean): void {
    this.#context = context;
    this.#contextSeen = false;
    if (!updateStats || !this.runningMean || context.count === 0) return;
    this.numBatchesTracked++;
    const factor = this.momentum === null ? 1 / this.numBatchesTracked : this.momentum;
    const { runningVariance } = this.#settings;
    updateRunning(this.runningMean, this.runningVar!, context.numbers, factor, context.count, runningVariance);
  }
}
