// Builds the JavaScript of dist/ from src/: a file for each entry, and one more of each for the `workerd` condition.
//
// Names and lines stay as they are: classes keep theirs, stack traces can be read, and an error that nobody catches is
// printed with the line that threw it, not with the whole package. What minifies the application minifies them.
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** One for each subpath of package.json's exports that is code. What entries share becomes a chunk. */
const ENTRIES = { index: 'src/index.ts', tfjs: 'src/tfjs/index.ts' };

const settings = {
  entryPoints: ENTRIES,
  bundle: true,
  splitting: true,
  external: ['*.wasm', '@tensorflow/*'],
  format: 'esm',
  target: 'es2022',
  minifySyntax: true,
  legalComments: 'none',
  logLevel: 'warning',
};

/** workerd compiles modules when it deploys, never later: the bytes inside the script would be of no use there. */
const moduleFromHost = {
  name: 'module from the host',
  setup({ onResolve }) {
    onResolve({ filter: /\/packaged\.js$/ }, () => ({ path: fileURLToPath(new URL('../src/runtime/packaged.workerd.ts', import.meta.url)) }));
  },
};

for (const name of readdirSync('dist')) if (name !== 'kernels.wasm') rmSync(`dist/${name}`, { recursive: true });
await Promise.all([
  // gzip does better with the kernels' text before the code than in its midst.
  build({ ...settings, outdir: 'dist', inject: ['src/runtime/binary.ts'] }),
  build({ ...settings, outdir: 'dist/workerd', plugins: [moduleFromHost] }),
]);
