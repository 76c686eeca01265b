/**
 * What goes wrong in collectives that all ranks take part in: the same table over every engine. Each row has three ranks, of which
 * rank 1 differs; all must throw one sentence, nothing may have changed anywhere, and the group must go on.
 */
import { expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type Floats, forwardParts, type Gradients } from '../../src/index.js';
import { type Group, gatherNumbers, sumOver, syncBackward, syncForward, syncStep } from '../../src/sync/index.js';
import { normal } from '../data.js';

const C = 3;
const SHAPE = [4, C, 2];
const data = (rank: number, seed = 0) => Float32Array.from(normal(24, 10 * seed + rank));

interface Row {
  readonly what: string;
  /** Of rank 1's layer, where it differs. */
  readonly options?: BatchNormOptions;
  /** Of all layers. */
  readonly common?: BatchNormOptions;
  readonly channels?: number;
  /** What ranks do to their layers first. */
  before?(bn: BatchNorm, rank: number): void;
  /** Default: a forward. */
  action?(bn: BatchNorm, group: Group, rank: number): Promise<unknown>;
  readonly message: string | RegExp;
}

const forward = (bn: BatchNorm, group: Group, rank: number, more = {}) =>
  syncForward(bn, group, Float32Array.from(normal(8 * bn.channels, rank)), [4, bn.channels, 2], more);
const own = (rank: number, odd: object) => (rank === 1 ? odd : {});

const FAILS: Row[] = [
  { what: 'x of another length', action: (bn, group, rank) => syncForward(bn, group, data(rank).subarray(rank === 1 ? 1 : 0), SHAPE), message: 'rank 1 has failed in forward of layer 0: "x" expected Float32Array of length 24 (4x3x2), got length 23' },
  { what: 'x of another type', action: (bn, group, rank) => syncForward(bn, group, (rank === 1 ? Float64Array.from(data(1)) : data(rank)) as Float32Array, SHAPE), message: '"x" expected Float32Array or a Tensor of float32, got Float64Array of length 24' },
  { what: 'other channels in the shape', action: (bn, group, rank) => syncForward(bn, group, data(rank), rank === 1 ? [4, 2, 3] : SHAPE), message: '"shape" expected 3 channels (channels-first), got [4, 2, 3]' },
  { what: 'no shape', action: (bn, group, rank) => syncForward(bn, group, data(rank), (rank === 1 ? undefined : SHAPE) as never), message: '"shape" expected an array of dimensions' },
  { what: 'a mask of another length', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { mask: new Uint8Array(3) })), message: '"mask" expected' },
  { what: 'a residual of another length', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { residual: new Float32Array(3) })), message: '"residual" expected length 24 as "x" has, got length 3' },
  { what: 'a residual of another type', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { residual: new Float64Array(24) })), message: '"residual" expected Float32Array as "x" is' },
  { what: 'an out of another length', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { out: new Float32Array(23) })), message: '"out" expected length 24' },
  { what: 'an out that overlaps x', action: (bn, group, rank) => {
    const memory = new Float32Array(25);
    return syncForward(bn, group, memory.subarray(0, 24), SHAPE, rank === 1 ? { out: memory.subarray(1) } : {});
  }, message: '"out" expected to be "x" itself or apart from x' },
  { what: 'an out that overlaps the residual', action: (bn, group, rank) => {
    const memory = new Float32Array(25);
    return forward(bn, group, rank, rank === 1 ? { out: memory.subarray(1), residual: memory.subarray(0, 24) } : {});
  }, message: '"out" expected to be "residual" itself or apart from residual' },
  { what: 'a misspelt option', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { masks: 1 })), message: 'got "masks"' },
  { what: 'updateStats that is none', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { updateStats: 1 })), message: '"updateStats" expected true or false, got number 1' },
  { what: 'a layer name that is none', action: (bn, group, rank) => forward(bn, group, rank, own(rank, { layer: {} })), message: '"layer" expected a name or a number, got Object' },
  { what: 'no module', action: (bn, group, rank) => forward((rank === 1 ? { channels: C } : bn) as BatchNorm, group, rank), message: 'rank 1 has failed in forward: "bn" expected a BatchNorm, got Object' },
  { what: 'a disposed module', before: (bn, rank) => { if (rank === 1) bn.dispose(); }, message: 'BatchNorm expected to be in use, got one that has been disposed' },
  { what: 'two ranks at once', action: (bn, group, rank) => forward(bn, group, rank, rank > 0 ? { masks: 1 } : {}), message: /^rank 1 has failed in forward of layer 0: .*; rank 2 has failed in forward of layer 0: / },
  { what: 'backward before forward', action: (bn, group, rank) => syncBackward(bn, group, data(rank)), message: 'backward() expected a forward() before it, got none' },
  { what: 'dy of another length', action: async (bn, group, rank) => {
    await forward(bn, group, rank, { updateStats: false });
    return syncBackward(bn, group, data(rank).subarray(rank === 1 ? 1 : 0));
  }, message: 'rank 1 has failed in backward of layer 0: "dy" expected' },
  { what: 'the context of a forward alone', action: async (bn, group, rank) => {
    if (rank === 1) bn.forward(data(rank), SHAPE, { updateStats: false });
    else await bn.forward(data(rank), SHAPE, { updateStats: false });
    return syncBackward(bn, group, data(rank));
  }, message: '"context" expected that of a syncForward() with this group' },
  { what: 'an out of backward that overlaps x', action: async (bn, group, rank) => {
    const x = data(rank);
    await syncForward(bn, group, x, SHAPE, { updateStats: false });
    return syncBackward(bn, group, data(rank), rank === 1 ? { out: x } : {});
  }, message: '"out" expected to be apart from x' },
  { what: 'parameters that are none', action: async (bn, group, rank) => {
    await forward(bn, group, rank, { updateStats: false });
    return syncBackward(bn, group, data(rank), own(rank, { parameters: true }) as never);
  }, message: '"parameters" expected \'whole\' or \'part\'' },
  { what: 'numbers that are none', action: (_, group, rank) => gatherNumbers(group, (rank === 1 ? '3' : 3) as number), message: 'rank 1 has failed in numbers: "value" expected a number, got string' },
  { what: 'arrays that are none', action: (_, group, rank) => sumOver(group, (rank === 1 ? [[1]] : [data(rank)]) as Floats[]), message: 'rank 1 has failed in sum: "arrays" expected' },
];

