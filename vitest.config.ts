import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { executableOf, puppeteer } from './test/browsers.js';

/** Both kinds run at the same time, on machines with few cores too: a test of a second may take several. */
const common = { include: ['test/**/*.test.ts'], exclude: ['test/hosts/**'], testTimeout: 60_000 };
/** They start Node, servers or a compiler, read files, load the package anew, or look into what dist/tfjs.js keeps to itself. */
const NODE_ONLY = [
  'readme', 'types', 'house', 'examples', 'experiments', 'formats/hostile-files', 'fuzz/search', 'mutants/known', 'runtime/fallback', 'runtime/disposal',
  'runtime/memory-refused', 'runtime/threads/pool', 'runtime/threads/lost', 'batchnorm/memory-held',
  'tfjs/devices', 'tfjs/objects', 'tfjs/stock',
  ...['servers', 'mpi', 'threads', 'tabs', 'recalibrate', 'data-parallel'].map((name) => `sync/${name}`),
].map((name) => `test/${name}.test.ts`);
/** On isolated pages, where threads can share memory, and tfjs takes its build with threads. */
const ISOLATED = ['test/runtime/threads/bits.test.ts', 'test/tfjs/threads.test.ts'];
const present = (['chrome', 'firefox'] as const).filter((browser) => {
  const found = executableOf(browser) !== undefined, debian = { chrome: 'chromium', firefox: 'firefox-esr' }[browser];
  if (!found) console.warn(`Tests in ${debian} are skipped: it is not installed (apt-get install ${debian}).`);
  return found;
});

/** The same files in real browsers, for the package as it ships: what tests import from an index.ts of src comes from dist. */
const inBrowsers = (name: string, files: { include?: string[]; exclude: string[] }, headers: Record<string, string> = {}) => ({
  server: { headers },
  resolve: {
    alias: [
      { find: /^(\.\.\/)+src\/index\.js$/, replacement: fileURLToPath(new URL('dist/index.js', import.meta.url)) },
      { find: /^(\.\.\/)+src\/sync\/index\.js$/, replacement: fileURLToPath(new URL('dist/sync.js', import.meta.url)) },
      { find: /^(\.\.\/)+src\/tfjs\/index\.js$/, replacement: fileURLToPath(new URL('dist/tfjs.js', import.meta.url)) },
      { find: /^(\.\.\/)+src\/tfjs-training\/index\.js$/, replacement: fileURLToPath(new URL('dist/tfjs-training.js', import.meta.url)) },
    ],
  },
  // Found at start, not when a test imports them: that would load it anew. Their wasm files are fetched from where they are.
  optimizeDeps: { include: ['core', 'layers', 'backend-cpu', 'backend-wasm'].map((name) => `@tensorflow/tfjs-${name}`) },
  test: {
    ...common,
    name,
    ...files,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: puppeteer(),
      instances: present.map((browser) => ({ browser })),
    },
  },
});

const dist = inBrowsers('dist', { exclude: [...common.exclude, ...NODE_ONLY, ...ISOLATED] });
const isolated = inBrowsers('isolated', { include: ISOLATED, exclude: [] }, {
  'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp',
});

/** The page, whose modules import the package as it ships: Vite does not resolve a package's own name from within it. */
const demo = {
  resolve: { alias: { 'batchnorm-wasm': fileURLToPath(new URL('dist/index.js', import.meta.url)) } },
  test: { ...common, name: 'demo', include: ['demo/test/*.test.ts'], exclude: [] },
};

export default defineConfig({
  test: {
    globalSetup: 'scripts/build.mjs',
    reporters: ['default', ['json', { outputFile: 'out/tests.json' }]],
    projects: [{ test: { ...common, name: 'node', exclude: [...common.exclude, 'test/tfjs/threads.test.ts'] } }, demo, ...(present.length ? [dist, isolated] : [])],
  },
});
