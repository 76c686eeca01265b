/** Variance that enters the running statistics: divided by M - 1, or by M. */
export type RunningVariance = 'unbiased' | 'biased';

/** Whose defaults to take. */
export type Convention = 'torch' | 'keras' | 'onnx' | 'flax' | 'caffe' | 'paper';

/**
 * The defaults of each framework. `momentum` always weighs the new batch, so that Keras' 0.99 stands as 0.01;
 * null is the cumulative average.
 *
 * The paper (Ioffe & Szegedy 2015, Alg. 2) averages over batches and takes m / (m - 1) times the batch variance;
 * it leaves eps open.
 */
export const CONVENTIONS: Record<
  Convention,
  { readonly eps: number; readonly momentum: number | null; readonly runningVariance: RunningVariance }
> = {
  torch: { eps: 1e-5, momentum: 0.1, runningVariance: 'unbiased' },
  keras: { eps: 1e-3, momentum: 0.01, runningVariance: 'biased' },
  onnx: { eps: 1e-5, momentum: 0.1, runningVariance: 'biased' },
  flax: { eps: 1e-5, momentum: 0.01, runningVariance: 'biased' },
  caffe: { eps: 1e-5, momentum: 0.001, runningVariance: 'unbiased' },
  paper: { eps: 1e-5, momentum: null, runningVariance: 'unbiased' },
};
