import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { claims } from './build/claims.js';
import { sections } from './build/sections.js';
import { social } from './build/social.js';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
/** They isolate the page from other origins, without which browsers give it no shared memory. */
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export default defineConfig({
  root: path('.'),
  // Relative addresses, so that the build works from any folder of any server.
  base: './',
  plugins: [sections(), claims(), social(process.env.PAGE_ADDRESS)],
  // The package as shipped: Vite does not resolve a package's own name from within the package.
  resolve: {
    alias: {
      'batchnorm-wasm/tfjs-training': path('../dist/tfjs-training.js'),
      'batchnorm-wasm/tfjs': path('../dist/tfjs.js'),
      'batchnorm-wasm': path('../dist/index.js'),
    },
  },
  build: { outDir: path('../out/demo'), emptyOutDir: true, target: 'es2022', rolldownOptions: { checks: { pluginTimings: false } } },
  worker: { format: 'es' },
  server: { fs: { allow: [path('..')] }, headers },
  preview: { headers },
  // Bundled at start rather than when the race imports them, which would reload the page.
  optimizeDeps: {
    include: [
      'uplot', '@tensorflow/tfjs-core', '@tensorflow/tfjs-core/dist/register_all_gradients.js', '@tensorflow/tfjs-backend-wasm',
      '@tensorflow/tfjs-layers',
    ],
  },
});
