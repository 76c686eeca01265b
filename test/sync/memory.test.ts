import { beforeAll, describe, expect, it } from 'vitest';
import { BatchNorm } from '../../src/index.js';
import { type Group, gatherNumbers, sumOver, syncBackwardBlocking, syncForward, syncForwardBlocking, syncStep } from '../../src/sync/index.js';
import { normal } from '../setup.js';
import { Bus, bytes, groupsOf, outcomes } from './bus.js';
import { failureTable } from './failures.js';

describe('collectives in memory', () => {
  let groups: Group[] = [];
  beforeAll(async () => { groups = await groupsOf(3); });
  failureTable(() => groups);

  it('sum in rank order and f64', async () => {
    const parts = [[1e16, 1], [1, 2], [-1e16, 4]].map((values) => [Float64Array.from(values), Float32Array.of(0.5)]);
    const sums = await Promise.all(groups.map((group, rank) => sumOver(group, parts[rank]!)));
    for (const sum of sums) expect(sum).toEqual([Float64Array.of(1e16 + 1 - 1e16, 7), Float64Array.of(1.5)]);
  });

  it('gather numbers in rank order', async () => {
    expect(await Promise.all(groups.map((group, rank) => gatherNumbers(group, rank * 1.5)))).toEqual(groups.map(() => [0, 1.5, 3]));
  });

  it('refuse to wait in place where the engine cannot, and leave no memory behind', () => {
    const bn = new BatchNorm(3), x = bn.runtime.tensor([2, 3]), start = bn.runtime.bytesInUse;
    expect(() => syncForwardBlocking(bn, groups[0]!, x)).toThrow('expected a group that can wait in place');
    bn.forward(x);
    bn.eval().forward(x);
    expect(() => syncBackwardBlocking(bn, groups[0]!, x)).toThrow('expected a group that can wait in place');
    expect(bn.runtime.bytesInUse).toBeGreaterThanOrEqual(start);
  });

  it('refuse what is not a group', async () => {
    await expect(syncForward(new BatchNorm(3), {} as never, new Float32Array(6), [2, 3])).rejects.toThrow('syncForward() expected a group, got Object');
    await expect(syncStep({} as never, [], () => 1)).rejects.toThrow('syncStep() expected a group, got Object');
  });

  it.each<[string, unknown]>([
    ['a layer', new BatchNorm(3)], ['something else', [{}]], ['something else after a layer', [new BatchNorm(3), {}]],
  ])('refuse a step of %s where layers are expected, before it begins', async (_, layers) => {
    const begun: string[] = [];
    await expect(syncStep(groups[0]!, layers as never, () => { begun.push('begun'); })).rejects.toThrow('"modules" expected an array of BatchNorm');
    expect(begun).toEqual([]);
  });

  it('free the tensors of a call that throws', async () => {
    const layers = groups.map(() => new BatchNorm(3)), { runtime } = layers[0]!, start = runtime.bytesInUse;
    const x = groups.map((_, rank) => runtime.tensor([4, 3, 2], { data: normal(24, rank) })), held = runtime.bytesInUse;
    await outcomes(groups.map((group, rank) => syncForward(layers[rank]!, group, x[rank]!, rank === 1 ? { masks: 1 } as never : {})));
    expect(runtime.bytesInUse).toBe(held);
    for (const each of x) each.dispose();
    expect(runtime.bytesInUse).toBe(start);
  });

  it('go on where a call fails while collectives overlap, if all ranks are in step', async () => {
    const own = await groupsOf(2), layers = own.map(() => [new BatchNorm(3), new BatchNorm(3)]), x = Float32Array.from(normal(6, 1));
    const results = await Promise.all(own.map((group, rank) => outcomes(layers[rank]!.map((bn, i) =>
      syncForward(bn, group, x, i === 0 && rank === 1 ? [3, 2] : [2, 3]).then(() => 'through')))));
    for (const [first, second] of results) {
      expect(first).toMatch('rank 1 has failed in forward of layer 0: "shape" expected 3 channels');
      expect(second).toBe('through');
    }
    expect(await Promise.all(own.map((group, rank) => gatherNumbers(group, rank)))).toEqual([[0, 1], [0, 1]]);
  });

  it('end the group where a step fails while collectives overlap, since ranks are out of step', async () => {
    const bus = new Bus(), own = await groupsOf(2, {}, bus), layers = own.map(() => [new BatchNorm(3), new BatchNorm(3)]);
    const x = Float32Array.from(normal(6, 1));
    const results = await outcomes(own.map((group, rank) => syncStep(group, layers[rank]!, async () => {
      if (rank === 1) throw new Error('first');
      await Promise.all(layers[rank]!.map((bn) => syncForward(bn, group, x, [2, 3])));
    })));
    expect(results).toEqual(['rank 1 has failed in step: first', 'first']);
    for (const result of await outcomes(own.map((group) => group.allGather(bytes(1))))) expect(result).toBe('rank 0 has aborted: rank 1 has failed in step: first');
    expect(layers.flat().map(({ numBatchesTracked }) => numBatchesTracked)).toEqual([0, 0, 0, 0]);
  });
});
