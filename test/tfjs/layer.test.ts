import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance, normal, sizeOf } from '../setup.js';
import { BACKENDS, oracle, tf } from './setup.js';

const CLOSE = 4e-6;
type Layer = ReturnType<typeof batchNormalization>;
type Tensor = ReturnType<typeof tf.tensor>;

/** What stock tfjs computes, before anything is registered. */
const stock = await (async () => {
  await tf.setBackend('cpu');
  const model = tf.sequential({ layers: [tf.layers.batchNormalization({ inputShape: [4, 3], name: 'bn' })] });
  model.layers[0]!.setWeights([[1, 2, 3], [0, 1, 0], [1, 2, 1], [2, 3, 4]].map((values) => tf.tensor1d(values)));
  const x = normal(24, 1), config = model.layers[0]!.getConfig();
  const weights = model.weights.map(({ name, shape }) => [name, shape]);
  const y = (model.predict(tf.tensor(x, [2, 4, 3])) as Tensor).arraySync();
  return { json: JSON.stringify(model.toJSON(null, false)), x, y, config, weights };
})();

const { batchNormalization } = registerBatchNorm(tf);
const numbers = (tensor: Tensor) => Array.from(tensor.dataSync());
const moving = (layer: Layer) => layer.getWeights().slice(-2).map(numbers);
const apply = (layer: Layer, x: Tensor, kwargs = {}) => layer.apply(x, kwargs) as Tensor;

