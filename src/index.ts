/**
 * Batch normalization that trains, in Node and browsers.
 *
 * @module batchnorm-wasm
 */
export type { BackwardOptions, Gradients, Parameter } from './batchnorm/backward.js';
export type { Snapshot } from './batchnorm/batchnorm.js';
export type { ForwardContext } from './batchnorm/context.js';
export type { ForwardOptions } from './batchnorm/forward.js';
export type { BatchNormConstructor, BatchNormWith } from './batchnorm/inferred.js';
export { BatchNorm } from './batchnorm/inferred.js';
export type { BatchNormOptions, Convention, RenormLimits } from './batchnorm/options.js';
export type { Converted, ConvertOptions } from './formats/build.js';
export type { CaffeBlob, CaffeBlobs, CaffeConfig } from './formats/caffe.js';
export { fromCaffe, layersFromCaffe } from './formats/caffe.js';
export type { Layers } from './formats/checkpoint.js';
export { layersFromSafetensors, loadSafetensors, writeSafetensors } from './formats/checkpoint.js';
export type { FlaxConfig, FlaxLayersConfig, FlaxVariables } from './formats/flax.js';
export { fromFlax, layersFromFlax } from './formats/flax.js';
export type { KerasConfig, KerasLayersConfig } from './formats/keras.js';
export { fromKeras, layersFromKeras } from './formats/keras.js';
export type { ConvertedLayers, ConvertLayersOptions, Rule } from './formats/layers.js';
export type { OnnxAttributes, OnnxTensor, OnnxValues } from './formats/onnx.js';
export { fromOnnx, layersFromOnnx } from './formats/onnx.js';
export type { ProtobufMessage } from './formats/protobuf.js';
export type { StoredTensor, StoredValues } from './formats/safetensors.js';
export { readSafetensors } from './formats/safetensors.js';
export type { TfjsArtifacts, TfjsWeightSpec } from './formats/tfjs-weights.js';
export type { TorchConfig, TorchLayersConfig, TorchValue } from './formats/torch.js';
export { fromTorch, layersFromTorch } from './formats/torch.js';
export type { RunningVariance } from './passes/formulas.js';
export { maskFromLengths } from './passes/mask.js';
export type { GradientSums, Moments } from './passes/statistics.js';
export { addGradientSums, mergeMoments } from './passes/statistics.js';
export type { Runtime, Tensor } from './runtime/engine.js';
export type { DType, Floats, FloatsByDType, FloatsOf } from './runtime/kernels.js';
export type { RuntimeOptions } from './runtime/runtime.js';
export { createRuntime } from './runtime/runtime.js';
export type { Layout } from './runtime/shape.js';
export type { ThreadedRuntimeOptions } from './runtime/threads/threaded-runtime.js';
export { createThreadedRuntime } from './runtime/threads/threaded-runtime.js';
export type { Diagnosis } from './tools/diagnose.js';
export { diagnose } from './tools/diagnose.js';
export type { Folded, FoldPair } from './tools/fold.js';
export { foldAll, foldInto, foldingError } from './tools/fold.js';
export type { FoldOptions, Layer } from './tools/fold-layer.js';
export { moments, momentsOf } from './tools/moments.js';
export { decodeMoments, encodeMoments } from './tools/moments-file.js';
export type { Batch, PartsForward, PartsGradients } from './tools/parts.js';
export { backwardGhost, backwardParts, forwardGhost, forwardParts } from './tools/parts.js';
export type { Estimator, RecalibrateOptions } from './tools/recalibrate.js';
export { recalibrate, recalibrateFrom } from './tools/recalibrate.js';
