/** Mutations of src/: test files are bundled with each; those that mirror the file, then those of its folder, then those of layers. */
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { globSync } from 'tinyglobby';
import { bundle } from './battery.js';
import { mutate, mutationsOf } from './mutations.js';
import { failureBy, type Subject } from './subject.js';

/** They start processes, replace functions or load the package anew with what only vitest has, or look at the text of the project. */
const OUTSIDE = [
  'hosts/**', 'sync/{servers,mpi,threads,tabs,recalibrate,data-parallel}', 'runtime/{fallback,memory-refused,disposal}', 'batchnorm/memory-held',
  'tfjs/{backends,stock,threads}', 'tfjs-training/register', 'fuzz/search',
  'mutants/known', 'readme', 'types', 'house', 'examples', 'experiments',
];

/** Sources whose own tests are among these. */
const UNTESTED = ['sync/{mpi,nats,redis,broadcast}', 'runtime/{binary,packaged*}', 'runtime/threads/worker-text'];

/** What nearly everything below is used by. */
const LAYERS = ['test/batchnorm', 'test/hostile'];
/** They take more than two seconds, the last ones more than ten. */
const SLOW = [
  'renorm', 'views-at-random', 'gradient', 'adversarial', 'mask', 'relu-and-residual', 'views', 'numerics', 'objects', 'hostile-files',
  'message-group', 'bits', 'moments',
];
/** Kinds of runtime whose tests are left out: one is enough, unless src/runtime is tested by its own tests. */
function othersThan(file: string, test: string): string[] {
  if (isReference(file)) return ['wasm-simd', 'wasm-threads'];
  if (file.startsWith('src/runtime/') && test.startsWith('test/runtime/')) return test.includes('/threads/') ? ['javascript'] : [];
  return ['javascript', 'wasm-threads'];
}

/** The own tests of the reference and its loops are those of the kernels, which take minutes for all kinds. */
const isReference = (file: string) => file.startsWith('src/runtime/reference'), KERNELS = 'test/runtime/kernels.test.ts';
/** The program of a worker is a text in tests. */
const WORKER = 'src/runtime/threads/worker.ts', WORKER_TEXT = 'src/runtime/threads/worker-text.ts';

export async function sources(): Promise<Subject> {
  const tests = globSync(['test/**/*.test.ts', ...OUTSIDE.map((name) => `!test/${name}.test.ts`)]).sort();
  const texts = new Map(globSync(['src/**/*.ts', '!src/**/*.d.ts', ...UNTESTED.map((name) => `!src/${name}.ts`)]).sort().map((file) => [file, readFileSync(file, 'utf8')]));
  const plain = await bundle(tests, 'sources');
  return {
    mutations: [...texts].flatMap(([file, text]) => mutationsOf(file, text)),
    async judge(mutation, lane) {
      const { file } = mutation, contents = mutate(texts.get(file)!, mutation);
      const users = tests.filter((test) => (test !== KERNELS || isReference(file)) && plain.inputs.get(test)!.includes(file === WORKER ? WORKER_TEXT : file));
      for (const test of inOrder(file, users)) {
        const run = { without: othersThan(file, test) };
        const bundles = await bundle([test], `lane-${lane}`, { text: { file, contents } }).catch(() => undefined);
        if (!bundles) return { kind: 'same' };
        const by = await failureBy(bundles, plain, [test], run, run);
        if (by !== undefined) return { kind: 'killed', by };
      }
      return { kind: 'survived' };
    },
  };
}

/** The tests of a file by its name, those of its folder, those of layers, and all others that use it; quick ones first. */
function inOrder(file: string, users: readonly string[]): string[] {
  const folder = dirname(file).replace(/^src/, 'test'), name = basename(file, '.ts');
  const distance = (test: string) => {
    if (dirname(test) !== folder) return LAYERS.includes(dirname(test)) ? 2 : 3;
    return basename(test).startsWith(name) || test === KERNELS ? 0 : 1;
  };
  const slowness = (test: string) => SLOW.indexOf(basename(test, '.test.ts'));
  const order = (a: string, b: string) => distance(a) - distance(b) || slowness(a) - slowness(b);
  return [...users].sort(order);
}
