import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { BACKENDS, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;
type Symbolic = ReturnType<typeof tf.input>;
type Layer = ReturnType<typeof batchNormalization>;
type Model = ReturnType<typeof tf.model>;

const { batchNormalization } = registerBatchNorm(tf);
const UNTOUCHED = [[0, 0, 0], [1, 1, 1]];
const numbers = (tensor: Tensor) => Array.from(tensor.dataSync());
const moving = (layer: Layer) => layer.getWeights().slice(-2).map(numbers);
const sequential = (...layers: Layer[]) => tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [3] }), ...layers] });
const functional = (...layers: Layer[]) => {
  const input = tf.input({ shape: [3] });
  return tf.model({ inputs: input, outputs: layers.reduce((x, layer) => layer.apply(x) as Symbolic, input) });
};
const x = () => tf.tensor2d([[1, 2, 3], [5, 6, 7]]);

/** Models with a batch norm somewhere in them. */
const BASES: Record<string, (bn: Layer) => Model> = {
  'in a model': (bn) => sequential(bn, tf.layers.dense({ units: 3 })),
  'in a functional model': (bn) => functional(tf.layers.dense({ units: 3 }), bn),
  'one model deeper': (bn) => sequential(sequential(bn)),
  'two models deeper': (bn) => functional(sequential(functional(bn))),
  'for each time step': (bn) =>
    sequential(tf.layers.reshape({ targetShape: [1, 3] }), tf.layers.timeDistributed({ layer: bn }), tf.layers.flatten()),
  'in a model for each time step': (bn) =>
    sequential(tf.layers.reshape({ targetShape: [1, 3] }), tf.layers.timeDistributed({ layer: sequential(bn) }), tf.layers.flatten()),
};

/** How to say whether it is trainable. */
const WAYS: Record<string, (model: Model, bn: Layer, trainable: boolean) => void> = {
  'by its model': (model, _, trainable) => { model.trainable = trainable; },
  "by its model's layers": (model, _, trainable) => { for (const layer of model.layers) layer.trainable = trainable; },
  'by itself': (_, bn, trainable) => { bn.trainable = trainable; },
};

const CONFIGS = [{}, { scale: false }, { center: false }, { scale: false, center: false }];

/** How a base is made part of what trains; base itself is not trained in the last two. */
const WHOLES: Record<string, (base: Model) => Model> = {
  'a sequential model': (base) => sequential(base as never, tf.layers.dense({ units: 1 })),
  'a functional model': (base) => functional(base as never, tf.layers.dense({ units: 1 })),
  'a model on its outputs': (base) =>
    tf.model({ inputs: base.inputs, outputs: tf.layers.dense({ units: 1 }).apply(base.outputs[0]!) as Symbolic }),
  'a model of its layers': (base) =>
    sequential(...base.layers.filter((layer) => layer.getClassName() !== 'InputLayer'), tf.layers.dense({ units: 1 })),
};

async function train(model: Model): Promise<void> {
  model.compile({ optimizer: tf.train.sgd(0), loss: 'meanSquaredError' });
  await model.fit(x(), tf.zeros([2, 1]), { epochs: 1, verbose: 0 });
}

describe.each(BACKENDS)('a frozen batch norm on %s', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });
  beforeEach(() => { tf.engine().startScope(); return () => { tf.engine().endScope(); }; });

  describe.each(Object.entries(BASES))('%s', (_, base) => {
    it.each(Object.entries(WAYS))('keeps its statistics and normalises by them until it is thawed, %s', (_, say) => {
      for (const config of CONFIGS) {
        const bn = batchNormalization({ momentum: 0, ...config }), model = base(bn);
        const train = () => numbers(model.apply(x(), { training: true }) as Tensor);
        const inferred = numbers(model.predict(x()) as Tensor);
        for (let i = 0; i < 2; i++) {
          say(model, bn, false);
          expect(train()).toEqual(inferred);
          expect(moving(bn)).toEqual(UNTOUCHED);
        }
        say(model, bn, true);
        expect(train()).not.toEqual(inferred);
        expect(moving(bn)).not.toEqual(UNTOUCHED);
        say(model, bn, false);
        const before = moving(bn);
        model.apply(tf.mul(x(), 2), { training: true });
        expect(moving(bn)).toEqual(before);
      }
    });

    it.each(Object.entries(WHOLES))('keeps them in %s that is made of it, frozen before or after, compiled or not', async (_, whole) => {
      for (const config of [{}, { scale: false, center: false }]) {
        for (const frozenFirst of [true, false]) {
          const bn = batchNormalization({ momentum: 0, ...config }), model = base(bn);
          if (frozenFirst) model.trainable = false;
          const outer = whole(model);
          if (!frozenFirst) {
            outer.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
            model.trainable = false;
          }
          await train(outer);
          expect(moving(bn)).toEqual(UNTOUCHED);
          outer.apply(x(), { training: true });
          expect(moving(bn)).toEqual(UNTOUCHED);
          model.trainable = true;
          await train(outer);
          expect(moving(bn)).not.toEqual(UNTOUCHED);
        }
      }
    });
  });

  it('follows whoever has said it last, of the models that it is directly or indirectly in', () => {
    const bn = batchNormalization({ momentum: 0, scale: false, center: false }), base = sequential(tf.layers.dense({ units: 3 }), bn);
    const outer = tf.model({ inputs: base.inputs, outputs: tf.layers.dense({ units: 1 }).apply(base.outputs[0]!) as Symbolic });
    const moves = () => {
      const before = moving(bn).join();
      outer.apply(tf.randomNormal([4, 3]), { training: true });
      return moving(bn).join() !== before;
    };
    base.trainable = false;
    expect(moves()).toBe(false);
    outer.trainable = true;
    expect(moves()).toBe(true);
    base.trainable = false;
    bn.trainable = true;
    expect(moves()).toBe(true);
    bn.trainable = false;
    base.trainable = false;
    base.trainable = true;
    // tfjs: what was frozen itself has to be thawed itself.
    expect([bn.trainable, moves()]).toEqual([false, false]);
    bn.trainable = true;
    expect(moves()).toBe(true);
  });

  it('stays so where only a model around its own is thawed', () => {
    const bn = batchNormalization({ momentum: 0, center: false }), base = sequential(bn);
    const outer = sequential(base as never, tf.layers.dense({ units: 1 }));
    base.trainable = false;
    outer.trainable = false;
    outer.trainable = true;
    outer.apply(x(), { training: true });
    expect(moving(bn)).toEqual(UNTOUCHED);
  });

  it('is one that was added to a frozen model, or that a frozen layer of the user has', () => {
    const late = batchNormalization({ momentum: 0 }), base = tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [3] })] });
    base.trainable = false;
    base.add(late);
    base.apply(x(), { training: true });
    expect(moving(late)).toEqual(UNTOUCHED);
    class Block extends tf.layers.Layer {
      static readonly className = 'Block';
      readonly bn = batchNormalization({ momentum: 0 });
      override call(inputs: Tensor | Tensor[], kwargs: object) { return this.bn.apply(inputs, kwargs) as Tensor; }
    }
    const block = new Block({}), model = sequential(block);
    for (const layer of model.layers) layer.trainable = false;
    model.apply(x(), { training: true });
    expect(moving(block.bn)).toEqual(UNTOUCHED);
    block.trainable = true;
    model.apply(x(), { training: true });
    expect(moving(block.bn)).not.toEqual(UNTOUCHED);
  });
});
