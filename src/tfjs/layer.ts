/** The layer, as a class of the tfjs that it is given. */
import type * as tfc from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { describe } from '../checks.js';
import { failure, type LayerOptions, normaliseTensor } from './op.js';

type Core = typeof tfc;
type Layer = tfl.layers.Layer;
type Shape = (number | null)[];

/** The config of tf.layers.batchNormalization. */
export type BatchNormalizationConfig = NonNullable<Parameters<typeof tfl.layers.batchNormalization>[0]>;

/** The parts of tfjs' own layer that are used. */
interface StockLayer extends Layer {
  axis: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly gamma?: tfl.LayerVariable;
  readonly beta?: tfl.LayerVariable;
  readonly movingMean: tfl.LayerVariable;
  readonly movingVariance: tfl.LayerVariable;
}

type LayerClass = (new (config?: BatchNormalizationConfig) => StockLayer) & { className: string };

/**
 * tfjs' own class with another `call`: config, weights and serialisation stay what they are.
 *
 * Keras' rules: inference if the layer is not trainable; masked positions have no part in the statistics, but are
 * normalised with them.
 */
export function layerClass(tf: Core, layers: typeof tfl.layers): LayerClass {
  const Stock = layers.batchNormalization().constructor as LayerClass;

  return class BatchNormalization extends Stock {
    static override readonly className = 'BatchNormalization';

    constructor(config?: BatchNormalizationConfig) {
      super(config);
      // Keras 2 saves the axis as a list of one.
      const axis: unknown = this.axis;
      if (Array.isArray(axis) && axis.length === 1) this.axis = axis[0];
      if (!Number.isInteger(this.axis)) this.#fail(`axis must be an integer, but got ${describe(this.axis)}`);
      for (const name of ['momentum', 'epsilon'] as const) {
        const value = this[name];
        if (!Number.isFinite(value) || value < 0) this.#fail(`${name} must be a finite number of 0 or more, but got ${describe(value)}`);
      }
    }

    override build(inputShape: Shape | Shape[]): void {
      const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as Shape;
      const rank = shape.length;
      if (this.axis < -rank || this.axis >= rank) {
        this.#fail(`axis must be in [${-rank}, ${rank}) for an input of shape [${printed(shape)}], but got ${this.axis}`);
      }
      if (shape.at(this.axis) == null) {
        this.#fail(`axis ${this.axis} of the input must have a defined size, but got shape [${printed(shape)}]`);
      }
      super.build(inputShape);
    }

    override call(inputs: tfc.Tensor | tfc.Tensor[], kwargs: { training?: boolean; mask?: tfc.Tensor | null } = {}): tfc.Tensor {
      return tf.tidy(() => {
        const list = Array.isArray(inputs) ? inputs : [inputs];
        if (list.length !== 1) this.#fail(`expected one input, but got ${list.length}`);
        const { axis, epsilon: eps, momentum, movingMean, movingVariance } = this;
        const options: LayerOptions = { axis, eps };
        if (this.gamma) options.gamma = this.gamma.read();
        if (this.beta) options.beta = this.beta.read();
        if (!kwargs.training || isFrozen(this)) {
          options.mean = movingMean.read();
          options.variance = movingVariance.read();
        } else if (kwargs.mask && mayBeMasked(this, layers.Layer)) {
          options.mask = kwargs.mask;
        }
        const { y, moving } = normaliseTensor(tf, list[0]!, options, this.#fail);
        if (moving) {
          const [mean, variance] = moving(momentum, movingMean.read(), movingVariance.read());
          movingMean.write(mean);
          movingVariance.write(variance);
        }
        return y;
      });
    }

    get #fail() {
      return failure(`Layer ${this.name} (${BatchNormalization.className}):`);
    }
  };
}

/** A model that is not trainable passes that on to the weights of its layers, and not to the layers. */
function isFrozen(layer: Layer): boolean {
  const { _trainableWeights: own } = layer as unknown as { _trainableWeights: readonly { trainable: boolean }[] };
  return !layer.trainable || (own.length > 0 && own.every(({ trainable }) => !trainable));
}

/**
 * Whether a mask can belong to the input: tfjs hands the mask of one layer to all that come after it in a model, also to
 * those whose inputs have none. A layer outside of any model is given what its caller means.
 */
function mayBeMasked(layer: Layer, Base: typeof tfl.layers.Layer): boolean {
  const { inboundNodes } = layer as unknown as { inboundNodes: readonly { inputTensors: tfl.SymbolicTensor[] }[] };
  const carriesMask = ({ sourceLayer, inputs }: tfl.SymbolicTensor): boolean => {
    if (!sourceLayer.supportsMasking) return false;
    // Recurrent and merging layers hand on what they are given; others that have a say in masks may make one.
    const handsOn = ['returnSequences', 'forwardLayer', 'mergeFunction'].some((name) => name in sourceLayer);
    return (!handsOn && sourceLayer.computeMask !== Base.prototype.computeMask) || inputs.some(carriesMask);
  };
  return inboundNodes.length === 0 || inboundNodes.some(({ inputTensors }) => inputTensors.some(carriesMask));
}

function printed(shape: Shape): string {
  return shape.map((size) => size ?? 'null').join(',');
}
