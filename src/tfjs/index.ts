/**
 * Batch normalization for TensorFlow.js 4.22: a layer, an operation, and tf.batchNorm, all on the kernels of this package.
 *
 * @module batchnorm-wasm/tfjs
 */
import type * as tfc from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { checkBoolean, checkOptions, describe } from '../checks.js';
import type { ModelClasses } from './freezing.js';
import { registerFusedGradient, registerFusedKernels } from './fused.js';
import { type BatchNormalizationConfig, layerClass } from './layer.js';
import { type BatchNormOptions, type BatchNormResult, batchNorm } from './op.js';
import { registerKernels } from './register.js';

export type { BatchNormalizationConfig, BatchNormOptions, BatchNormResult };

/** What `registerBatchNorm` returns. */
export interface Registered {
  /**
   * A layer with the config, the weights and the meaning of tf.layers.batchNormalization: axis -1, epsilon 1e-3, momentum
   * 0.99 that weighs the old value, biased moving variance. Any axis and rank, with or without scale and center;
   * inference if it is not trainable; masked positions have no part in the statistics.
   */
  batchNormalization(config?: BatchNormalizationConfig): tfl.layers.Layer;
  /**
   * Normalises x by the statistics of the batch, or by given ones. Differentiable with respect to every input.
   *
   * @param x - rank 1 to 6
   * @param options - axis, gamma, beta, eps, mean, variance
   * @throws {Error} like the operations of tfjs, naming batchNorm.
   */
  batchNorm(x: tfc.Tensor, options?: BatchNormOptions): BatchNormResult;
}

/** Options of `registerBatchNorm`. */
export interface RegisterOptions {
  /**
   * Whether tf.layers.batchNormalization makes this layer as well. Default true. Nothing happens to it where it cannot be
   * written: in the namespace of an ES module.
   */
  replace?: boolean;
}

/** Class names of the same layer in models that Keras saves. */
const ALIASES = ['BatchNormalizationV1', 'BatchNormalizationV2', 'SyncBatchNormalization'];

const engines = new WeakSet<object>();
const layerClasses = new WeakMap<object, ReturnType<typeof layerClass>>();

/**
 * Puts batch normalization of tfjs on the kernels of this package. From then on models that are loaded and
 * tf.layers.batchNormalization use its layer, and tf.batchNorm runs on its kernels on the wasm and cpu backends. Import
 * these before, or call this once more after.
 *
 * @param tf - the union namespace of @tensorflow/tfjs, or { ...core, ...layers }; without layers there is no layer
 * @param options - replace
 * @throws {TypeError} tf is anything else, or an option is unknown or of the wrong kind.
 */
export function registerBatchNorm(tf: unknown, options: RegisterOptions = {}): Registered {
  const core = tf as typeof tfc & ModelClasses, { layers } = (tf ?? {}) as Partial<typeof tfl>;
  for (const name of ['engine', 'registerKernel', 'registerGradient', 'serialization'] as const) {
    if ((tf as typeof tfc | null | undefined)?.[name] === undefined) {
      const missing = tf == null ? '' : ` without "${name}"`;
      throw new TypeError(
        `registerBatchNorm() expected tf: the namespace of @tensorflow/tfjs, or { ...core, ...layers } of `
        + `@tensorflow/tfjs-core and @tensorflow/tfjs-layers; got ${describe(tf)}${missing}`);
    }
  }
  checkOptions('registerBatchNorm', options, ['replace']);
  const { replace = true } = options;
  checkBoolean('replace', replace);
  if (!engines.has(core.engine())) {
    registerKernels(core);
    registerFusedGradient(core);
    engines.add(core.engine());
  }
  registerFusedKernels(core);
  const Layer = layers && layerOf(core, layers);
  const batchNormalization = (config?: BatchNormalizationConfig) => {
    if (!Layer) throw new Error('batchNormalization: registerBatchNorm() was given no layers, pass { ...core, ...layers }.');
    return new Layer(config);
  };
  if (layers && replace) Reflect.set(layers, 'batchNormalization', batchNormalization);
  return { batchNormalization, batchNorm: (x, options) => batchNorm(core, x, options) };
}

function layerOf(tf: typeof tfc & ModelClasses, layers: typeof tfl.layers): ReturnType<typeof layerClass> {
  let Layer = layerClasses.get(layers.Layer);
  if (Layer === undefined) {
    const Own = layerClass(tf, layers);
    const register = (Class: object) => { tf.serialization.registerClass(Class as Parameters<typeof tf.serialization.registerClass>[0]); };
    register(Own);
    for (const className of ALIASES) register({ className, fromConfig: (_: unknown, config: BatchNormalizationConfig) => new Own(config) });
    layerClasses.set(layers.Layer, Own);
    Layer = Own;
  }
  return Layer;
}
