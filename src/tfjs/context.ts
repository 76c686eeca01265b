/**
 * What a layer cannot see in its arguments: which layers are being applied around it, and which mask belongs to its input.
 *
 * tfjs hands the latest mask of a model to every layer that comes after it, and forgets it at the border of a nested model.
 * Here masks travel with tensors, as in Keras: an output of a layer has the mask that the layer's computeMask makes of those
 * of its inputs.
 */
import type * as tfc from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type Mask, maskAt, readMask, tensorOf } from './masks.js';
import { isFast } from './register.js';

type Core = typeof tfc;
type Tensor = tfc.Tensor;

/** The arguments of a call. */
export interface Kwargs {
  training?: boolean;
  mask?: unknown;
}

/** The parts of tfjs' layers that are used. */
interface Layer {
  readonly trainable: boolean;
  readonly supportsMasking: boolean;
  /** The layer of a wrapper. */
  readonly layer?: { call(inputs: Tensor | Tensor[], kwargs?: Kwargs): Tensor | Tensor[] };
  /** The layers of a model. */
  readonly layers?: readonly unknown[];
  getClassName(): string;
  apply(inputs: unknown, kwargs?: Kwargs): Tensor | Tensor[];
  computeMask(inputs: Tensor | Tensor[], masks: unknown): MaskTensors;
}

type MaskTensors = Tensor | null | undefined | (Tensor | null | undefined)[];

/** A mask, and whether the caller gave it. */
export interface OwnMask {
  readonly mask: Mask | null;
  readonly explicit: boolean;
}

/** A layer that is being applied. */
interface Frame extends OwnMask {
  readonly layer: Layer;
  /** The mask among its arguments. */
  readonly given: unknown;
  readonly outer: Frame | null;
}

const contexts = new WeakMap<object, CallContext>();

/** The context of the calls of a tfjs. The first time, this puts `apply` of all its layers into it. */
export function callContext(tf: Core, layers: typeof tfl.layers): CallContext {
  let context = contexts.get(layers.Layer);
  if (context === undefined) {
    context = new CallContext(tf, layers);
    contexts.set(layers.Layer, context);
  }
  return context;
}

export class CallContext {
  readonly #tf: Core;
  /** The masks of tensors that are outputs of layers; null: none. */
  readonly #masks = new WeakMap<Tensor, Mask | null>();
  /** Arguments that go from layer to layer: their mask may belong to the input of another one. */
  readonly #passedOn = new WeakSet<Kwargs>();
  readonly #defaultMask: Layer['computeMask'];
  readonly #mergedMask: Layer['computeMask'];
  #innermost: Frame | null = null;

