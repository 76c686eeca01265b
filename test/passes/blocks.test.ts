import { describe, expect, it } from 'vitest';
import { backward } from '../../src/passes/backward.js';
import { groupsOf } from '../../src/passes/blocks.js';
import { column, copyRunning, lastingTable, MEAN } from '../../src/passes/channel-table.js';
import { forward } from '../../src/passes/forward.js';
import { UNMASKED } from '../../src/passes/mask.js';
import { STAGE_MARGIN, staged } from '../../src/passes/operands.js';
import { Scratch } from '../../src/passes/scratch.js';
import type { Engine } from '../../src/runtime/engine.js';
import type { Geometry } from '../../src/runtime/kernels.js';
import { differentiate, normalise } from '../oracle.js';
import { arrayOf, KINDS, normal, RUNTIMES } from '../setup.js';
import * as tolerance from '../tolerances.js';

const GEOMETRIES: readonly Geometry[] = [
  { outer: 6, channels: 5, inner: 7, pitch: 35 },
  { outer: 40, channels: 5, inner: 1, pitch: 5 },
  { outer: 1, channels: 1, inner: 100, pitch: 100 },
  { outer: 3, channels: 30, inner: 1, pitch: 30 },
];

/** From one element at a time to everything at once. */
const LIMITS = [1, 3, 8, 20, 42, 50, 100, 1000];

const cases = GEOMETRIES.flatMap((geometry) => LIMITS.map((limit) => ({ geometry, limit })));

describe.each(cases)('$geometry.outer x $geometry.channels x $geometry.inner in blocks of $limit', ({ geometry, limit }) => {
  const { outer, channels, inner } = geometry;
  const size = outer * channels * inner;

  it('is covered once by blocks within the limit, whole channels to a group', () => {
    const seen = new Uint8Array(size);
    for (const { channelStart, channels: together, blocks } of groupsOf(geometry, limit)) {
      for (const block of blocks) {
        expect([block.channelStart, block.channels]).toEqual([channelStart, together]);
        expect(block.outer * block.channels * block.inner).toBeLessThanOrEqual(limit);
        for (let o = 0; o < block.outer; o++) {
          for (let c = 0; c < together; c++) {
            for (let i = 0; i < block.inner; i++) {
              seen[(block.outerStart + o) * geometry.pitch + (channelStart + c) * inner + block.innerStart + i]!++;
            }
          }
        }
      }
      const values = blocks.reduce((total, block) => total + block.outer * block.inner, 0);
      expect(values).toBe(outer * inner);
    }
    expect(seen.every((count) => count === 1)).toBe(true);
  });

  it.each(KINDS)('is normalised and differentiated as a whole, in %s', (kind) => {
    const engine = RUNTIMES[kind] as Engine, start = engine.bytesInUse;
    const x = arrayOf('float64', normal(size, 1, 3)), dy = arrayOf('float64', normal(size, 2));
    const y = new Float64Array(size), dx = new Float64Array(size);
    const weight = arrayOf('float64', normal(channels, 3)), bias = arrayOf('float64', normal(channels, 4));
    const dweight = new Float64Array(channels), dbias = new Float64Array(channels);
    const scratch = new Scratch(engine, 'float64');
    for (const mode of ['batch', 'running'] as const) {
      const table = lastingTable(channels);
      if (mode === 'running') copyRunning(table, Float64Array.from(normal(channels, 5)), new Float64Array(channels).fill(2));
      const place = engine.allocate(limit * 8 + STAGE_MARGIN), other = engine.allocate(limit * 8 + STAGE_MARGIN);
      const at = (array: Float64Array, stage: number) => staged(engine, 'float64', () => array, geometry, stage);
      scratch.allocate(channels, engine.kernels.float64.scratchBytes(channels, inner));
      const memory = { engine, dtype: 'float64' as const, kernels: engine.kernels.float64, scratch, geometry, limit, mask: UNMASKED };
      const affine = { table, weight, bias, eps: 0.1, floor: Number.NEGATIVE_INFINITY, renorm: null };
      forward(memory, { x: at(x, place), y: at(y, place), residual: null }, affine, mode === 'running');
      const tensors = { x: at(x, other), dy: at(dy, place), dx: at(dx, place), dresidual: null, output: null };
      const normalisation = { mode, count: outer * inner, table, relu: false, residual: false, renorm: null };
      backward(memory, tensors, normalisation, { dweight, dbias });
      scratch.free();
      engine.free(place);
      engine.free(other);
      for (let c = 0; c < channels; c++) {
        const places = Array.from({ length: outer * inner }, (_, m) => Math.floor(m / inner) * geometry.pitch + c * inner + (m % inner));
        const xs = places.map((index) => x[index]!), dys = places.map((index) => dy[index]!);
        const given = mode === 'running' ? { mean: column(table, MEAN)[c]!, variance: 2 } : undefined;
        const expected = normalise(xs, weight[c]!, bias[c]!, 0.1, given);
        const gradients = differentiate(dys, xs, weight[c]!, expected.mean, expected.variance, 0.1, mode);
        places.forEach((index, m) => {
          expect(Math.abs(y[index]! - expected.y[m]!)).toBeLessThan(tolerance.GOLDEN.float64.y);
          expect(Math.abs(dx[index]! - gradients.dx[m]!)).toBeLessThan(tolerance.GOLDEN.float64.dx);
        });
        expect(Math.abs(dweight[c]! - gradients.dweight)).toBeLessThan(tolerance.GOLDEN.float64.parameters * 100);
        expect(Math.abs(dbias[c]! - gradients.dbias)).toBeLessThan(tolerance.GOLDEN.float64.parameters);
      }
    }
    expect(engine.bytesInUse).toBe(start);
  });
});