describe.each(BACKENDS)('the layer on %s', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });
  beforeEach(() => { tf.engine().startScope(); return () => { tf.engine().endScope(); }; });

  it.each([
    { shape: [6, 3], axis: -1 }, { shape: [6, 3], axis: 1 },
    { shape: [4, 3, 5], axis: 1 }, { shape: [4, 3, 5], axis: 2 },
    { shape: [2, 3, 4, 5], axis: 1 }, { shape: [2, 3, 4, 5], axis: -2 }, { shape: [2, 3, 4, 5], axis: 3 },
    { shape: [2, 3, 2, 4, 3], axis: -1 }, { shape: [2, 3, 2, 4, 3], axis: 1 }, { shape: [2, 2, 2, 3, 2, 3], axis: 3 },
  ])('normalises $shape on axis $axis, in training and inference, with its gradients', ({ shape, axis }) => {
    const channels = shape.at(axis)!, size = sizeOf(shape);
    for (const scale of [true, false]) {
      for (const center of [true, false]) {
        const layer = batchNormalization({
          axis, scale, center, epsilon: 0.01, momentum: 0.8,
          gammaInitializer: 'randomNormal', betaInitializer: 'randomNormal',
        });
        const x = normal(size, 1, 2, 3), dy = normal(size, 2);
        layer.build(shape);
        const gamma = scale ? layer.getWeights()[0]! : null, beta = center ? layer.getWeights()[scale ? 1 : 0]! : null;
        const vectors = { gamma: gamma ? numbers(gamma) : undefined, beta: beta ? numbers(beta) : undefined };
        const expected = oracle({ shape, axis, eps: 0.01, x, ...vectors }, dy);
        let y: Tensor | undefined;
        const loss = (input: Tensor, training: boolean) => {
          y = apply(layer, input, { training });
          return tf.sum(tf.mul(y, tf.tensor(dy, shape))) as ReturnType<typeof tf.scalar>;
        };
        const dx = tf.grad((input) => {
          const value = loss(input, true);
          tf.keep(y!);
          return value;
        })(tf.tensor(x, shape));
        expect(distance(numbers(y!), expected.y)).toBeLessThan(CLOSE);
        expect(distance(numbers(dx), expected.dx)).toBeLessThan(CLOSE);
        y!.dispose();
        // Keras: 0.8 weighs the old value, and the variance is the biased one.
        expect(distance(moving(layer)[0]!, expected.mean.map((mean) => 0.2 * mean))).toBeLessThan(CLOSE);
        expect(distance(moving(layer)[1]!, expected.variance.map((variance) => 0.8 + 0.2 * variance)))
          .toBeLessThan(CLOSE);

        if (scale || center) {
          const { grads } = tf.variableGrads(() => loss(tf.tensor(x, shape), true));
          const found = Object.values(grads).map(numbers);
          const wanted = [...(scale ? [expected.dgamma] : []), ...(center ? [expected.dbeta] : [])];
          found.forEach((gradient, i) => { expect(distance(gradient, wanted[i]!)).toBeLessThan(2e-5); });
          expect(found.length).toBe(wanted.length);
        }
        const [mean, variance] = moving(layer);
        const inference = oracle({ shape, axis, eps: 0.01, x, mean, variance, ...vectors }, dy);
        expect(distance(numbers(apply(layer, tf.tensor(x, shape))), inference.y)).toBeLessThan(CLOSE);
        const back = tf.grad((input) => loss(input, false))(tf.tensor(x, shape));
        expect(distance(numbers(back), inference.dx)).toBeLessThan(CLOSE);
        expect(moving(layer)).toEqual([mean, variance]);
        expect(layer.getWeights().every((weight) => weight.size === channels)).toBe(true);
      }
    }
  });

  it('has the config, the weights and the outputs of the stock layer', () => {
    const layer = batchNormalization({ inputShape: [4, 3], name: 'bn' });
    expect(layer.getConfig()).toEqual(stock.config);
    expect(layer.getClassName()).toBe('BatchNormalization');
    const model = tf.sequential({ layers: [layer] });
    expect(model.weights.map(({ name, shape }) => [name.replace(/_\d+$/, ''), shape]))
      .toEqual(stock.weights.map(([name, shape]) => [(name as string).replace(/_\d+$/, ''), shape]));
    expect(model.weights.map(({ originalName }) => originalName.replace(/.*\//, '')))
      .toEqual(['gamma', 'beta', 'moving_mean', 'moving_variance']);
  });

  it('is what models are made of that are loaded, with the same outputs', async () => {
    const model = await tf.models.modelFromJSON(JSON.parse(stock.json));
    expect(model.layers[0]!.constructor).toBe(batchNormalization().constructor);
    model.setWeights([[1, 2, 3], [0, 1, 0], [1, 2, 1], [2, 3, 4]].map((values) => tf.tensor1d(values)));
    const y = model.predict(tf.tensor(stock.x, [2, 4, 3])) as Tensor;
    expect(distance(numbers(y), (stock.y as number[][][]).flat(2))).toBeLessThan(CLOSE);
    // The stock layer loads what it saves.
    const saved = JSON.parse(JSON.stringify(model.toJSON(null, false)));
    expect(saved.config.layers[0])
      .toMatchObject({ class_name: 'BatchNormalization', config: { axis: -1, momentum: 0.99 } });
    interface FromConfig { fromConfig(cls: unknown, config: unknown): Layer }
    const Stock = tf.layers.batchNormalization().constructor as never as FromConfig;
    expect(Stock.fromConfig(Stock, model.layers[0]!.getConfig()).getConfig()).toEqual(model.layers[0]!.getConfig());
  });

  it('saves and loads weights through a handler', async () => {
    const options = { axis: 1, scale: false, betaConstraint: 'nonNeg', betaRegularizer: 'l1l2' } as const;
    const model = tf.sequential({ layers: [batchNormalization({ inputShape: [3], ...options })] });
    model.layers[0]!.setWeights([[1, 2, 3], [4, 5, 6], [7, 8, 9]].map((values) => tf.tensor1d(values)));
    let artifacts: unknown;
    const modelArtifactsInfo = { dateSaved: new Date(0), modelTopologyType: 'JSON' as const };
    await model.save({ save: async (given) => { artifacts = given; return { modelArtifactsInfo }; } });
    const loaded = await tf.loadLayersModel({ load: async () => artifacts as never });
    expect(loaded.layers[0]!.getWeights().map(numbers)).toEqual([[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
    expect(loaded.layers[0]!.getConfig()).toEqual(model.layers[0]!.getConfig());
  });

  it('reads the axis that Keras 2 saves as a list', () => {
    expect(batchNormalization({ axis: [3] as never }).getConfig().axis).toBe(3);
  });

  it('infers where it is not trainable, itself or with its model', async () => {
    const x = tf.tensor(normal(24, 1), [8, 3]);
    const alone = batchNormalization({ trainable: false });
    expect(distance(numbers(apply(alone, x, { training: true })), numbers(tf.div(x, Math.sqrt(1.001)))))
      .toBeLessThan(CLOSE);
    expect(moving(alone)).toEqual([[0, 0, 0], [1, 1, 1]]);
    const later = batchNormalization();
    apply(later, x, { training: true });
    const before = moving(later);
    expect(before[0]).not.toEqual([0, 0, 0]);
    later.trainable = false;
    apply(later, x, { training: true });
    expect(moving(later)).toEqual(before);
    later.trainable = true;
    apply(later, x, { training: true });
    expect(moving(later)).not.toEqual(before);

    const bn = batchNormalization({ inputShape: [3] });
    const model = tf.sequential({ layers: [bn, tf.layers.dense({ units: 1 })] });
    model.trainable = false;
    apply(bn, x, { training: true });
    expect(moving(bn)).toEqual([[0, 0, 0], [1, 1, 1]]);
  });

  it('tracks statistics in fit, and trains gamma and beta', async () => {
    const x = normal(64, 3, 5, 2), expected = oracle({ shape: [16, 4], axis: -1, eps: 1e-3, x });
    const bn = batchNormalization({ inputShape: [4], momentum: 0.9 });
    const model = tf.sequential({ layers: [bn, tf.layers.dense({ units: 1 })] });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const before = bn.getWeights().slice(0, 2).map(numbers);
    const options = { epochs: 2, batchSize: 16, shuffle: false, verbose: 0 } as const;
    await model.fit(tf.tensor(x, [16, 4]), tf.tensor(normal(16, 4), [16, 1]), options);
    expect(distance(moving(bn)[0]!, expected.mean.map((mean) => 0.19 * mean))).toBeLessThan(CLOSE);
    expect(distance(moving(bn)[1]!, expected.variance.map((variance) => 0.81 + 0.19 * variance))).toBeLessThan(CLOSE);
    expect(bn.getWeights()[0]!.dataSync()).not.toEqual(Float32Array.from(before[0]!));
    expect(bn.getWeights()[1]!.dataSync()).not.toEqual(Float32Array.from(before[1]!));
  });

  it('trains a convolutional net without scale, on the second axis and in rank 5', async () => {
    const model = tf.sequential();
    model.add(tf.layers.reshape({ inputShape: [16], targetShape: [2, 2, 2, 2] }));
    model.add(batchNormalization({ scale: false }));
    model.add(batchNormalization({ axis: 1, center: false }));
    model.add(tf.layers.flatten());
    model.add(tf.layers.dense({ units: 1, useBias: false }));
    model.compile({ optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError' });
    const x = tf.tensor(normal(32 * 16, 5), [32, 16]), target = tf.sum(x, 1, true);
    const { history } = await model.fit(x, target, { epochs: 20, batchSize: 32, verbose: 0 });
    const loss = history.loss as number[];
    expect(loss.at(-1)!).toBeLessThan(0.3 * loss[0]!);
  });

  describe('with a mask', () => {
    const x = [1, 2, 3, 4, 50, 60, 5, 6, 70, 80, 90, 100], shape = [2, 3, 2], valid = [1, 1, 0, 1, 0, 0];
    const kept = (values: number[]) => values.filter((_, i) => valid[Math.floor(i / 2)] === 1);
    const dy = normal(12, 9), statistics = oracle({ shape: [3, 2], axis: -1, eps: 1e-3, x: kept(x) });

    it.each([
      'bool', 'int32', 'float32',
    ] as const)('takes statistics of what counts and normalises everything, by a mask of %s', (dtype) => {
      const layer = batchNormalization({ momentum: 0 }), mask = tf.tensor(valid, [2, 3], dtype);
      const y = apply(layer, tf.tensor(x, shape), { training: true, mask });
      const expected = oracle({ shape, axis: -1, eps: 1e-3, x, mean: statistics.mean, variance: statistics.variance });
      expect(distance(numbers(y), expected.y)).toBeLessThan(CLOSE);
      expect(distance(moving(layer)[0]!, statistics.mean)).toBeLessThan(CLOSE);
      expect(distance(moving(layer)[1]!, statistics.variance)).toBeLessThan(CLOSE);
    });

    it('differentiates through the statistics to what they are of', () => {
      const layer = batchNormalization(), mask = tf.tensor(valid, [2, 3], 'bool');
      layer.build(shape);
      const found = tf.grad((input) =>
        tf.sum(tf.mul(apply(layer, input, { training: true, mask }), tf.tensor(dy, shape))))(tf.tensor(x, shape));
      const loss = (x: number[]) => {
        const { mean, variance } = oracle({ shape: [3, 2], axis: -1, eps: 1e-3, x: kept(x) });
        const { y } = oracle({ shape, axis: -1, eps: 1e-3, x, mean, variance });
        return y.reduce((total, y, i) => total + y * dy[i]!, 0);
      };
      const expected = x.map((_, i) => (loss(x.with(i, x[i]! + 1e-4)) - loss(x.with(i, x[i]! - 1e-4))) / 2e-4);
      expect(distance(numbers(found), expected)).toBeLessThan(4e-5);
    });

    it('differentiates gradients', () => {
      const layer = batchNormalization(), mask = tf.tensor(valid, [2, 3], 'bool');
      layer.build(shape);
      const loss = (input: Tensor) =>
        tf.sum(tf.mul(tf.square(apply(layer, input, { training: true, mask })), tf.tensor(dy, shape)));
      const penalty = (input: Tensor) => tf.sum(tf.mul(tf.grad(loss)(input), tf.tensor(normal(12, 10), shape)));
      const small = x.map((value) => value / 50);
      const second = numbers(tf.grad(penalty)(tf.tensor(small, shape)));
      const plain = (x: number[]) => {
        const { mean, variance } = oracle({ shape: [3, 2], axis: -1, eps: 1e-3, x: kept(x) });
        const { y } = oracle({ shape, axis: -1, eps: 1e-3, x, mean, variance });
        return y.reduce((total, y, i) => total + y * y * dy[i]!, 0);
      };
      const along = normal(12, 10), h = 1e-5;
      const directional = (x: number[]) => {
        const at = (t: number) => plain(x.map((value, i) => value + t * along[i]!));
        return (at(h) - at(-h)) / (2 * h);
      };
      const moved = (i: number, by: number) => directional(small.with(i, small[i]! + by));
      const expected = small.map((_, i) => (moved(i, h) - moved(i, -h)) / (2 * h));
      const scale = Math.max(...expected.map(Math.abs));
      expect(distance(second.map((v) => v / scale), expected.map((v) => v / scale))).toBeLessThan(1e-3);
    });

    it('is used in fit behind a Masking layer, and not where a later layer has none', async () => {
      const padded = [[[1, 2], [3, 4], [0, 0]], [[5, 6], [0, 0], [0, 0]]];
      const input = tf.input({ shape: [3, 2] });
      const masked = batchNormalization({ momentum: 0 });
      const unmasked = batchNormalization({ momentum: 0, gammaInitializer: 'ones' });
      const behind = masked.apply(tf.layers.masking().apply(input));
      const flat = tf.layers.dense({ units: 1 }).apply(tf.layers.flatten().apply(behind as never));
      const other = unmasked.apply(tf.layers.flatten().apply(input));
      const model = tf.model({ inputs: input, outputs: [flat, other] as never });
      model.compile({ optimizer: tf.train.sgd(0), loss: 'meanSquaredError' });
      const targets = [tf.zeros([2, 1]), tf.zeros([2, 6])];
      await model.fit(tf.tensor3d(padded), targets, { epochs: 1, batchSize: 2, verbose: 0 });
      expect(distance(moving(masked)[0]!, [3, 4])).toBeLessThan(CLOSE);
      expect(distance(moving(masked)[1]!, [8 / 3, 8 / 3])).toBeLessThan(CLOSE);
      expect(distance(moving(unmasked)[0]!, [3, 4, 1.5, 2, 0, 0])).toBeLessThan(CLOSE);
    });

    it('is used behind an Embedding and through a recurrent layer', async () => {
      const tokens = tf.tensor2d([[1, 2, 0], [3, 0, 0]]), table = tf.tensor2d([[9, 9], [1, 2], [3, 4], [5, 6]]);
      const embedding = tf.layers.embedding({
        inputDim: 4, outputDim: 2, inputLength: 3, maskZero: true, weights: [table], trainable: false,
      });
      const bn = batchNormalization({ momentum: 0 }), later = batchNormalization({ momentum: 0 });
      const rnn = tf.layers.simpleRNN({ units: 2, returnSequences: true, recurrentInitializer: 'glorotUniform' });
      const model = tf.sequential({ layers: [embedding, bn, rnn, later] });
      model.compile({ optimizer: tf.train.sgd(0), loss: 'meanSquaredError' });
      await model.fit(tokens, tf.zeros([2, 3, 2]), { epochs: 1, verbose: 0 });
      expect(distance(moving(bn)[0]!, [3, 4])).toBeLessThan(CLOSE);
      // Moving statistics are now those of the batch: inference gives what training gave.
      const sequences = numbers(tf.model({ inputs: model.inputs, outputs: rnn.output }).predict(tokens) as Tensor);
      const expected = oracle({ shape: [3, 2], axis: -1, eps: 1e-3, x: [0, 1, 2, 3, 6, 7].map((i) => sequences[i]!) });
      expect(distance(moving(later)[0]!, expected.mean)).toBeLessThan(1e-5);
    });

    it('is used behind a layer of the user that makes one', async () => {
      class Positive extends tf.layers.Layer {
        static readonly className = 'Positive';
        override supportsMasking = true;
        override call(inputs: Tensor | Tensor[]) { return Array.isArray(inputs) ? inputs[0]! : inputs; }
        override computeMask(inputs: Tensor | Tensor[]) {
          return tf.any(tf.greater(this.call(inputs), 0), -1) as Tensor;
        }
      }
      const bn = batchNormalization({ momentum: 0 });
      const model = tf.sequential({ layers: [new Positive({ inputShape: [3, 2] }), bn] });
      model.compile({ optimizer: tf.train.sgd(0), loss: 'meanSquaredError' });
      const x = tf.tensor3d([1, 2, 3, 4, -9, -9, 5, 6, -9, -9, -9, -9], [2, 3, 2]);
      await model.fit(x, x, { epochs: 1, verbose: 0 });
      expect(distance(moving(bn)[0]!, [3, 4])).toBeLessThan(CLOSE);
    });

    it('is spread over further positions, and over channels where the channels are among its axes', () => {
      const shape = [2, 3, 2, 2], x = normal(24, 7), mask = tf.tensor(valid, [2, 3], 'bool');
      const inner = batchNormalization({ momentum: 0 });
      apply(inner, tf.tensor(x, shape), { training: true, mask });
      const counted = x.filter((_, i) => valid[Math.floor(i / 4)] === 1);
      const rows = oracle({ shape: [6, 2], axis: -1, eps: 1e-3, x: counted });
      expect(distance(moving(inner)[0]!, rows.mean)).toBeLessThan(CLOSE);
      // Axis 1: channel c of sample n counts where the mask has a 1 at [n, c].
      const across = batchNormalization({ axis: 1, momentum: 0 });
      apply(across, tf.tensor(x, shape), { training: true, mask });
      const means = [0, 1, 2].map((c) => {
        const own = x.filter((_, i) => Math.floor(i / 4) % 3 === c && valid[Math.floor(i / 4)] === 1);
        return own.length ? own.reduce((a, b) => a + b) / own.length : 0;
      });
      expect(distance(moving(across)[0]!, means)).toBeLessThan(CLOSE);
    });

    it('may have the positions beside the channel axis', () => {
      const layer = batchNormalization({ axis: 1, momentum: 0 }), first = [2, 2, 3];
      const transposed = [0, 1].flatMap((n) => [0, 1].flatMap((c) => [0, 1, 2].map((t) => x[n * 6 + t * 2 + c]!)));
      apply(layer, tf.tensor(transposed, first), { training: true, mask: tf.tensor(valid, [2, 3], 'bool') });
      expect(distance(moving(layer)[0]!, statistics.mean)).toBeLessThan(CLOSE);
    });

    it('leaves moving statistics alone where nothing counts', () => {
      const layer = batchNormalization({ momentum: 0 });
      const y = apply(layer, tf.tensor(x, shape), { training: true, mask: tf.zeros([2, 3], 'bool') });
      expect(moving(layer)).toEqual([[0, 0], [1, 1]]);
      expect(numbers(y).every(Number.isFinite)).toBe(true);
    });
  });

  it('leaves moving statistics alone for an empty batch', () => {
    const layer = batchNormalization({ momentum: 0 });
    expect(apply(layer, tf.zeros([0, 3]), { training: true }).shape).toEqual([0, 3]);
    expect(moving(layer)).toEqual([[0, 0, 0], [1, 1, 1]]);
  });

  it.each([
    ['an axis that the input has not',
      () => batchNormalization({ axis: 4, name: 'mine' }).build([null, 3]), /mine.*axis.*4/],
    ['an axis of no defined size',
      () => batchNormalization({ axis: 1, name: 'mine' }).build([null, null, 3]), /mine.*axis 1.*null/],
    ['an axis that is no integer', () => batchNormalization({ axis: 'last' as never, name: 'mine' }), /mine.*axis/],
    ['several axes', () => batchNormalization({ axis: [1, 2] as never, name: 'mine' }), /mine.*axis/],
    ['an input of another number of channels', () => {
      const layer = batchNormalization({ name: 'mine' });
      apply(layer, tf.zeros([2, 3]));
      apply(layer, tf.zeros([2, 4]));
    }, /mine/],
    ['two inputs',
      () => batchNormalization({ name: 'mine' }).call([tf.zeros([2, 3]), tf.zeros([2, 3])], {}), /mine.*one input/],
    ['a mask of another shape', () => {
      apply(batchNormalization({ name: 'mine' }), tf.zeros([2, 3, 4]), { training: true, mask: tf.ones([2, 4]) });
    }, /mine.*mask.*\[2,3\].*\[2,4\]/],
    ['a negative epsilon', () => batchNormalization({ name: 'mine', epsilon: -1 }), /mine.*epsilon.*-1/],
    ['a momentum that is no number',
      () => batchNormalization({ name: 'mine', momentum: '0.9' as never }), /mine.*momentum/],
  ])('throws for %s, naming itself', (_, action, message) => {
    expect(() => tf.tidy(() => { action(); })).toThrow(message);
  });
});
