import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../../src/tfjs/index.js';
import { distance } from '../setup.js';
import { BACKENDS, tf } from './setup.js';

type Tensor = ReturnType<typeof tf.tensor>;
type Symbolic = ReturnType<typeof tf.input>;
type Layer = ReturnType<typeof batchNormalization>;
type Layers = Layer[];

/** Of means of a few f32 numbers, that come from other f32 operations of tfjs. */
const CLOSE = 1e-5;
const { batchNormalization } = registerBatchNorm(tf);

/** Two samples of three steps; the second has one step, the first has two. */
const PADDED = [[[1, 2], [3, 4], [0, 0]], [[5, 6], [0, 0], [0, 0]]], VALID = [[1, 1, 0], [1, 0, 0]], EVERYTHING = [[1, 1, 1], [1, 1, 1]];
/** A recurrent layer. The default initializer of tfjs needs chained operations. */
const recurrent = (kind: 'simpleRNN' | 'lstm' | 'gru', units: number, returnSequences = false) =>
  tf.layers[kind]({ units, returnSequences, recurrentInitializer: 'glorotUniform' });
const bidirectional = (layer: Layer, mergeMode: 'sum' | 'ave' | 'concat') => tf.layers.bidirectional({ layer: layer as never, mergeMode });
/** Momentum 0: moving statistics are those of the latest batch. */
const bn = (config = {}) => batchNormalization({ momentum: 0, ...config });
const masking = (inputShape = [3, 2]) => tf.layers.masking({ inputShape });
const moving = (layer: Layer) => layer.getWeights().slice(-2).map((tensor) => Array.from(tensor.dataSync()));
const apply = <T extends Tensor | Symbolic>(layer: { apply(inputs: never, kwargs?: object): unknown }, inputs: T | T[], kwargs?: object) =>
  layer.apply(inputs as never, kwargs) as T;

/** One step on one batch that changes nothing but moving statistics. */
async function step(model: ReturnType<typeof tf.model>, x: Tensor | Tensor[]): Promise<void> {
  model.compile({ optimizer: tf.train.sgd(0), loss: 'meanSquaredError' });
  const y = model.predict(x), outputs = (Array.isArray(y) ? y : [y]).map((output) => tf.zerosLike(output));
  await model.fit(x, outputs, { epochs: 1, batchSize: 64, shuffle: false, verbose: 0 });
}

/** Mean and variance of the last axis over the rows that count. */
function statistics(values: Tensor, counts: number[][]): number[][] {
  const channels = values.shape.at(-1)!, rows = tf.reshape(values, [-1, channels]).arraySync() as number[][];
  const each = rows.length / counts.flat().length, own = rows.filter((_, i) => counts.flat()[Math.floor(i / each)] === 1);
  const columns = rows[0]!.map((_, c) => own.map((row) => row[c]!));
  const mean = columns.map((column) => column.reduce((a, b) => a + b) / column.length);
  return [mean, columns.map((column, c) => column.reduce((sum, x) => sum + (x - mean[c]!) ** 2, 0) / column.length)];
}

function expectMoving(layer: Layer, [mean, variance]: number[][]): void {
  expect(distance(moving(layer)[0]!, mean!)).toBeLessThan(CLOSE);
  expect(distance(moving(layer)[1]!, variance!)).toBeLessThan(CLOSE);
}

/** Trains layers in a row and says whether the batch norm among them took these positions of its input. */
async function expectRow(layers: Layers, counts: number[][] | null, x: Tensor = tf.tensor(PADDED)): Promise<void> {
  const model = tf.sequential({ layers }), own = layers.find((layer) => layer.getClassName() === 'BatchNormalization')!;
  const input = tf.model({ inputs: model.inputs, outputs: own.input as Symbolic }).predict(x) as Tensor;
  await step(model, x);
  expectMoving(own, statistics(input, counts ?? [Array.from({ length: input.size / input.shape.at(-1)! }, () => 1)]));
}

