/** What a runtime holds once it has been disposed, asked of fresh processes with the build in dist/. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('disposed.mjs', import.meta.url));

describe.each(['wasm-simd', 'javascript', 'shared'])('a disposed %s runtime', (kind) => {
  it('has given its memory back while its layers, contexts and tensors are kept', () => {
    const report = JSON.parse(execFileSync(process.execPath, ['--expose-gc', SCRIPT, kind], { encoding: 'utf8' })) as
      { kind: string; full: number; held: number; bufferIsAlive: boolean; kept: number };
    expect(report.kept).toBeGreaterThan(50);
    expect(report.full).toBeGreaterThan(190e6);
    expect(report.bufferIsAlive).toBe(false);
    expect(report.held).toBeLessThan(30e6);
  });
});
