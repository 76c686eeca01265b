// Builds what is not up to date. Vitest and every script start with this, so that none of them sees old kernels.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundle, declareModules } from './bundle.mjs';
import { embed } from './embed.mjs';

/** In this order. A step is up to date while what it reads and what it writes are the same as when it last ended. */
const STEPS = [
  {
    name: 'kernels',
    reads: ['assembly', 'asconfig.json', 'scripts/embed.mjs', 'package-lock.json'],
    writes: ['dist/kernels.wasm', 'build/kernels.wat', 'src/runtime/binary.ts'],
    run() {
      compileKernels();
      embed();
    },
  },
  {
    name: 'package',
    reads: ['src', 'scripts/bundle.mjs', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
    writes: ['dist', 'src/runtime/threads/worker-text.ts'],
    async run() {
      await bundle();
      execute('tsc', '-p', 'tsconfig.build.json');
      declareModules();
    },
  },
];

export default async function build() {
  mkdirSync('build', { recursive: true });
  for (const { name, reads, writes, run } of STEPS) {
    const paths = [...reads, ...writes], stamp = `build/${name}.sha256`;
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digestOf(paths)) continue;
    console.error(`building the ${name}`);
    await run();
    writeFileSync(stamp, digestOf(paths));
  }
}

/**
 * asc repeats its optimisations until the module grows no smaller, and remarks on every module whose last round made it a few
 * bytes larger. Nothing is wrong then, so the remark is left out.
 */
function compileKernels() {
  const { status, stdout, stderr } = spawnSync('node_modules/.bin/asc', ['--target', 'release'], { encoding: 'utf8' });
  process.stderr.write(stdout + stderr.replace(/^Last converge was suboptimal\.\n/m, ''));
  if (status !== 0) throw new Error(`asc ended with ${status}`);
}

function execute(command, ...args) {
  execFileSync(`node_modules/.bin/${command}`, args, { stdio: ['ignore', 2, 2] });
}

/** A hash of names and contents of files, and of all files in folders. One that is missing has no content. */
function digestOf(paths) {
  const hash = createHash('sha256');
  const add = (path) => {
    hash.update(`${path}\n`);
    if (!existsSync(path)) return;
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(`${path}/${name}`);
    else hash.update(createHash('sha256').update(readFileSync(path)).digest());
  };
  paths.forEach(add);
  return hash.digest('hex');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