const DISAGREE: Row[] = [
  { what: 'eps', options: { eps: 1e-3 }, message: 'ranks disagree in forward of layer 0: eps 0.00001 on ranks 0 and 2, 0.001 on rank 1' },
  { what: 'momentum', options: { momentum: null }, message: 'momentum 0.1 on ranks 0 and 2, null on rank 1' },
  { what: 'channels', channels: 4, message: 'channels 3 on ranks 0 and 2, 4 on rank 1' },
  { what: 'the variance that is tracked', options: { runningVariance: 'biased' }, message: 'runningVariance "unbiased" on ranks 0 and 2, "biased" on rank 1' },
  { what: 'activation', options: { activation: 'relu' }, message: 'activation "none" on ranks 0 and 2, "relu" on rank 1' },
  { what: 'onSingleValue', options: { onSingleValue: 'zero' }, message: 'onSingleValue "error" on ranks 0 and 2' },
  { what: 'onNonFinite', options: { onNonFinite: 'skip' }, message: 'onNonFinite "propagate" on ranks 0 and 2' },
  { what: 'renormalization', common: { renorm: { rMax: 3, dMax: 5 } }, options: { renorm: { rMax: 3, dMax: 4 } }, message: 'dMax 5 on ranks 0 and 2, 4 on rank 1' },
  { what: 'running statistics', options: { trackRunningStats: false }, message: 'running statistics true on ranks 0 and 2, false on rank 1' },
  { what: 'a weight', options: { weight: false }, message: 'weight true on ranks 0 and 2, false on rank 1' },
  { what: 'the values of the weight', before: (bn, rank) => { if (rank === 1) bn.weight![2] = -1; }, message: 'digest of weight and bias' },
  { what: 'the sign of two biases', before: (bn, rank) => bn.bias!.set(rank === 1 ? [1, 1, 0] : [-1, -1, 0]), message: 'digest of weight and bias' },
  { what: 'the values of the running variance', before: (bn, rank) => { if (rank === 1) bn.runningVar![0] = 2; }, message: 'digest of running mean and variance' },
  { what: 'the counter', before: (bn, rank) => { if (rank === 1) bn.numBatchesTracked = 7; }, message: 'batches tracked 0 on ranks 0 and 2, 7 on rank 1' },
  { what: 'updateStats', action: (bn, group, rank) => forward(bn, group, rank, { updateStats: rank !== 1 }), message: 'updateStats true on ranks 0 and 2, false on rank 1' },
  { what: 'training, without running statistics', common: { trackRunningStats: false }, before: (bn, rank) => { if (rank === 1) bn.eval(); }, message: 'training true on ranks 0 and 2, false on rank 1' },
  { what: 'the order of layers', action: (bn, group, rank) => forward(bn, group, rank, { layer: rank === 1 ? 'second' : 'first' }), message: 'ranks disagree on what comes next: forward of layer first on ranks 0 and 2, forward of layer second on rank 1' },
  { what: 'forward and a sum', action: (bn, group, rank) => (rank === 1 ? sumOver(group, [data(1)]) : forward(bn, group, rank)), message: 'ranks disagree on what comes next: forward of layer 0 on ranks 0 and 2, sum on rank 1' },
  { what: 'which parameter gradients', action: async (bn, group, rank) => {
    await forward(bn, group, rank, { updateStats: false });
    return syncBackward(bn, group, data(rank), { parameters: rank === 1 ? 'part' : 'whole' });
  }, message: 'parameters "whole" on ranks 0 and 2, "part" on rank 1' },
  { what: 'which forward is differentiated', action: async (bn, group, rank) => {
    await forward(bn, group, rank, { updateStats: false });
    const context = bn.context!;
    await forward(bn, group, rank, { updateStats: false });
    return syncBackward(bn, group, data(rank), rank === 1 ? { context } : {});
  }, message: /of forward \d+ on ranks 0 and 2, \d+ on rank 1/ },
  { what: 'lengths of sums', action: (_, group, rank) => sumOver(group, [new Float32Array(2), new Float64Array(rank === 1 ? 3 : 4)]), message: 'lengths "2 4" on ranks 0 and 2, "2 3" on rank 1' },
];

