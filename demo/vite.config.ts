import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { claims } from './claims.js';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  root: path('.'),
  // Relative addresses, so that the build works from any folder of any server.
  base: './',
  plugins: [claims()],
  // The package as shipped: Vite does not resolve a package's own name from within the package.
  resolve: { alias: { 'batchnorm-wasm': path('../dist/index.js') } },
  build: { outDir: path('../out/demo'), emptyOutDir: true, target: 'es2022' },
  worker: { format: 'es' },
  server: { fs: { allow: [path('..')] } },
  // Bundled at start rather than when the race imports them, which would reload the page.
  optimizeDeps: {
    include: ['uplot', '@tensorflow/tfjs-core', '@tensorflow/tfjs-core/dist/register_all_gradients.js', '@tensorflow/tfjs-backend-wasm'],
  },
});
