/** In Node alone, since browsers load no module anew. That other hosts fall back too is seen in test/hosts. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it, vi } from 'vitest';

describe('without WebAssembly SIMD', () => {
  /** Uses a second copy of the package in an engine that refuses to compile; returns what it warned of. */
  const refused = async (use: (fresh: typeof import('../../src/index.js')) => void) => {
    vi.resetModules();
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    vi.stubGlobal('WebAssembly', { ...WebAssembly, Module: class { constructor() { throw new Error('refused'); } } });
    try {
      use(await import('../../src/index.js'));
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

/** Runs code in a Node of its own, and returns what it gives to `print`. `library` is the package as it ships. */
function printedBy(before: string, use: string, flags: readonly string[] = []): unknown {
  const code = `
    import { runInNewContext } from 'node:vm';
    const { stdout } = process, language = runInNewContext('Object.getOwnPropertyNames(globalThis)');
    const print = (value) => stdout.write(JSON.stringify(value));
    const keepOnly = (names) => { for (const name of Object.getOwnPropertyNames(globalThis)) if (!names.includes(name)) delete globalThis[name]; };
    ${before};
    const library = await import('batchnorm-wasm');
    ${use};`;
  const args = ['--no-warnings', ...flags, '--input-type=module', '-e', code];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
}

const RESULTS = `
  const { BatchNorm, createRuntime } = library;
  const x = Float32Array.from({ length: 60 }, (_, i) => (i * 7919 % 101) / 8), shape = [20, 3];
  const results = (options) => {
    const runtime = createRuntime(options), bn = new BatchNorm(3, { runtime });
    const y = bn.forward(x, shape), { dx } = bn.backward(x), other = new BatchNorm(3, { runtime }).loadStateDict(bn.stateDict());
    return { kind: runtime.kind, values: [y, dx, other.eval().forward(x, shape)].map((array) => [...array]) };
  };
  print({ usual: results(), plain: results({ kind: 'javascript' }) })`;

describe('the package as it ships', () => {
  const { usual, plain } = printedBy('', RESULTS) as Record<string, { kind: string }>;

  it.each([
    ['without TextDecoder', 'delete globalThis.TextDecoder'],
    ['whose TextDecoder knows UTF-8 alone', 'globalThis.TextDecoder = class { constructor(name) { throw new RangeError(name); } }'],
    ['without TextEncoder', 'delete globalThis.TextEncoder'],
    ['without Object.hasOwn', 'delete Object.hasOwn'],
    ['whose Object is frozen', 'Object.freeze(Object)'],
    ['of frozen intrinsics', '', '--frozen-intrinsics'],
    ['of nothing but the language and WebAssembly', 'keepOnly(language)'],
  ])('computes the same bits in a host %s', (_, before, ...flags) => {
    expect(usual!.kind).toBe('wasm-simd');
    expect(printedBy(before, RESULTS, flags)).toEqual({ usual, plain });
  });

  it.each([
    ['without WebAssembly', 'delete globalThis.WebAssembly'],
    ['of nothing but the language', "keepOnly(language.filter((name) => name !== 'WebAssembly'))"],
  ])('computes with the plain kernels in a host %s', (_, before) => {
    expect(printedBy(before, RESULTS)).toEqual({ usual: plain, plain });
  });

  it.each(['kind: "wasm-simd"', 'module: new Uint8Array(8)'])('says that there is no WebAssembly where { %s } asks for it', (option) => {
    const use = `try { library.createRuntime({ ${option} }); } catch (error) { print([error.name, error.message]); }`;
    expect(printedBy('delete globalThis.WebAssembly', use)).toEqual(['TypeError',
      "kind 'wasm-simd' expected an engine that compiles WebAssembly SIMD, got one that does not: WebAssembly is not defined"]);
  });

  it.each(['null', '{}', '[1]', '"kernels.wasm"'])('refuses the module %s where there is no WebAssembly', (value) => {
    const use = `try { library.createRuntime({ module: ${value} }); } catch (error) { print(error.message); }`;
    expect(printedBy('delete globalThis.WebAssembly', use)).toMatch(/^"module" expected a WebAssembly.Module or its bytes, got /);
  });

  it('evaluates the loader where it is first needed, and changes nothing of its host', () => {
    const before = `
      delete Object.hasOwn;
      import { isDeepStrictEqual } from 'node:util';
      const decoders = [];
      globalThis.TextDecoder = class { constructor(name) { decoders.push(name); } };
      const properties = () => [globalThis, Object].map((object) => Object.getOwnPropertyDescriptors(object)), host = properties()`;
    const use = `
      const onImport = decoders.length;
      library.createRuntime();
      print({ onImport, decoders, same: isDeepStrictEqual(properties(), host) })`;
    expect(printedBy(before, use)).toEqual({ onImport: 0, decoders: ['utf-16le'], same: true });
  });
});