const ALIKE: Row[] = [
  { what: 'one value in all', action: (bn, group, rank) => syncForward(bn, group, new Float32Array(rank === 1 ? 3 : 0), [rank === 1 ? 1 : 0, C]), message: 'Expected more than 1 value per channel when training' },
  { what: 'a value of one rank that is not finite', common: { onNonFinite: 'error' }, action: (bn, group, rank) => syncForward(bn, group, data(rank).fill(rank === 1 ? Number.NaN : 1, 0, 1), SHAPE), message: 'x expected finite batch statistics' },
];

/** Declares the table as tests. `groups`: three ranks, which later rows go on with. */
export function failureTable(groups: () => readonly Group[]): void {
  const check = async ({ options, common, channels, before, action = forward, message }: Row, sentences: number) => {
    const layers = groups().map((_, rank) => new BatchNorm(rank === 1 ? channels ?? C : C, { ...common, ...(rank === 1 && options) }));
    layers.forEach((bn, rank) => { before?.(bn, rank); });
    const states = layers.map((bn) => bn.stateDict());
    const errors = await Promise.all(groups().map((group, rank) => action(layers[rank]!, group, rank).then(() => null, (error: Error) => error)));
    for (const error of errors) {
      expect(error?.message.replace(/layer \d+/g, 'layer 0')).toMatch(message);
      expect(error).toBeInstanceOf(Error);
    }
    expect(new Set(errors.map((error) => error!.message)).size).toBeLessThanOrEqual(sentences);
    expect(layers.map((bn) => bn.stateDict())).toEqual(states);
    await goesOn(groups());
    return errors as Error[];
  };

  it.each(FAILS)('all ranks throw what one of them fails with, and go on: $what', async (row) => {
    const errors = await check(row, 1);
    expect(errors[1]!.cause).toBeInstanceOf(Error);
    expect(errors[0]!.message).toContain((errors[1]!.cause as Error).message);
  });

  it.each(DISAGREE)('all ranks name what they disagree on, and go on: $what', async (row) => { await check(row, 1); });

  // Their sentences tell each rank's own shape.
  it.each(ALIKE)('all ranks fail alike, and go on: $what', async (row) => { await check(row, 2); });

  it('a step that fails on one rank is undone on all, and the next one goes through', async () => {
    const layers = groups().map(() => [new BatchNorm(C), new BatchNorm(C, { momentum: null })]);
    const step = (failing: number | null) => Promise.all(groups().map((group, rank) => syncStep(group, layers[rank]!, async () => {
      for (const [i, bn] of layers[rank]!.entries()) {
        if (i === 1 && rank === failing) throw new RangeError('no memory');
        await syncForward(bn, group, data(rank, i), SHAPE);
      }
      return rank;
    }).catch((error: Error) => error)));
    expect(await step(null)).toEqual([0, 1, 2]);
    const states = layers.flat().map((bn) => bn.stateDict());
    const errors = await step(2);
    expect(errors[2]).toEqual(new RangeError('no memory'));
    for (const rank of [0, 1]) expect((errors[rank] as Error).message).toBe('rank 2 has failed in step: no memory');
    expect(layers.flat().map((bn) => bn.stateDict())).toEqual(states);
    expect(await step(null)).toEqual([0, 1, 2]);
    for (const [first, second] of layers) expect([first!.numBatchesTracked, second!.numBatchesTracked]).toEqual([2, 2]);
  });

  it('a step that only one rank has failed in at its end is undone on all', async () => {
    const layers = groups().map(() => new BatchNorm(C)), before = layers.map((bn) => bn.stateDict());
    const errors = await Promise.all(groups().map((group, rank) => syncStep(group, [layers[rank]!], async () => {
      await syncForward(layers[rank]!, group, data(rank), SHAPE);
      if (rank === 0) throw new Error('disk full');
    }).catch((error: Error) => error.message)));
    expect(errors).toEqual(['disk full', 'rank 0 has failed in step: disk full', 'rank 0 has failed in step: disk full']);
    expect(layers.map((bn) => bn.stateDict())).toEqual(before);
  });

  it('a step whose layers differ at its end is undone on all', async () => {
    const layers = groups().map(() => new BatchNorm(C)), before = layers.map((bn) => bn.stateDict());
    const errors = await Promise.all(groups().map((group, rank) => syncStep(group, [layers[rank]!], async () => {
      layers[rank]!.forward(data(rank), SHAPE);
    }).catch((error: Error) => error.message)));
    for (const error of errors) expect(error).toMatch('ranks disagree in step: layer 0');
    expect(layers.map((bn) => bn.stateDict())).toEqual(before);
  });
}

/** The group takes a batch as one process would. */
export async function goesOn(groups: readonly Group[]): Promise<void> {
  const layers = groups.map(() => new BatchNorm(C)), one = new BatchNorm(C);
  const y = await Promise.all(groups.map((group, rank) => syncForward(layers[rank]!, group, data(rank), SHAPE)));
  const expected = forwardParts(one, groups.map((_, rank) => ({ x: data(rank), shape: SHAPE })));
  expect(y).toEqual(expected.y);
  const gradients = await Promise.all(groups.map((group, rank) => syncBackward(layers[rank]!, group, data(rank, 1)) as Promise<Gradients<Floats>>));
  for (const { dweight } of gradients) expect(dweight).toEqual(gradients[0]!.dweight);
  for (const bn of layers) expect(bn.stateDict()).toEqual(one.stateDict());
}
