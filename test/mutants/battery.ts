/** Test files as bundles, and threads that run them. */
import { readFile } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build, type Plugin } from 'esbuild';
import type { TrialData } from './trial.js';

/** A folder of bundles. */
export interface Bundles {
  readonly trial: string;
  /** The bundle of every test file, by its path. */
  readonly tests: ReadonlyMap<string, string>;
  /** The files of the project in each, by the path of the test file. */
  readonly inputs: ReadonlyMap<string, readonly string[]>;
}

/** What differs from the project as it is: the text of a file, or a module in place of another. */
export interface Replaced {
  readonly text?: { readonly file: string; readonly contents: string };
  readonly module?: { readonly filter: RegExp; readonly file: string };
}

const here = (name: string) => resolve(import.meta.dirname, name);

/** Bundles test files into a folder under build/. */
export async function bundle(files: readonly string[], folder: string, replaced: Replaced = {}): Promise<Bundles> {
  const outdir = resolve('build/mutants', folder), entry = relative('.', here('trial.ts'));
  const { metafile } = await build({
    entryPoints: [entry, ...files], outdir, outbase: 'test', outExtension: { '.js': '.mjs' },
    bundle: true, splitting: true, format: 'esm', target: 'node20', packages: 'external', metafile: true, logLevel: 'silent',
    plugins: [replacing(replaced)],
  });
  const places = new Map(Object.entries(metafile.outputs).flatMap(([path, { entryPoint }]) => (entryPoint ? [[entryPoint, resolve(path)]] : [])));
  const inputsOf = (path: string, seen = new Set<string>()): Set<string> => {
    const { imports } = metafile.inputs[path]!;
    seen.add(path);
    for (const { path: next, external } of imports) if (!external && !seen.has(next)) inputsOf(next, seen);
    return seen;
  };
  return {
    trial: places.get(entry)!,
    tests: new Map(files.map((file) => [file, places.get(file)!])),
    inputs: new Map(files.map((file) => [file, [...inputsOf(file)]])),
  };
}

function replacing({ text, module }: Replaced): Plugin {
  return {
    name: 'replacing',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^vitest$/ }, () => ({ path: here('vitest.ts') }));
      if (text) onLoad({ filter: /\/worker-text\.ts$/ }, async () => ({ contents: await workerText(text) }));
      if (module) onResolve({ filter: module.filter }, () => ({ path: here(module.file) }));
      onLoad({ filter: /\/(src|test)\/.*\.ts$/ }, async ({ path }) => {
        const contents = text && path === resolve(text.file) ? text.contents : await readFile(path, 'utf8');
        // A bundle lies elsewhere than its sources.
        return { contents: contents.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)), loader: 'ts', resolveDir: dirname(path) };
      });
    },
  };
}

/** The module that has the program of a worker as a text, as scripts/bundle.mjs writes it. */
async function workerText(text: Replaced['text']): Promise<string> {
  const { outputFiles: [program] } = await build({
    entryPoints: ['src/runtime/threads/worker.ts'], bundle: true, format: 'esm', target: 'es2022', write: false, logLevel: 'silent',
    plugins: [replacing({ text })],
  });
  return `export const WORKER = ${JSON.stringify(program!.text)};`;
}

export type Run = Partial<Pick<TrialData, 'pattern' | 'without' | 'kernels'>>;

/** Threads that run tests now: they share the processor time of this process. */
let trials = 0;

/**
 * Seconds of processor time of this process per trial, and of a process that sleeps, in which no test begins: then the latest does not end. Not of
 * the clock, which goes on while others compute and while the process is paused.
 */
const PATIENCE = 8, ASLEEP = 20, LOOK = 0.5;

/** Runs tests, and resolves to what failed: the name of a test, or that it does not end. Undefined: nothing did. */
export async function failureOf({ trial, tests }: Bundles, files: readonly string[], { pattern = /./, without = [], kernels }: Run): Promise<string | undefined> {
  const begun = new Int32Array(new SharedArrayBuffer(4));
  const workerData: TrialData = { files: files.map((file) => tests.get(file)!), pattern, without, begun, kernels };
  const thread = new Worker(trial, { workerData, execArgv: [], stdout: true, stderr: true });
  let seen = -1, looks = 0, since = process.cpuUsage(), timer: NodeJS.Timeout | undefined;
  trials++;
  try {
    return await new Promise((resolve) => {
      const endless = () => resolve(`test ${begun[0]} does not end`);
      const check = () => {
        const { user, system } = process.cpuUsage(since);
        looks++;
        if (begun[0] !== seen) [seen, looks, since] = [begun[0]!, 0, process.cpuUsage()];
        else if (user + system > PATIENCE * trials * 1e6 || looks * LOOK > ASLEEP) endless();
      };
      timer = setInterval(check, 1000 * LOOK);
      thread.once('message', resolve).once('error', (error) => resolve(String(error)));
      // By a call of process.exit().
      thread.once('exit', endless);
    });
  } finally {
    trials--;
    clearInterval(timer);
    await thread.terminate();
  }
}
