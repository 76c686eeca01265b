// Makes the JavaScript of dist/ from src/: a file for each entry, for entries with kernels one more for the `workerd` condition,
// and the same as CommonJS in dist/cjs/, which every host loads that does not bundle: so a process has one copy, imported or
// required.
//
// Names and lines stay as they are: classes keep theirs, stack traces can be read, and an error that nobody catches is
// printed with the line that threw it, not with the whole package. What minifies the application minifies them.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
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
  const [withKernels, withoutKernels] = await Promise.all([
    // gzip does better with the kernels' text before the code than in its midst.
    build({ ...settings, outdir: 'dist', inject: ['src/runtime/binary.ts'], plugins: [loaderWhenCalled], metafile: true }),
    build({ ...settings, entryPoints: WITHOUT_KERNELS, outdir: 'dist', metafile: true }),
    build({ ...settings, outdir: 'dist/workerd', plugins: [loaderWhenCalled, moduleFromHost] }),
  ]);
  await commonJs({ ...withKernels.metafile.outputs, ...withoutKernels.metafile.outputs });
}

/** The files of dist/ as CommonJS, each with its name, and for each entry an ES module of the same exports. */
async function commonJs(outputs) {
  await build({ entryPoints: Object.keys(outputs), outdir: 'dist/cjs', format: 'cjs', platform: 'node', target: settings.target });
  writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n');
  for (const [path, { entryPoint, exports }] of Object.entries(outputs)) {
    if (entryPoint) writeFileSync(`dist/cjs/${basename(path, '.js')}.mjs`, `export { ${exports.join(', ')} } from './${basename(path)}';\n`);
  }
}

/**
 * For each entry, declarations for those who import it. All others are in dist/cjs/, for those who require it: an ES module
 * may import the types of CommonJS, but not the other way round, and two sets would be two incompatible classes.
 */
export function declareModules() {
  for (const source of Object.values({ ...WITH_KERNELS, ...WITHOUT_KERNELS })) {
    const path = source.replace('src/', 'dist/').replace('.ts', '.d.ts'), target = source.replace('src/', 'dist/cjs/').replace('.ts', '.js');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `export * from '${relative(dirname(path), target).replace(/^(?!\.)/, './')}';\n`);
  }
}
