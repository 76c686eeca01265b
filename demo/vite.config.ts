import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { claims } from './claims.js';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  root: path('.'),
  // Relative addresses: the build works from any folder of any server.
  base: './',
  plugins: [claims()],
  // The package as it ships: Vite does not resolve a package's own name from within it.
  resolve: { alias: { 'batchnorm-wasm': path('../dist/index.js') } },
  build: { outDir: path('../out/demo'), emptyOutDir: true, target: 'es2022' },
  worker: { format: 'es' },
  server: { fs: { allow: [path('..')] } },
  // Found at start, not when the race imports them: that would load the page anew.
  optimizeDeps: {
    include: ['uplot', '@tensorflow/tfjs-core', '@tensorflow/tfjs-core/dist/register_all_gradients.js', '@tensorflow/tfjs-backend-wasm'],
  },
});
