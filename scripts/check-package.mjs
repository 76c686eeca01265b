// Packs the package, holds its contents to a list, installs it in an empty project and uses it there.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';

const run = (command, args, cwd = '.') => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const folder = mkdtempSync(join(tmpdir(), 'batchnorm-wasm-'));

try {
  const report = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder]));
  const [{ filename, files }] = Array.isArray(report) ? report : Object.values(report);
  const names = files.map(({ path }) => path);
  const expected = [
    'CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'dist/tfjs.js', 'dist/tfjs/index.d.ts',
    'dist/sync.js', 'dist/sync/index.d.ts', 'dist/tfjs-training.js', 'dist/tfjs-training/index.d.ts', 'dist/workerd/index.js', 'dist/kernels.wasm',
    'dist/worker.js', 'dist/cjs/package.json', 'dist/cjs/index.js', 'dist/cjs/index.mjs', 'dist/cjs/index.d.ts',
  ];
  const allowed = /^(dist\/cjs\/([\w-]+\/)*[\w.-]+\.d\.ts(\.map)?|dist\/[\w-]+\/index\.d\.ts|dist\/((workerd|cjs)\/)?[\w-]+\.m?js|src\/([\w-]+\/)*[\w.-]+\.ts)$/;
  const surplus = names.filter((name) => !expected.includes(name) && !allowed.test(name));
  // Where an editor goes to the definition of something, it finds the source.
  const sources = names.filter((name) => name.endsWith('.d.ts.map')).flatMap((name) => {
    const { sources } = JSON.parse(readFileSync(name, 'utf8'));
    return sources.map((source) => posix.join(posix.dirname(name), source));
  });
  const missing = [...expected, ...sources].filter((name) => !names.includes(name));
  if (missing.length || surplus.length) {
    throw new Error(`the package misses ${missing.join(', ') || 'nothing'} and should not hold ${surplus.join(', ') || 'anything more'}`);
  }
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  if (dependencies) throw new Error(`the package has no runtime dependency, got ${Object.keys(dependencies).join(', ')}`);

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  run('npm', ['install', '--no-save', '--no-package-lock', join(folder, filename)], folder);
  const [, example] = readFileSync('README.md', 'utf8').match(/^```js\n([\s\S]*?)^```/m);
  writeFileSync(join(folder, 'example.mjs'), example);
  const printed = run(process.execPath, ['example.mjs'], folder).trim();
  if (!printed) throw new Error('the first example of the README printed nothing from the installed package');
  // An error that nobody catches is printed with the line that threw it, which must be one that can be read.
  const wrong = "import { BatchNorm } from 'batchnorm-wasm'; new BatchNorm(3).forward(new Float32Array(4), [2, 3]);";
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', wrong], { cwd: folder, encoding: 'utf8' });
  if (!stderr.includes('got length 4') || stderr.length > 2000) throw new Error(`an uncaught error prints ${stderr.length} characters`);
  // tfjs is optional: nothing of it is imported at run time, and its subpath loads without it.
  for (const name of names.filter((name) => name.endsWith('.js'))) {
    if (/(from|import\(?|require\() *["']@tensorflow/.test(readFileSync(name, 'utf8'))) throw new Error(`${name} imports tfjs`);
  }
  const sync = run(process.execPath, ['--input-type=module', '-e', "console.log(typeof (await import('batchnorm-wasm/sync')).natsGroup)"], folder).trim();
  if (sync !== 'function') throw new Error(`batchnorm-wasm/sync expected to export natsGroup(), got ${sync}`);
  for (const [subpath, exported] of [['tfjs', 'registerBatchNorm'], ['tfjs-training', 'registerTrainingKernels']]) {
    const list = `console.log(Object.keys(await import('batchnorm-wasm/${subpath}')).join())`;
    const loaded = run(process.execPath, ['--input-type=module', '-e', list], folder).trim();
    if (loaded !== exported) throw new Error(`batchnorm-wasm/${subpath} expected to export ${exported}, got ${loaded}`);
  }
  console.log(`package: ${names.length} files, ${(files.reduce((total, { size }) => total + size, 0) / 1024).toFixed(0)} kB; example in an empty project: ${printed.split('\n').length} lines`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
