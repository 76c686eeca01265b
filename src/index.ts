/**
 * Batch normalization that trains, in Node and browsers.
 *
 * @module batchnorm-wasm
 */
export type { BackwardOptions, Gradients } from './backward.js';
export type { Snapshot } from './batchnorm.js';
export { BatchNorm } from './batchnorm.js';
export type { Layers } from './checkpoint.js';
export { loadSafetensors, writeSafetensors } from './checkpoint.js';
export type { ForwardContext } from './context.js';
export type { Converted, ConvertOptions, FlaxConfig, FlaxVariables, KerasConfig, OnnxAttributes, TorchConfig } from './convert.js';
export { fromFlax, fromKeras, fromOnnx, fromTorch } from './convert.js';
export type { Diagnosis } from './diagnose.js';
export { diagnose } from './diagnose.js';
export type { Runtime, Tensor } from './engine.js';
export type { FoldOptions, Layer } from './fold.js';
export { foldInto, foldingError } from './fold.js';
export type { RunningVariance } from './formulas.js';
export type { ForwardOptions } from './forward.js';
export type { DType, Floats } from './kernels.js';
export { maskFromLengths } from './mask.js';
export { moments } from './moments.js';
export type { BatchNormOptions, Convention, RenormLimits } from './options.js';
export type { Batch, PartsForward, PartsGradients } from './parts.js';
export { backwardGhost, backwardParts, forwardGhost, forwardParts } from './parts.js';
export { recalibrate } from './recalibrate.js';
export type { RuntimeOptions } from './runtime.js';
export { createRuntime } from './runtime.js';
export type { StoredTensor } from './safetensors.js';
export { readSafetensors } from './safetensors.js';
export type { Layout } from './shape.js';
export type { GradientSums, Moments } from './statistics.js';
export { addGradientSums, mergeMoments } from './statistics.js';
