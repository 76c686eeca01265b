/** In Node alone, since browsers load no module anew and have no limit that can be set. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it, vi } from 'vitest';

/** Uses a second copy of the package where no WebAssembly.Memory can be had; returns what it warned of. */
async function refused(reason: unknown, use: (fresh: typeof import('../../src/index.js')) => void): Promise<unknown[]> {
  vi.resetModules();
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const Memory = class { constructor() { throw reason; } };
  vi.stubGlobal('WebAssembly', Object.assign(Object.create(WebAssembly), { Memory }));
  try {
    use(await import('../../src/index.js'));
    return warn.mock.calls.flat();
  } finally {
    vi.unstubAllGlobals();
    warn.mockRestore();
  }
}

// Engines throw a RangeError, and Firefox a string.
describe.each([new RangeError('could not allocate memory'), 'could not allocate memory'])('where memory is refused by %o', (reason) => {
  it('the plain kernels step in, and say so and why, once', async () => {
    const warnings = await refused(reason, ({ BatchNorm, createRuntime }) => {
      expect(new BatchNorm(2).forward(Float32Array.of(1, 2, 3, 4), [2, 2])[0]).toBeCloseTo(-1, 4);
      expect(createRuntime().kind).toBe('javascript');
      expect(createRuntime({ maximumBytes: 2 ** 20 }).tensor([4], { data: [1, 2, 3, 4] }).data).toEqual(Float32Array.of(1, 2, 3, 4));
    });
    expect(warnings).toEqual(['batchnorm-wasm: the plain kernels step in, which are several times slower: could not allocate memory']);
  });

  it('who asks for WebAssembly gets a RangeError that says why, and no warning', async () => {
    const error = new RangeError("kind 'wasm-simd' expected memory for WebAssembly, got none: could not allocate memory");
    const warnings = await refused(reason, ({ createRuntime }) => {
      expect(() => createRuntime({ kind: 'wasm-simd' })).toThrow(error);
      expect(() => createRuntime({ module: new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)) })).toThrow(error);
      expect(createRuntime({ kind: 'javascript' }).kind).toBe('javascript');
    });
    expect(warnings).toEqual([]);
  });
});

it('a process of 8 GB of address space runs, with a warning where V8 needs more for WebAssembly', () => {
  const script = `
    const { BatchNorm, createRuntime } = await import('${new URL('../../dist/index.js', import.meta.url)}');
    const warnings = [];
    console.warn = (warning) => { warnings.push(warning); };
    const bn = new BatchNorm(2), [y] = bn.forward(Float32Array.of(1, 2, 3, 4), [2, 2]);
    const make = (kind) => { try { return createRuntime({ kind }).kind; } catch (error) { return error.name + ': ' + error.message; } };
    console.log(JSON.stringify({ y, kind: bn.runtime.kind, asked: make('wasm-simd'), warnings }));
  `;
  const output = execFileSync('sh', ['-c', 'ulimit -v 8000000; exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8' });
  const { y, kind, asked, warnings } = JSON.parse(output) as { y: number; kind: string; asked: string; warnings: string[] };
  expect(y).toBeCloseTo(-1, 4);
  if (kind === 'wasm-simd') {
    expect({ asked, warnings }).toEqual({ asked: 'wasm-simd', warnings: [] });
  } else {
    expect(asked).toMatch(/^RangeError: kind 'wasm-simd' expected memory for WebAssembly, got none: /);
    expect(warnings).toHaveLength(1);
  }
});
