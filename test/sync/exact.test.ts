import { describe, expect, it } from 'vitest';
import {
  BatchNorm, type BatchNormOptions, backwardParts, type Floats, type ForwardContext, forwardParts, type Gradients, type Tensor,
} from '../../src/index.js';
import { type Group, syncBackward, syncForward } from '../../src/sync/index.js';
import { arrayOf, COMBINATIONS, distance, makeRuntime, maskOf, normal, RUNTIMES, random, shapeIn, sizeOf } from '../setup.js';
import * as tolerance from '../tolerances.js';
import { groupsOf } from './bus.js';

const pick = <T>(uniform: () => number, list: readonly T[]): T => list[Math.floor(uniform() * list.length)]!;

/** Every option that changes arithmetic, now and then. */
function settingsOf(uniform: () => number): BatchNormOptions {
  const trackRunningStats = uniform() > 0.15;
  return {
    eps: pick(uniform, [1e-5, 1e-3]), momentum: pick(uniform, [0.1, null, 1]), runningVariance: pick(uniform, ['unbiased', 'biased'] as const),
    weight: uniform() > 0.2, bias: uniform() > 0.2, trackRunningStats, activation: pick(uniform, ['none', 'relu'] as const),
    onSingleValue: 'zero', ...(trackRunningStats && uniform() < 0.3 && { renorm: { rMax: 3, dMax: 5 } }),
  };
}