describe.each(BACKENDS)('a mask on %s', (backend) => {
  beforeAll(async () => { await tf.setBackend(backend); });
  beforeEach(() => { tf.engine().startScope(); return () => { tf.engine().endScope(); }; });

  it('ends where a recurrent layer returns its last output alone', async () => {
    const layer = bn();
    const rnn = tf.layers.simpleRNN({ units: 2, activation: 'linear', kernelInitializer: 'ones', recurrentInitializer: 'zeros' });
    await step(tf.sequential({ layers: [masking([2, 1]), rnn, layer] }), tf.tensor3d([[[1], [2]], [[3], [0]], [[5], [8]]]));
    expect(distance(moving(layer)[0]!, [13 / 3, 13 / 3])).toBeLessThan(CLOSE);
  });

  describe.each([2, 3, 4])('behind %d units', (units) => {
    it.each([
      ['a simple recurrent layer', () => [recurrent('simpleRNN', units)]],
      ['an LSTM', () => [recurrent('lstm', units)]],
      ['a GRU', () => [recurrent('gru', units)]],
      ['recurrent layers on another', () => [recurrent('lstm', 3, true), recurrent('gru', units)]],
      ['a bidirectional layer', () => [bidirectional(recurrent('lstm', units), 'sum')]],
      ['a recurrent and a dense layer', () => [recurrent('gru', 5), tf.layers.dense({ units })]],
      ['a flattening layer', () => [tf.layers.flatten(), tf.layers.dense({ units })]],
      ['a pooling layer', () => [tf.layers.globalAveragePooling1d({}), tf.layers.dense({ units })]],
    ] as [string, () => Layers][])('is not used after %s', async (_, between) => {
      await expectRow([masking(), ...between(), bn()], null);
    });

    it.each([
      ['a recurrent layer that returns sequences', () => [recurrent('lstm', units, true)]],
      ['two of them', () => [recurrent('gru', 2, true), recurrent('simpleRNN', units, true)]],
      ['a bidirectional one', () => [bidirectional(recurrent('gru', units, true), 'ave')]],
      ['dense layers, activations and dropout', () =>
        [tf.layers.dense({ units }), tf.layers.activation({ activation: 'tanh' }), tf.layers.dropout({ rate: 0 })]],
      ['a dense layer for each step', () => [tf.layers.timeDistributed({ layer: tf.layers.dense({ units }) })]],
    ] as [string, () => Layers][])('is used after %s', async (_, between) => {
      await expectRow([masking(), ...between(), bn()], VALID);
    });

    it('is used behind an Embedding', async () => {
      const embedding = tf.layers.embedding({ inputDim: 4, outputDim: units, inputLength: 3, maskZero: true, trainable: false });
      await expectRow([embedding, bn()], VALID, tf.tensor2d([[1, 2, 0], [3, 0, 0]]));
      const unmasked = tf.layers.embedding({ inputDim: 4, outputDim: units, inputLength: 3, trainable: false });
      await expectRow([unmasked, bn()], null, tf.tensor2d([[1, 2, 0], [3, 0, 0]]));
    });
  });

  describe('through a layer that merges', () => {
    const inputs = () => [tf.input({ shape: [3, 2] }), tf.input({ shape: [3, 2] })] as [Symbolic, Symbolic];
    const x = () => tf.tensor(PADDED), other = () => tf.tensor3d([[[9, 1], [0, 0], [4, 4]], [[2, 5], [1, 8], [7, 3]]]);
    const masked = (input: Symbolic) => apply(tf.layers.masking(), input);
    const dense = (input: Symbolic) => apply(tf.layers.dense({ units: 2 }), input);
    const both = [[1, 0, 0], [1, 0, 0]];

    it.each(['add', 'average', 'maximum', 'minimum', 'multiply', 'concatenate'] as const)('(%s) is that of the branches', async (kind) => {
      const merge = () => tf.layers[kind]() as Layer;
      const cases: [(a: Symbolic, b: Symbolic) => Symbolic[], number[][]][] = [
        [(a) => { const m = masked(a); return [m, dense(m)]; }, VALID],
        [(a) => { const m = masked(a); return [m, dense(m), m]; }, VALID],
        [(a, b) => [masked(a), masked(b)], both],
        [(a, b) => [masked(a), dense(b)], VALID],
        [(a, b) => [dense(b), masked(a)], VALID],
        [(a, b) => [dense(a), dense(b)], EVERYTHING],
      ];
      for (const [branches, counts] of cases) {
        const [a, b] = inputs(), layer = bn(), merged = apply(merge(), branches(a, b));
        await step(tf.model({ inputs: [a, b], outputs: apply(layer, merged) }), [x(), other()]);
        const input = tf.model({ inputs: [a, b], outputs: merged }).predict([x(), other()]) as Tensor;
        expectMoving(layer, statistics(input, counts));
      }
    });
  });

  describe('and models in a model', () => {
    const dense = () => tf.layers.dense({ units: 2 });
    const inner = (...layers: Layers) => tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [3, 2] }), ...layers] });
    const functional = (build: (x: Symbolic) => Symbolic) => {
      const input = tf.input({ shape: [3, 2] });
      return tf.model({ inputs: input, outputs: build(input) });
    };
    const values = () => statistics(tf.tensor(PADDED), VALID);

    it('arrives in one that begins behind it, however deep', async () => {
      const kinds: ((layer: Layer) => Layers)[] = [
        (layer) => [inner(layer)],
        (layer) => [inner(inner(layer))],
        (layer) => [functional((x) => apply(layer, x))],
        (layer) => [inner(functional((x) => apply(inner(layer), x)))],
      ];
      for (const within of kinds) {
        const layer = bn();
        await step(tf.sequential({ layers: [masking(), ...within(layer)] }), tf.tensor(PADDED));
        expectMoving(layer, values());
      }
    });

    it('comes out of one that makes it', async () => {
      const layer = bn();
      await step(tf.sequential({ layers: [inner(inner(tf.layers.masking())), layer] }), tf.tensor(PADDED));
      expectMoving(layer, values());
      const later = bn(), first = dense();
      const middle = inner(tf.layers.activation({ activation: 'tanh' }));
      const model = tf.sequential({ layers: [inner(tf.layers.masking(), first), middle, later] });
      await step(model, tf.tensor(PADDED));
      expectMoving(later, statistics(tf.tanh(apply(first, tf.tensor(PADDED))), VALID));
    });

    it('ends in one that ends it', async () => {
      const layer = bn(), rnn = recurrent('gru', 3);
      await step(tf.sequential({ layers: [masking(), inner(rnn), layer] }), tf.tensor(PADDED));
      const last = apply(rnn, tf.tensor(PADDED), { mask: tf.tensor(VALID, [2, 3], 'bool') });
      expectMoving(layer, statistics(last, [[1, 1]]));
    });

    it('does not reach one beside it, nor one behind that', async () => {
      const input = tf.input({ shape: [3, 2] }), [within, beside, after] = [bn(), bn(), bn()];
      const masked = apply(within, apply(tf.layers.masking(), input));
      const other = apply(after, apply(inner(beside), input));
      await step(tf.model({ inputs: input, outputs: [masked, other] }), tf.tensor(PADDED));
      expectMoving(within, values());
      expectMoving(beside, statistics(tf.tensor(PADDED), EVERYTHING));
      expect(distance(moving(after)[0]!, [0, 0])).toBeLessThan(CLOSE);
    });

    it('belongs to one of the inputs of a model, and not to the others', async () => {
      const [a, b] = [tf.input({ shape: [3, 2] }), tf.input({ shape: [3, 2] })], [first, second, merged] = [bn(), bn(), bn()];
      // The first of three to be added has no mask, which stock tfjs cannot do where it knows of the second.
      const sum = apply(tf.layers.add(), [apply(second, b), apply(first, a), b]);
      const both = tf.model({ inputs: [a, b], outputs: apply(merged, sum) });
      const [x, z] = [tf.input({ shape: [3, 2] }), tf.input({ shape: [3, 2] })];
      const outer = tf.model({ inputs: [x, z], outputs: apply(both, [apply(tf.layers.masking(), x), z]) });
      await step(outer, [tf.tensor(PADDED), tf.mul(tf.tensor(PADDED), 2)]);
      expectMoving(first, values());
      expectMoving(second, statistics(tf.mul(tf.tensor(PADDED), 2), EVERYTHING));
      const added = tf.model({ inputs: [a, b], outputs: sum });
      expectMoving(merged, statistics(added.predict([tf.tensor(PADDED), tf.mul(tf.tensor(PADDED), 2)]) as Tensor, VALID));
    });

    it('is that of the call, where a model or a layer is shared', async () => {
      for (const shared of [bn(), inner(bn({ name: 'inner' }))]) {
        const own = shared.getClassName() === 'Sequential' ? (shared as ReturnType<typeof inner>).layers.at(-1)! : shared;
        for (const order of [[0, 1], [1, 0]]) {
          const input = tf.input({ shape: [3, 2] }), seen: number[][][] = [];
          const branches = [() => apply(tf.layers.masking(), input), () => apply(tf.layers.reLU({}), input)];
          const outputs = order.map((i) => apply(shared, branches[i]!()));
          const write = own.call;
          own.call = function (...call) { const y = write.apply(this, call); seen.push(moving(own)); return y; };
          await step(tf.model({ inputs: input, outputs }), tf.tensor(PADDED));
          own.call = write;
          const expected = [VALID, EVERYTHING].map((counts) => statistics(tf.tensor(PADDED), counts));
          const trained = seen.slice(-2).sort((a, b) => b[0]![0]! - a[0]![0]!);
          trained.forEach((statistics, i) => { expect(distance(statistics[0]!, expected[i]![0]!)).toBeLessThan(CLOSE); });
        }
      }
    });
  });

  it('is a column of itself at every step of a TimeDistributed', async () => {
    const kinds: ((layer: Layer) => Layer)[] = [
      (layer) => layer,
      (layer) => tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [3] }), layer] }),
    ];
    // As many channels as steps: the whole mask would fit each step as one of channels.
    const x = tf.tensor3d([[[1, 2, 3], [3, 4, 5], [0, 0, 0]], [[5, 6, 7], [0, 0, 0], [0, 0, 0]]]);
    for (const kind of kinds) {
      const layer = bn({ momentum: 0.5 }), wrapper = tf.layers.timeDistributed({ layer: kind(layer) });
      await step(tf.sequential({ layers: [masking([3, 3]), wrapper] }), x);
      // Means [3, 4, 5] and [3, 4, 5], variances 4 and 0; nothing counts in the third step.
      expectMoving(layer, [[2.25, 3, 3.75], [1.25, 1.25, 1.25]]);
      expect(Object.hasOwn((wrapper as unknown as { layer: object }).layer, 'call')).toBe(false);
      const unmasked = bn({ momentum: 0.5 });
      await step(tf.sequential({ layers: [tf.layers.timeDistributed({ layer: kind(unmasked), inputShape: [3, 3] })] }), x);
      expect(distance(moving(unmasked)[0]!, [0.75, 1, 1.25])).toBeLessThan(CLOSE);
    }
  });

  it('reaches layers in a layer of the user, by its arguments or by what it is applied to', async () => {
    type Run = (bn: Layer, x: Tensor, kwargs: { training?: boolean; mask?: Tensor }) => Tensor;
    class Block extends tf.layers.Layer {
      static readonly className = 'Block';
      bn?: Layer;
      run?: Run;
      override call(inputs: Tensor | Tensor[], kwargs: object) {
        return this.run!(this.bn!, Array.isArray(inputs) ? inputs[0]! : inputs, kwargs);
      }
    }
    const call = (bn: Layer, x: Tensor, kwargs: object) => {
      if (!bn.built) bn.build(x.shape);
      return bn.call(x, kwargs as never) as Tensor;
    };
    const block = (bn: Layer, run: Run) => Object.assign(new Block(), { bn, run });
    const runs: [Run, number[][]][] = [
      [(bn, x, kwargs) => apply(bn, x, kwargs), VALID],
      [(bn, x, kwargs) => call(bn, x, kwargs), VALID],
      [(bn, x, kwargs) => apply(bn, tf.mul(x, 1), kwargs), VALID],
      [(bn, x, { training, mask }) => apply(bn, tf.mul(x, 1), { training, mask }), VALID],
      [(bn, x, { training, mask }) => call(bn, tf.mul(x, 1), { training, mask }), VALID],
      [(bn, x, { training }) => apply(bn, tf.mul(x, 1), { training }), EVERYTHING],
      [(bn, x, kwargs) => tf.reshape(apply(bn, tf.reshape(x, [2, 6]), kwargs), [2, 3, 2]), EVERYTHING],
      [(bn, x, { training, mask }) => tf.reshape(apply(bn, tf.reshape(x, [2, 6]), { training, mask }), [2, 3, 2]), EVERYTHING],
      [(bn, x, { training }) => apply(bn, tf.mul(x, 1), { training, mask: tf.tensor2d([[0, 0, 0], [1, 0, 0]]) }), [[0, 0, 0], [1, 0, 0]]],
    ];
    for (const [run, counts] of runs) {
      const [masked, unmasked] = [bn(), bn()];
      await step(tf.sequential({ layers: [masking(), block(masked, run), tf.layers.dense({ units: 1 })] }), tf.tensor(PADDED));
      const own = moving(masked)[0]!.length === 6 ? tf.reshape(tf.tensor(PADDED), [2, 6]) : tf.tensor(PADDED);
      expectMoving(masked, statistics(own, own.shape.length === 2 ? [[1, 1]] : counts));
      // Behind a layer that ends the mask, which tfjs hands on all the same.
      const ended = [masking(), tf.layers.reshape({ targetShape: [3, 2] })];
      const model = tf.sequential({ layers: [...ended, block(unmasked, run), tf.layers.dense({ units: 1 })] });
      await step(model, tf.tensor(PADDED));
      expectMoving(unmasked, statistics(own, counts[0]![0] === 0 ? counts : own.shape.length === 2 ? [[1, 1]] : EVERYTHING));
    }
  });

  it('travels with tensors outside of models as well', () => {
    const x = tf.tensor(PADDED), mask = tf.tensor2d(VALID, [2, 3], 'bool'), dense = tf.layers.dense({ units: 2 });
    const run = (y: () => Tensor, kwargs = {}) => { const layer = bn(); apply(layer, y(), { training: true, ...kwargs }); return layer; };
    const y = apply(dense, x);
    expectMoving(run(() => apply(tf.layers.masking(), x)), statistics(x, VALID));
    expectMoving(run(() => tf.tidy(() => apply(dense, apply(tf.layers.masking(), x)))), statistics(y, VALID));
    expectMoving(run(() => apply(tf.layers.flatten(), apply(tf.layers.masking(), x))), statistics(tf.reshape(x, [2, 6]), [[1, 1]]));
    expectMoving(run(() => apply(dense, x, { training: true, mask })), statistics(y, VALID));
    // What the caller says goes before what is known.
    expectMoving(run(() => apply(tf.layers.masking(), x), { mask: tf.ones([2, 3]) }), statistics(x, EVERYTHING));
    expectMoving(run(() => y, { mask }), statistics(y, VALID));
    expectMoving(run(() => y), statistics(y, EVERYTHING));
    // As merging layers of tfjs make it.
    expectMoving(run(() => y, { mask: tf.expandDims(mask, 0) }), statistics(y, VALID));
  });

  it('may be given to a model, for its inputs', () => {
    const [input, layer, flat] = [tf.input({ shape: [3, 2] }), bn(), bn()], x = tf.tensor(PADDED);
    const model = tf.model({ inputs: input, outputs: [apply(layer, input), apply(flat, apply(tf.layers.flatten(), input))] });
    const kwargs = { training: true, mask: tf.tensor2d(VALID, [2, 3], 'bool') };
    for (const given of [kwargs, kwargs, { training: true, mask: [kwargs.mask] }]) {
      model.apply(x, given);
      expectMoving(layer, statistics(x, VALID));
      expectMoving(flat, statistics(tf.reshape(x, [2, 6]), [[1, 1]]));
    }
    // That was said of one call.
    model.apply(x, { training: true });
    expectMoving(layer, statistics(x, EVERYTHING));
    const again = bn();
    apply(again, x, { training: true });
    expectMoving(again, statistics(x, EVERYTHING));
  });

  it('throws if the caller gave it and it does not fit, and is left out if not', () => {
    const x = tf.tensor(PADDED);
    for (const run of ['apply', 'call'] as const) {
      const layer = bn({ name: 'mine' });
      layer.build([null, 3, 2]);
      expect(() => layer[run](x, { training: true, mask: tf.ones([2, 2]) })).toThrow(/mine.*mask.*\[2,3\].*\[2,2\]/);
      expect(() => layer[run](x, { training: true, mask: [1, 1] as never })).toThrow(/mine.*mask must be a Tensor/);
      expect(moving(layer)).toEqual([[0, 0], [1, 1]]);
    }
    class Odd extends tf.layers.Layer {
      static readonly className = 'Odd';
      override supportsMasking = true;
      override call(inputs: Tensor | Tensor[]) { return tf.mul(Array.isArray(inputs) ? inputs[0]! : inputs, 1) as Tensor; }
      override computeMask() { return tf.ones([7, 5], 'bool') as Tensor; }
    }
    const layer = bn();
    apply(layer, apply(new Odd(), x), { training: true });
    expectMoving(layer, statistics(x, EVERYTHING));
  });

  it('changes nothing in prediction and evaluation, and leaves nothing behind', async () => {
    const layer = bn(), rnn = recurrent('gru', 3, true);
    const inner = tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [3, 2] }), rnn, layer] });
    const model = tf.sequential({ layers: [masking(), inner, bn()] });
    const x = tf.tensor(PADDED);
    await step(model, x);
    const before = moving(layer), { numTensors } = tf.memory();
    tf.tidy(() => { model.predict(x); });
    tf.dispose(model.evaluate(x, tf.zeros([2, 3, 3])) as Tensor);
    expect(moving(layer)).toEqual(before);
    const train = () => tf.tidy(() => { model.apply(x, { training: true }); });
    train();
    expect(tf.memory().numTensors).toBe(numTensors + 1);
  });
});
