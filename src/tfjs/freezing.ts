/**
 * Which layers are frozen by their models. In Keras, a model that is made untrainable tells all its layers. In tfjs it tells
 * the weights of those directly in it, so that layers of inner models, layers in wrappers and layers without weights that
 * train never hear of it.
 */
import type * as tfl from '@tensorflow/tfjs-layers';

/** The parts of models and wrappers that are used. */
interface Holder {
  trainable: boolean;
  readonly layer?: Holder;
  readonly layers?: readonly Holder[];
}

/** The classes of models, where a namespace has them. */
export type ModelClasses = Partial<Pick<typeof tfl, 'LayersModel' | 'Sequential'>>;

/**
 * From now on, the layers that models of this tfjs freeze and have not thawed, however deep in them. As in Keras, the latest
 * assignment to a model that holds the layer is the one that counts.
 *
 * @param isOwn - whether a layer is one to keep account of
 */
export function frozenByModels({ LayersModel, Sequential }: ModelClasses, isOwn: (layer: object) => boolean): WeakSet<object> {
  const frozen = new WeakSet<object>();
  let building = 0;

  function tell({ layer, layers = layer ? [layer] : [] }: Holder, trainable: boolean): void {
    for (const inner of layers) {
      if (!isOwn(inner)) {
        if (!trainable || inner.trainable) tell(inner, trainable);
      } else if (trainable) frozen.delete(inner);
      else frozen.add(inner);
    }
  }

  if (LayersModel) {
    afterSet(LayersModel.prototype, 'trainable', (model, trainable) => {
      if (building === 0) tell(model as Holder, trainable as boolean);
    });
  }
  if (Sequential) {
    const { build } = Sequential.prototype;
    // It makes a model of its layers and sets that one's `trainable`, which nobody has asked for.
    Sequential.prototype.build = function (...shape) {
      building++;
      try {
        build.apply(this, shape);
      } finally {
        building--;
      }
    };
  }
  return frozen;
}

/** Adds to the setter of an inherited property. */
function afterSet(prototype: object, name: string, action: (object: object, value: unknown) => void): void {
  let owner = prototype;
  while (!Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner);
  const property = Object.getOwnPropertyDescriptor(owner, name)!;
  Object.defineProperty(owner, name, {
    ...property,
    set(value: unknown) {
      property.set!.call(this, value);
      action(this, value);
    },
  });
}
