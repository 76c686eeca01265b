import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/hosts/*.test.ts'],
    globalSetup: ['scripts/build.mjs', 'test/hosts/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', ['json', { outputFile: 'out/hosts.json' }]],
  },
});
