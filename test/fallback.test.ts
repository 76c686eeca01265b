/** In Node alone, since browsers load no module anew. That browsers fall back too is seen in test/hosts. */
import { describe, expect, it, vi } from 'vitest';

describe('without WebAssembly SIMD', () => {
  /** Uses a second copy of the package in an engine that refuses to compile; returns what it warned of. */
  const refused = async (use: (fresh: typeof import('../src/index.js')) => void) => {
    vi.resetModules();
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    vi.stubGlobal('WebAssembly', { ...WebAssembly, Module: class { constructor() { throw new Error('refused'); } } });
    try {
      use(await import('../src/index.js'));
      return warn.mock.calls.flat();
    } finally {
      vi.unstubAllGlobals();
      warn.mockRestore();
    }
  };

  it('the plain kernels step in, and say so and why, once', async () => {
    const warnings = await refused(({ BatchNorm, createRuntime }) => {
      expect(createRuntime().kind).toBe('javascript');
      expect(new BatchNorm(2).forward(Float32Array.of(1, 2, 3, 4), [2, 2])[0]).toBeCloseTo(-1, 4);
    });
    expect(warnings).toEqual(['batchnorm-wasm: the plain kernels step in, which are several times slower: refused']);
  });

  it('who asks for a kind gets it or a TypeError that says why, and no warning', async () => {
    const warnings = await refused(({ createRuntime }) => {
      expect(createRuntime({ kind: 'javascript' }).kind).toBe('javascript');
      expect(() => createRuntime({ kind: 'wasm-simd' })).toThrow(new TypeError("kind 'wasm-simd' expected an engine that compiles WebAssembly SIMD, got one that does not: refused"));
    });
    expect(warnings).toEqual([]);
  });
});
