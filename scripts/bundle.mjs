// Makes the JavaScript of dist/ from src/: a file for each entry, and for entries with kernels one more for the `workerd` condition.
//
// Names and lines stay as they are: classes keep theirs, stack traces can be read, and an error that nobody catches is
// printed with the line that threw it, not with the whole package. What minifies the application minifies them.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** One for each subpath of package.json's exports that is code. What entries with kernels share becomes a chunk. */
const WITH_KERNELS = { index: 'src/index.ts', sync: 'src/sync/index.ts', tfjs: 'src/tfjs/index.ts' };
const WITHOUT_KERNELS = { 'tfjs-training': 'src/tfjs-training/index.ts' };

const settings = {
  entryPoints: WITH_KERNELS,
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
    onResolve({ filter: /\/packaged\.js$/ }, ({ resolveDir, path }) => ({ path: join(resolveDir, path.replace('.js', '.workerd.ts')) }));
  },
};

/**
 * At its top the loader makes a TextDecoder, which some hosts do not have, and assigns Object.hasOwn, which some hosts
 * freeze. In the package all of it is evaluated where it is called, and the assignment is left out.
 */
const loaderWhenCalled = {
  name: 'loader when called',
  setup({ onLoad }) {
    onLoad({ filter: /@assemblyscript[\\/]loader[\\/]index\.js$/ }, async ({ path }) => {
      const contents = `import { instantiateSync } from ${JSON.stringify(path)}; result = instantiateSync(...given);`;
      const { format, target, minifySyntax } = settings;
      const bundled = await build({ stdin: { contents, resolveDir: '.' }, bundle: true, format, target, minifySyntax, write: false });
      const [{ text }] = bundled.outputFiles, body = text.replace(/^Object\.hasOwn = [^}]*\};$/m, '');
      if (body === text) throw new Error('the loader expected to assign Object.hasOwn');
      return { contents: `export function instantiateSync(...given) {\nlet result;\n${body}return result;\n}\n` };
    });
  },
};

export async function bundle() {
  for (const name of readdirSync('dist')) if (name !== 'kernels.wasm') rmSync(`dist/${name}`, { recursive: true });
  await Promise.all([
    // gzip does better with the kernels' text before the code than in its midst.
    build({ ...settings, outdir: 'dist', inject: ['src/runtime/binary.ts'], plugins: [loaderWhenCalled] }),
    build({ ...settings, entryPoints: WITHOUT_KERNELS, outdir: 'dist' }),
    build({ ...settings, outdir: 'dist/workerd', plugins: [loaderWhenCalled, moduleFromHost] }),
  ]);
}