  constructor(tf: Core, layers: typeof tfl.layers) {
    const base = layers.Layer.prototype as unknown as Layer, { apply } = base, context = this;
    this.#tf = tf;
    this.#defaultMask = base.computeMask;
    this.#mergedMask = (layers.add({ name: 'add' }) as unknown as Layer).computeMask;
    base.apply = function (this: Layer, inputs, kwargs) {
      const list = listOf(inputs) as Tensor[];
      if (list.length === 0 || !list.every((input) => input instanceof tf.Tensor)) return apply.call(this, inputs, kwargs);
      return context.#enter(this, list, kwargs, (own) => {
        const outputs = apply.call(this, inputs, kwargs);
        // The layers of a model have followed the masks of its outputs. Reading masks stalls a GPU: there only for training.
        if (!this.layers && (kwargs?.training || isFast(tf))) context.#follow(this, inputs as Tensor | Tensor[], own, outputs);
        return outputs;
      });
    };
  }

  /** The mask that belongs to the input x of a layer in a call with these arguments. */
  maskOf(layer: object, x: Tensor, kwargs: Kwargs): OwnMask {
    return this.#innermost?.layer === layer ? this.#innermost : this.#resolve(x, kwargs, listOf(kwargs.mask)[0]);
  }

  /** Whether a layer that is being applied around this one is not trainable. */
  isWithinFrozen(layer: object): boolean {
    for (let frame = this.#innermost; frame; frame = frame.outer) if (frame.layer !== layer && !frame.layer.trainable) return true;
    return false;
  }

  #resolve(x: Tensor, kwargs: Kwargs | undefined, given: unknown): OwnMask {
    if (given != null && kwargs?.training && !this.#passedOn.has(kwargs)) {
      for (let frame = this.#innermost; frame; frame = frame.outer) if (frame.given === given) return frame;
      return { mask: given instanceof this.#tf.Tensor ? readMask(given) : null, explicit: true };
    }
    let mask = this.#masks.get(x);
    if (mask === undefined) mask = madeWith(x);
    // A layer of the user passes its arguments on, with what it has computed without a layer.
    if (mask === undefined && given != null) mask = this.#innermost?.mask;
    return { mask: mask ?? null, explicit: false };
  }

  /** Runs a layer in a frame of its own. */
  #enter<T>(layer: Layer, inputs: readonly Tensor[], kwargs: Kwargs | undefined, run: (masks: readonly (Mask | null)[]) => T): T {
    const given = listOf(kwargs?.mask), found = inputs.map((x, i) => this.#resolve(x, kwargs, given[i]));
    const own = found.map(({ mask }) => mask), explicit = found.some((mask) => mask.explicit), outer = this.#innermost;
    const overTime = layer.getClassName() === 'TimeDistributed';
    // Which of several inputs, or which step of one, a tensor without a mask of its own would come from is not known.
    this.#innermost = { layer, mask: overTime || own.length > 1 ? null : own[0]!, explicit, given: given[0], outer };
    if (kwargs) this.#passedOn.add(kwargs);
    try {
      if (layer.layers) return this.#withMasks(inputs, own, () => run(own));
      return overTime && own[0] ? this.#stepByStep(layer.layer!, own[0], () => run(own)) : run(own);
    } finally {
      this.#innermost = outer;
      if (kwargs && explicit) this.#passedOn.delete(kwargs);
    }
  }

  /** Gives tensors these masks for the time of a call. */
  #withMasks<T>(tensors: readonly Tensor[], own: readonly (Mask | null)[], run: () => T): T {
    const before = tensors.map((tensor) => this.#masks.get(tensor));
    tensors.forEach((tensor, i) => { this.#masks.set(tensor, own[i]!); });
    try {
      return run();
    } finally {
      tensors.forEach((tensor, i) => {
        if (before[i] === undefined) this.#masks.delete(tensor);
        else this.#masks.set(tensor, before[i]);
      });
    }
  }

  /** Gives each input of a layer that is called step by step the mask of that step. */
  #stepByStep<T>(layer: NonNullable<Layer['layer']>, mask: Mask, run: () => T): T {
    const own = Object.getOwnPropertyDescriptor(layer, 'call'), { call } = layer;
    let step = 0;
    layer.call = (inputs, kwargs) => {
      this.#masks.set(listOf(inputs)[0] as Tensor, maskAt(mask, step++));
      return call.call(layer, inputs, kwargs);
    };
    try {
      return run();
    } finally {
      if (own) Object.defineProperty(layer, 'call', own);
      else delete (layer as Partial<typeof layer>).call;
    }
  }

  /** Gives the outputs of a layer their masks. */
  #follow(layer: Layer, inputs: Tensor | Tensor[], own: readonly (Mask | null)[], outputs: Tensor | Tensor[]): void {
    const list = listOf(outputs) as Tensor[];
    const made = own.every((mask) => mask === null) ? list.map(madeWith) : [];
    const found = made.some((mask) => mask !== undefined) ? made : this.#computeMasks(layer, inputs, own);
    list.forEach((output, i) => { this.#masks.set(output, found[i] ?? null); });
  }

  #computeMasks(layer: Layer, inputs: Tensor | Tensor[], own: readonly (Mask | null)[]): readonly (Mask | null)[] {
    const tf = this.#tf, { computeMask, supportsMasking } = layer;
    if (!supportsMasking) return [];
    if (computeMask === this.#defaultMask) return own;
    // That of merging layers leaves the last mask out and fails where one is missing.
    const merge = computeMask === this.#mergedMask;
    if (merge && own.every((mask) => mask === null)) return [];
    let found: (Mask | null)[] = [];
    try {
      tf.tidy(() => {
        const tensors = own.map((mask) => mask && tensorOf(tf, mask));
        const masks = merge
          ? tensors.filter((mask) => mask !== null).reduce((all, mask) => tf.logicalAnd(all, mask))
          : layer.computeMask(inputs, Array.isArray(inputs) ? tensors : tensors[0]);
        found = listOf(masks).map((mask) => (mask ? readMask(mask as Tensor) : null));
      });
    } catch {
      // What a layer can make no mask of has none.
    }
    return found;
  }
}

/** The mask that tfjs has made with a tensor: it does so for the outputs of layers that make masks. */
function madeWith(tensor: Tensor): Mask | undefined {
  const { kerasMask } = tensor as unknown as { kerasMask?: Tensor | null };
  return kerasMask && !kerasMask.isDisposed ? readMask(kerasMask) : undefined;
}

function listOf(value: unknown): unknown[] {
  if (value == null) return [];
  return Array.isArray(value) ? value : [value];
}
