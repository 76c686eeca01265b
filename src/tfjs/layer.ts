/** The layer, as a class of the tfjs that it is given. */
import type * as tfc from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { describe } from '../checks.js';
import { callContext, type Kwargs } from './context.js';
import { frozenByModels, type ModelClasses } from './freezing.js';
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
 * Keras' rules: inference if the layer is not trainable, or a model that it is in; masked positions have no part in the
 * statistics, but are normalised with them.
 */
export function layerClass(tf: Core & ModelClasses, layers: typeof tfl.layers): LayerClass {
  // With a name, so that it takes none of those that tfjs counts.
  const Stock = layers.batchNormalization({ name: 'stock' }).constructor as LayerClass;
  const context = callContext(tf, layers);

  class BatchNormalization extends Stock {
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

    override get trainable(): boolean {
      return super.trainable;
    }

    override set trainable(value: boolean) {
      super.trainable = value;
      if (value) frozen.delete(this);
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

    override call(inputs: tfc.Tensor | tfc.Tensor[], kwargs: Kwargs = {}): tfc.Tensor {
      return tf.tidy(() => {
        const list = Array.isArray(inputs) ? inputs : [inputs];
        if (list.length !== 1) this.#fail(`expected one input, but got ${list.length}`);
        const { axis, epsilon: eps, momentum, movingMean, movingVariance } = this, x = list[0]!;
        const options: LayerOptions = { axis, eps };
        if (this.gamma) options.gamma = this.gamma.read();
        if (this.beta) options.beta = this.beta.read();
        if (kwargs.training && this.trainable && !frozen.has(this) && !context.isWithinFrozen(this)) {
          const given = Array.isArray(kwargs.mask) ? kwargs.mask[0] : kwargs.mask;
          if (given != null && !(given instanceof tf.Tensor)) this.#fail(`mask must be a Tensor, but got ${describe(given)}`);
          options.mask = context.maskOf(this, x, kwargs);
        } else {
          options.mean = movingMean.read();
          options.variance = movingVariance.read();
        }
        const { y, moving } = normaliseTensor(tf, x, options, this.#fail);
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
  }

  const frozen = frozenByModels(tf, (layer) => layer instanceof BatchNormalization);
  return BatchNormalization;
}

function printed(shape: Shape): string {
  return shape.map((size) => size ?? 'null').join(',');
}
