import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions } from '../../src/index.js';
import { textOf } from '../host.js';
import { arrayOf, COMBINATIONS, distance, permute, RUNTIMES, shapeIn } from '../setup.js';
import { GOLDEN } from '../tolerances.js';

interface Step {
  y: number[];
  dx: number[];
  dweight?: number[];
  dbias?: number[];
  running_mean?: number[];
  running_var?: number[];
  num_batches_tracked?: number;
}

interface Case {
  shape: number[];
  options: { affine?: boolean; eps?: number; momentum?: number | null; track_running_stats?: boolean };
  x: number[][];
  dy: number[];
  weight?: number[];
  bias?: number[];
  train: Step[];
  eval: Step;
}

const vectors = JSON.parse(await textOf('vectors/torch.json')) as { cases: Case[] };

function optionsOf({ affine = true, track_running_stats = true, eps, momentum }: Case['options']): BatchNormOptions {
  return {
    weight: affine, bias: affine, trackRunningStats: track_running_stats,
    ...(eps === undefined ? {} : { eps }), ...(momentum === undefined ? {} : { momentum }),
  };
}

describe.each(COMBINATIONS)('PyTorch in float64 against $kind $dtype $layout', ({ kind, dtype, layout }) => {
  it.each(vectors.cases)('$shape $options', (given) => {
    const runtime = RUNTIMES[kind], bound = GOLDEN[dtype];
    const bn = new BatchNorm(given.shape[1]!, { ...optionsOf(given.options), dtype, layout, runtime });
    if (given.weight) bn.weight!.set(given.weight);
    if (given.bias) bn.bias!.set(given.bias);
    const shape = shapeIn(layout, given.shape);
    const laidOut = (values: number[]) => arrayOf(dtype, permute(values, given.shape, layout));

    const check = (x: number[], expected: Step) => {
      const y = bn.forward(laidOut(x), shape);
      const { dx, dweight, dbias } = bn.backward(laidOut(given.dy));
      expect(distance(y, permute(expected.y, given.shape, layout))).toBeLessThan(bound.y);
      expect(distance(dx, permute(expected.dx, given.shape, layout))).toBeLessThan(bound.dx);
      if (expected.dweight) expect(distance(dweight!, expected.dweight)).toBeLessThan(bound.parameters);
      else expect(dweight).toBeNull();
      if (expected.dbias) expect(distance(dbias!, expected.dbias)).toBeLessThan(bound.parameters);
      else expect(dbias).toBeNull();
      if (expected.running_mean) {
        expect(distance(bn.runningMean!, expected.running_mean)).toBeLessThan(bound.running);
        expect(distance(bn.runningVar!, expected.running_var!)).toBeLessThan(bound.running);
        expect(bn.numBatchesTracked).toBe(expected.num_batches_tracked);
      } else {
        expect(bn.runningMean).toBeNull();
      }
    };
    given.train.forEach((step, i) => { check(given.x[i]!, step); });
    bn.eval();
    check(given.x[0]!, given.eval);
  });
});
