/** BatchNorm as users see it: its type follows from its options, so that arrays that it has are not null, and of its dtype. */
import type { GradientSums } from '../passes/statistics.js';
import type { Tensor } from '../runtime/engine.js';
import type { DType, FloatsOf } from '../runtime/kernels.js';
import type { BackwardOptions, Gradients, Parameter } from './backward.js';
import { BatchNorm as Layer } from './batchnorm.js';
import type { BatchNormOptions, RenormLimits } from './options.js';

/** The options that a type follows from, as they are where they are not given. */
interface Defaults {
  dtype: 'float32';
  weight: true;
  bias: true;
  trackRunningStats: true;
  renorm: null;
}

/** What an option is, or may be. */
type Given<Options, K extends keyof Defaults> = K extends keyof Options
  ? Exclude<Options[K], undefined> | (undefined extends Options[K] ? Defaults[K] : never)
  : Defaults[K];

type ArrayOf<Options> = FloatsOf<Extract<Given<Options, 'dtype'>, DType>>;

/** An array that there is unless an option says false. */
type ArrayIf<Options, K extends 'weight' | 'bias' | 'trackRunningStats'> = Unless<Given<Options, K>, ArrayOf<Options>>;

type Unless<Exists, A> = Exists extends false ? null : A;

/** What `backward` returns where parameter gradients are wanted, or not. */
type GradientsOf<Options, A, Wanted> =
  Gradients<A, Unless<Wanted, ArrayIf<Options, 'weight'>>, Unless<Wanted, ArrayIf<Options, 'bias'>>>;

/**
 * A BatchNorm of known options: `new BatchNorm(64)` is a `BatchNormWith<{}>`, whose arrays are not null but
 * Float32Arrays; the weight of a `BatchNormWith<{ weight: false }>` is null. Each of them is a `BatchNorm`, of which nothing
 * is known: its arrays may be of either dtype, or null.
 */
export interface BatchNormWith<Options extends BatchNormOptions> extends Layer {
  get dtype(): Extract<Given<Options, 'dtype'>, DType>;
  get weight(): ArrayIf<Options, 'weight'>;
  get bias(): ArrayIf<Options, 'bias'>;
  get runningMean(): ArrayIf<Options, 'trackRunningStats'>;
  get runningVar(): ArrayIf<Options, 'trackRunningStats'>;
  get renorm(): Extract<Given<Options, 'renorm'>, RenormLimits | null>;

  backward<Out extends Float32Array = FloatsOf<'float32'>, Wanted extends boolean = true>(
    dy: Float32Array, options?: BackwardOptions<Out, Wanted>,
  ): GradientsOf<Options, Out, Wanted>;
  backward<Out extends Float64Array = FloatsOf<'float64'>, Wanted extends boolean = true>(
    dy: Float64Array, options?: BackwardOptions<Out, Wanted>,
  ): GradientsOf<Options, Out, Wanted>;
  backward<Wanted extends boolean = true>(
    dy: Tensor, options?: BackwardOptions<Tensor, Wanted>,
  ): GradientsOf<Options, Tensor, Wanted>;

  backwardWith<Out extends Float32Array = FloatsOf<'float32'>, Wanted extends boolean = true>(
    sums: GradientSums, dy: Float32Array, options?: BackwardOptions<Out, Wanted>,
  ): GradientsOf<Options, Out, Wanted>;
  backwardWith<Out extends Float64Array = FloatsOf<'float64'>, Wanted extends boolean = true>(
    sums: GradientSums, dy: Float64Array, options?: BackwardOptions<Out, Wanted>,
  ): GradientsOf<Options, Out, Wanted>;
  backwardWith<Wanted extends boolean = true>(
    sums: GradientSums, dy: Tensor, options?: BackwardOptions<Tensor, Wanted>,
  ): GradientsOf<Options, Tensor, Wanted>;

  parameters(): Parameter<ArrayOf<Options>>[];
}

/** Options that there are: others cannot be of the type that this asks for. */
type Known<Options> = BatchNormOptions & { [K in Exclude<keyof Options, keyof BatchNormOptions>]: `there is no option ${K & string}` };

/** A BatchNorm of these options, of which its type names those that it follows from and that are not the defaults. */
type Inferred<Options> = Options extends unknown
  ? BatchNormWith<{ [K in keyof Options & keyof Defaults as Given<Options, K> extends Defaults[K] ? never : K]-?: Given<Options, K> }>
  : never;

/** No options. Their names are there for editors, which suggest them. */
type None = { [K in keyof BatchNormOptions]?: never };

/** The class BatchNorm: the type of what it makes follows from the options. */
export interface BatchNormConstructor {
  /**
   * A layer in training mode.
   *
   * @param channels - C, a positive integer
   * @throws {TypeError | RangeError} an option of the wrong kind or value.
   */
  new <Options extends Known<Options> = None>(channels: number, options?: Options): Inferred<Options>;
  readonly prototype: Layer;
}

/**
 * Batch normalization over [N, C, ...] or [N, ..., C] with train and eval modes, running statistics and backward.
 *
 * @reexport
 */
// The tag has TypeDoc show the class itself here.
// @ts-expect-error: a class cannot say that the type of what it makes follows from the arguments of its constructor.
export const BatchNorm: BatchNormConstructor = Layer;
export type BatchNorm = Layer;
