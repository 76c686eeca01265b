import { expect, it } from 'vitest';
import { Scratch } from '../../src/passes/scratch.js';
import type { Engine } from '../../src/runtime/engine.js';
import { DTYPES, KINDS, RUNTIMES } from '../setup.js';

it.each(KINDS.flatMap((kind) => DTYPES.map((dtype) => ({ kind, dtype }))))(
  'scratch of calls of different widths has views as long as each call is wide: $kind $dtype', ({ kind, dtype }) => {
    const scratch = new Scratch(RUNTIMES[kind] as Engine, dtype);
    for (const channels of [3, 16, 16, 5]) {
      scratch.allocate(channels, 64);
      expect(Object.values(scratch.views).map((view) => view.length)).toEqual(new Array(9).fill(channels));
      scratch.free();
    }
  },
);
