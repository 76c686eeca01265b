export type { BackwardOptions, ForwardOptions, Gradients } from './batchnorm.js';
export { BatchNorm } from './batchnorm.js';
export type { ForwardContext } from './context.js';
export type { Convention, RunningVariance } from './conventions.js';
export type { DType, Floats } from './kernels.js';
export type { BatchNormOptions } from './options.js';
export type { Runtime, RuntimeOptions, Tensor } from './runtime.js';
export { createRuntime } from './runtime.js';
export type { Layout } from './shape.js';
