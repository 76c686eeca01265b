import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The page's modules import the package as it ships: Vite does not resolve a package's own name from within it.
  resolve: { alias: { 'batchnorm-wasm': fileURLToPath(new URL('dist/index.js', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts', 'demo/test/*.test.ts'],
    reporters: ['default', ['json', { outputFile: 'out/tests.json' }]],
  },
});
