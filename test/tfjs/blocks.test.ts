/** What spread.test.ts, which has the results, cannot see: the memory beside them. */
import { expect, it, vi } from 'vitest';
import { createRuntime } from '../../src/index.js';
import type { Engine } from '../../src/runtime/engine.js';
import { normaliseBlocks } from '../../src/tfjs/blocks.js';
import { blocksOf, commonOf, spreadOf } from '../../src/tfjs/spread.js';
import { normal, sizeOf } from '../setup.js';

const MARGIN = 65_536, MARK = 171;

it.each([
  { shape: [200, 8, 40], own: [200, 1, 40] }, { shape: [200, 8, 20, 2], own: [200, 1, 20, 1] }, { shape: [300, 7, 64], own: [300, 7, 1] },
])('parameters of $own over $shape are laid out in memory that is allocated for them, and freed', ({ shape, own }) => {
  const engine = createRuntime() as Engine, size = sizeOf(shape), allocate = engine.allocate.bind(engine), ends: number[] = [];
  const [from, to] = [allocate(4 * size), allocate(4 * size)], before = engine.bytesInUse;
  const bytesFrom = (start: number) => new Uint8Array(engine.memory.buffer, start, MARGIN);
  vi.spyOn(engine, 'allocate').mockImplementation((bytes) => {
    const start = allocate(bytes + MARGIN);
    bytesFrom(start + bytes).fill(MARK);
    ends.push(start + bytes);
    return start;
  });
  const parameters = [1, 2, 3, 4].map((seed) => Float32Array.from(normal(sizeOf(own), seed), (value) => value * value + 0.5));
  const at = (start: number) => () => engine.floats('float32', start, size) as Float32Array;
  normaliseBlocks(engine, blocksOf(commonOf(spreadOf(shape, [own]))), 1e-3, at(from), parameters as never, at(to));
  expect(ends).toHaveLength(1);
  expect(bytesFrom(ends[0]!).every((byte) => byte === MARK)).toBe(true);
  expect(engine.bytesInUse).toBe(before);
});