describe.each(COMBINATIONS)('a batch over ranks in $kind $dtype $layout', ({ kind, dtype, layout }) => {
  const runtime = RUNTIMES[kind];
  const data = (n: number, seed: number, mean = 2) => arrayOf(dtype, normal(n, seed, mean, 3));

  it('has the bits of forwardParts and backwardParts on one machine, whatever the parts, and so has every rank', async () => {
    for (let trial = 0; trial < 24; trial++) {
      const uniform = random(1000 * trial + dtype.length), size = 1 + Math.floor(uniform() * 5), channels = 1 + Math.floor(uniform() * 6);
      const options = { dtype, layout, runtime, ...settingsOf(uniform) }, make = () => new BatchNorm(channels, options);
      const groups = await groupsOf(size), layers = groups.map(make), one = make(), masked = uniform() < 0.3;
      for (const bn of [...layers, one]) {
        bn.weight?.set(normal(channels, trial));
        bn.bias?.set(normal(channels, trial + 1));
      }
      for (let step = 0; step < 3; step++) {
        const parts = groups.map((_, rank) => {
          const shape = [pick(uniform, [0, 1, 2, 5, 9]), channels, pick(uniform, [1, 4, 7])], positions = sizeOf(shape) / channels;
          const seed = 100 * step + 10 * trial + rank, mask = uniform() < 0.2 ? new Uint8Array(positions) : maskOf(positions, seed);
          return { shape: shapeIn(layout, shape), x: data(sizeOf(shape), seed, pick(uniform, [0, 1e4])), ...(masked && { mask }) };
        });
        const dy = parts.map(({ x }, rank) => data(x.length, 7000 + step + rank));
        if (parts.every(({ x, mask }) => x.length === 0 || mask?.every((bit) => bit === 0))) {
          // forwardParts refuses what forward takes: a batch of no values.
          const before = layers[0]!.stateDict();
          const y = await Promise.all(layers.map((bn, rank) => syncForward(bn, groups[rank]!, parts[rank]!.x as Float32Array, parts[rank]!.shape, parts[rank]!.mask && { mask: parts[rank]!.mask })));
          expect(y).toEqual(parts.map(({ x }) => x.map(() => 0)));
          const gradients = await Promise.all(layers.map((bn, rank) => syncBackward(bn, groups[rank]!, dy[rank] as Float32Array)));
          for (const [rank, { dx, dweight, dbias }] of gradients.entries()) {
            expect(dx).toEqual(dy[rank]!.map(() => 0));
            for (const each of [dweight, dbias]) if (each) expect(each).toEqual(each.map(() => 0));
            expect(layers[rank]!.stateDict()).toEqual(before);
          }
          continue;
        }
        const expected = forwardParts(one, parts), wanted = backwardParts(one, dy, expected.contexts);
        const results = await Promise.all(layers.map(async (bn, rank) => {
          const { x, shape, mask } = parts[rank]!;
          const y = await syncForward(bn, groups[rank]!, x as Float32Array, shape, mask && { mask });
          return { y, ...await syncBackward(bn, groups[rank]!, dy[rank] as Float32Array) };
        }));
        results.forEach(({ y, dx, dweight, dbias }, rank) => {
          expect(y).toEqual(expected.y[rank]);
          expect(dx).toEqual(wanted.dx[rank]);
          expect([dweight, dbias]).toEqual([wanted.dweight, wanted.dbias]);
          expect(layers[rank]!.stateDict()).toEqual(one.stateDict());
        });
      }
      for (const group of groups) group.close();
    }
  });

  const parts = [5, 0, 1, 9].map((n, rank) => ({ shape: shapeIn(layout, [n, 3, 7]), x: data(n * 21, rank), dy: data(n * 21, 10 + rank), z: data(n * 21, 20 + rank) }));
  const all = (of: 'x' | 'dy' | 'z') => arrayOf(dtype, parts.flatMap((part) => Array.from(part[of])));
  const whole = shapeIn(layout, [15, 3, 7]);
  const each = <T>(groups: readonly Group[], action: (group: Group, rank: number) => Promise<T>) => Promise.all(groups.map(action));

  it.each(['none', 'relu'] as const)('is the whole batch at once to within rounding, with a residual: %s', async (activation) => {
    const groups = await groupsOf(4), make = () => new BatchNorm(3, { dtype, layout, runtime, activation });
    const big = make(), layers = groups.map(make);
    const expected = big.forward(all('x'), whole, { residual: all('z') }), wanted = big.backward(all('dy'));
    const results = await each(groups, async (group, rank) => {
      const { x, z, dy, shape } = parts[rank]!, bn = layers[rank]!;
      return { y: await syncForward(bn, group, x, shape, { residual: z }), ...await syncBackward(bn, group, dy) as Gradients<Floats> };
    });
    const joined = (of: 'y' | 'dx' | 'dresidual') => results.flatMap((result) => Array.from(result[of]!));
    expect(distance(joined('y'), expected)).toBeLessThanOrEqual(2 * tolerance.BETWEEN * tolerance.y(dtype, 1));
    expect(distance(joined('dx'), wanted.dx)).toBeLessThanOrEqual(tolerance.BETWEEN * tolerance.GOLDEN[dtype].dx);
    expect(joined('dresidual')).toEqual(Array.from(wanted.dresidual!));
    for (const { dweight, dbias } of results) {
      expect(distance(dweight!, wanted.dweight!)).toBeLessThanOrEqual(2 * tolerance.BETWEEN * tolerance.GOLDEN[dtype].parameters);
      expect(distance(dbias!, wanted.dbias!)).toBeLessThanOrEqual(2 * tolerance.BETWEEN * tolerance.GOLDEN[dtype].parameters);
    }
    for (const bn of layers) {
      expect(distance(bn.runningMean!, big.runningMean!)).toBeLessThanOrEqual(tolerance.BETWEEN * tolerance.GOLDEN[dtype].running);
      expect(distance(bn.runningVar!, big.runningVar!)).toBeLessThanOrEqual(tolerance.BETWEEN * tolerance.GOLDEN[dtype].running);
    }
  });

  it.each([undefined, { rMax: 3, dMax: 5 }])('gives shares of parameter gradients that add up to the whole, or none, as asked: renorm %o', async (renorm) => {
    const groups = await groupsOf(4), layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime, ...(renorm && { renorm }) }));
    await each(groups, (group, rank) => syncForward(layers[rank]!, group, parts[rank]!.x, parts[rank]!.shape));
    const backward = (parameters: 'whole' | 'part' | false) =>
      each(groups, (group, rank) => syncBackward(layers[rank]!, group, parts[rank]!.dy, { parameters }) as Promise<Gradients<Floats>>);
    const [wholes, shares, none] = [await backward('whole'), await backward('part'), await backward(false)];
    for (const name of ['dweight', 'dbias'] as const) {
      const sum = shares.reduce((total, share) => total.map((value, c) => value + share[name]![c]!), [0, 0, 0]);
      // Shares may be larger than their sum: each rounds by its own size.
      const size = Math.max(1, ...shares.flatMap((share) => Array.from(share[name]!, Math.abs)));
      for (const gradients of wholes) expect(distance(sum, gradients[name]!)).toBeLessThanOrEqual(8 * tolerance.U[dtype] * size);
      expect(Array.from(shares[1]![name]!)).toEqual([0, 0, 0]);
    }
    for (const [rank, { dx, dweight, dbias }] of none.entries()) {
      expect([dweight, dbias, dx]).toEqual([null, null, wholes[rank]!.dx]);
      expect(shares[rank]!.dx).toEqual(wholes[rank]!.dx);
    }
  });

  it.each(['whole', 'part', false] as const)('leaves the gradients it returns in parameters(), and those before where a rank fails: %s', async (parameters) => {
    const groups = await groupsOf(4), layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime }));
    const held = (bn: BatchNorm) => bn.parameters().map(({ gradient }) => gradient);
    await each(groups, (group, rank) => syncForward(layers[rank]!, group, parts[rank]!.x, parts[rank]!.shape));
    await each(groups, async (group, rank) => {
      const { dweight, dbias } = await syncBackward(layers[rank]!, group, parts[rank]!.dy, { parameters }) as Gradients<Floats>;
      expect(held(layers[rank]!)).toEqual([dweight, dbias]);
    });
    const before = layers.map(held);
    const failed = await Promise.allSettled(groups.map((group, rank) =>
      syncBackward(layers[rank]!, group, rank === 2 ? data(5, 1) as Float32Array : parts[rank]!.dy as Float32Array, { parameters })));
    expect(failed.map(({ status }) => status)).toEqual(groups.map(() => 'rejected'));
    expect(layers.map(held)).toEqual(before);
  });

  it('takes arrays in the memory of the runtime, also where that grows while ranks wait', async () => {
    const own = makeRuntime(kind), groups = await groupsOf(4), tensors: Tensor[] = [];
    const layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime: own })), apart = groups.map(() => new BatchNorm(3, { dtype, layout, runtime }));
    const view = (values: Floats, { shape }: { shape: number[] }) => {
      const tensor = own.tensor(shape, { dtype, data: values });
      tensors.push(tensor);
      return () => tensor.data as Float32Array;
    };
    const grow = () => { own.tensor([own.tensor([1]).data.buffer.byteLength / 4]); };
    const places = parts.map((part) => ({ x: view(part.x, part), z: view(part.z, part), dy: view(part.dy, part), y: view(part.x, part) }));
    const expected = await each(groups, (group, rank) => syncForward(apart[rank]!, group, parts[rank]!.x as Float32Array, parts[rank]!.shape, { residual: parts[rank]!.z as Float32Array }));
    const wanted = await each(groups, (group, rank) => syncBackward(apart[rank]!, group, parts[rank]!.dy, { parameters: 'part' }) as Promise<Gradients<Floats>>);

    const forwards = each(groups, (group, rank) => {
      const { x, z, y } = places[rank]!;
      return syncForward(layers[rank]!, group, x(), parts[rank]!.shape, { residual: z(), out: y() });
    });
    grow();
    const y = await forwards;
    expect(y).toEqual(expected);
    expect(places.map((place) => place.y())).toEqual(expected);
    const backwards = each(groups, (group, rank) => {
      const dy = places[rank]!.dy();
      return syncBackward(layers[rank]!, group, dy, { parameters: 'part', out: dy }) as Promise<Gradients<Floats>>;
    });
    grow();
    expect(await backwards).toEqual(wanted);
    expect(places.map((place) => place.dy())).toEqual(wanted.map(({ dx }) => dx));
    own.dispose();
  });

  it('takes tensors, and leaves no memory behind', async () => {
    const start = runtime.bytesInUse, groups = await groupsOf(4);
    const layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime })), arrays = groups.map(() => new BatchNorm(3, { dtype, layout, runtime }));
    const tensor = (values: Floats, rank: number) => runtime.tensor(parts[rank]!.shape, { dtype, data: values });
    await each(groups, async (group, rank) => {
      const { x, dy, shape } = parts[rank]!, held: Tensor[] = [tensor(x, rank), tensor(dy, rank)];
      const y = await syncForward(layers[rank]!, group, held[0]!), expected = await syncForward(arrays[rank]!, group, x, shape);
      const { dx } = await syncBackward(layers[rank]!, group, held[1]!, { parameters: 'part' }), wanted = await syncBackward(arrays[rank]!, group, dy, { parameters: 'part' });
      expect([y.data.slice(), dx.data.slice()]).toEqual([expected, wanted.dx]);
      for (const each of [...held, y, dx]) each.dispose();
    });
    expect(runtime.bytesInUse).toBe(start);
  });

  it('counts one value a rank as a batch of all ranks', async () => {
    const groups = await groupsOf(2), layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime })), shape = [1, 3];
    const y = await each(groups, (group, rank) => syncForward(layers[rank]!, group, arrayOf(dtype, [rank, 2 * rank, 3 * rank]), shape));
    const bn = new BatchNorm(3, { dtype, layout, runtime });
    expect(distance(y.flatMap((part) => Array.from(part)), bn.forward(arrayOf(dtype, [0, 0, 0, 1, 2, 3]), [2, 3]))).toBeLessThanOrEqual(2 * tolerance.BETWEEN * tolerance.y(dtype, 1));
    expect(layers[0]!.stateDict()).toEqual(layers[1]!.stateDict());
  });

  it('asks nobody in eval or frozen, and makes gradients of the whole batch all the same', async () => {
    const groups = await groupsOf(4), layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime })), big = new BatchNorm(3, { dtype, layout, runtime });
    for (const mode of ['eval', 'freeze'] as const) {
      const y = await syncForward(layers[0]![mode](), groups[0]!, parts[0]!.x, parts[0]!.shape);
      big[mode]().forward(all('x'), whole);
      expect(y).toEqual(new BatchNorm(3, { dtype, layout, runtime })[mode]().forward(parts[0]!.x, parts[0]!.shape));
      const wanted = big.backward(all('dy'));
      const gradients = await each(groups, async (group, rank) => {
        layers[rank]![mode]();
        await syncForward(layers[rank]!, group, parts[rank]!.x, parts[rank]!.shape);
        return syncBackward(layers[rank]!, group, parts[rank]!.dy);
      });
      expect(distance(gradients.flatMap(({ dx }) => Array.from(dx)), wanted.dx)).toBe(0);
      for (const { dweight } of gradients) {
        expect(dweight).toEqual(gradients[0]!.dweight);
        expect(distance(dweight!, wanted.dweight!)).toBeLessThanOrEqual(2 * tolerance.BETWEEN * tolerance.GOLDEN[dtype].parameters);
      }
      expect(layers.map(({ numBatchesTracked }) => numBatchesTracked)).toEqual([0, 0, 0, 0]);
    }
  });

  it('leaves running statistics alone with updateStats false, and differentiates forwards in any order', async () => {
    const groups = await groupsOf(4), layers = groups.map(() => new BatchNorm(3, { dtype, layout, runtime })), before = layers[0]!.stateDict();
    await each(groups, async (group, rank) => {
      const { x, dy, shape } = parts[rank]!, bn = layers[rank]!, contexts: ForwardContext[] = [];
      for (const values of [x, dy]) {
        await syncForward(bn, group, values, shape, { updateStats: false });
        contexts.push(bn.context!);
      }
      const second = await syncBackward(bn, group, dy), first = await syncBackward(bn, group, dy, { context: contexts[0]! });
      expect(await syncBackward(bn, group, dy, { context: contexts[1]! })).toEqual(second);
      if (dy.length > 0) expect(first).not.toEqual(second);
      expect(bn.stateDict()).toEqual(before);
    });
  });

  it('lets layers overlap as long as all ranks call in one order', async () => {
    const groups = await groupsOf(3), make = () => [1, 2, 3].map(() => new BatchNorm(3, { dtype, layout, runtime }));
    const apart = groups.map(make), together = groups.map(make);
    const run = (layers: BatchNorm[], group: Group, rank: number, i: number) => syncForward(layers[i]!, group, parts[rank]!.x, parts[rank]!.shape);
    const expected = await each(groups, async (group, rank) => [await run(apart[rank]!, group, rank, 0), await run(apart[rank]!, group, rank, 1)]);
    expect(await each(groups, (group, rank) => Promise.all([run(together[rank]!, group, rank, 0), run(together[rank]!, group, rank, 1)]))).toEqual(expected);
  });
});
