/**
 * Batch normalization that trains, in Node and browsers.
 *
 * @module batchnorm-wasm
 */
export type { BackwardOptions, Gradients } from './batchnorm/backward.js';
export type { Snapshot } from './batchnorm/batchnorm.js';
export { BatchNorm } from './batchnorm/batchnorm.js';
export type { ForwardContext } from './batchnorm/context.js';
export type { ForwardOptions } from './batchnorm/forward.js';
export type { BatchNormOptions, Convention, RenormLimits } from './batchnorm/options.js';
export type { Layers } from './formats/checkpoint.js';
export { loadSafetensors, writeSafetensors } from './formats/checkpoint.js';
export type { Converted, ConvertOptions, FlaxConfig, FlaxVariables, KerasConfig, OnnxAttributes, TorchConfig } from './formats/convert.js';
export { fromFlax, fromKeras, fromOnnx, fromTorch } from './formats/convert.js';
export type { StoredTensor } from './formats/safetensors.js';
export { readSafetensors } from './formats/safetensors.js';
export type { RunningVariance } from './passes/formulas.js';
export { maskFromLengths } from './passes/mask.js';
export type { GradientSums, Moments } from './passes/statistics.js';
export { addGradientSums, mergeMoments } from './passes/statistics.js';
export type { Runtime, Tensor } from './runtime/engine.js';
export type { DType, Floats } from './runtime/kernels.js';
export type { RuntimeOptions } from './runtime/runtime.js';
export { createRuntime } from './runtime/runtime.js';
export type { Layout } from './runtime/shape.js';
export type { Diagnosis } from './tools/diagnose.js';
export { diagnose } from './tools/diagnose.js';
export type { Folded, FoldPair } from './tools/fold.js';
export { foldAll, foldInto, foldingError } from './tools/fold.js';
export type { FoldOptions, Layer } from './tools/fold-layer.js';
export { moments } from './tools/moments.js';
export type { Batch, PartsForward, PartsGradients } from './tools/parts.js';
export { backwardGhost, backwardParts, forwardGhost, forwardParts } from './tools/parts.js';
export type { RecalibrateOptions } from './tools/recalibrate.js';
export { recalibrate } from './tools/recalibrate.js';
