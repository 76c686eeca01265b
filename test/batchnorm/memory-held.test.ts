/** The memory that the package holds beyond what its user gave it, in fresh processes with the build in dist/. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

/** The bound: 2 MB and 64 bytes per channel. */
const boundOf = (channels: number) => 2e6 + 64 * channels;
const SHAPES = ['60x100', '256x1024', '8x64x56x56', '2x64x224x224', '4x65536x4', '2x300000'];

describe.each(['tensors', 'arrays'])('after a forward and a backward of %s', (kind) => {
  it.each(SHAPES.flatMap((shape) => ['channels-first', 'channels-last'].map((layout) => ({ shape, layout }))))(
    'a module holds no more than 2 MB and 64 bytes a channel: $shape $layout',
    ({ shape, layout }) => {
      const args = ['--expose-gc', 'bench/fresh.mjs', 'memory', 'train', layout, shape, kind];
      const printed = execFileSync(process.execPath, args, { encoding: 'utf8' });
      const { wasm, heap } = JSON.parse(printed) as { wasm: number; heap: number };
      expect(wasm).toBeGreaterThan(0);
      expect(wasm + heap).toBeLessThanOrEqual(boundOf(Number(shape.split('x')[1])));
    },
  );
});
