/** Ways to bring the project's main.mjs to a browser, each with no configuration but where its files are. */
import { cp, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface Way {
  /** Puts a page into a folder, which holds an index.html that loads ./main.mjs. */
  readonly write?: (project: string, folder: string, file?: string) => Promise<unknown>;
  /** Or serves one from the project itself while it is used. */
  readonly serve?: (project: string, use: (url: string) => Promise<void>) => Promise<void>;
}

export const PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="./main.mjs"></script>\n';

async function importMap(project: string, folder: string): Promise<void> {
  for (const file of ['main.mjs', 'outputs.mjs']) await cp(join(project, file), join(folder, file));
  const installed = createRequire(join(project, 'main.mjs')).resolve('batchnorm-wasm/package.json');
  await cp(dirname(installed), join(folder, 'node_modules/batchnorm-wasm'), { recursive: true });
  const map = { imports: { 'batchnorm-wasm': './node_modules/batchnorm-wasm/dist/index.js' } };
  await writeFile(join(folder, 'index.html'), PAGE.replace('<script', `<script type="importmap">${JSON.stringify(map)}</script><script`));
}

async function esbuild(project: string, folder: string, file = 'main.mjs'): Promise<void> {
  const { build } = await import('esbuild');
  await build({ entryPoints: [join(project, file)], bundle: true, minify: true, outfile: join(folder, 'main.mjs') });
}

/** As a module of the audio thread, which has no TextDecoder; the page only starts it. */
async function audioWorklet(project: string, folder: string): Promise<void> {
  const { build } = await import('esbuild');
  await writeFile(join(project, 'worklet.mjs'), `import * as library from 'batchnorm-wasm';
import { report } from './outputs.mjs';
registerProcessor('report', class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.port.postMessage(report(library));
  }
  process() { return false; }
});
`);
  await build({ entryPoints: [join(project, 'worklet.mjs')], bundle: true, minify: true, format: 'esm', outfile: join(folder, 'worklet.mjs') });
  await writeFile(join(folder, 'main.mjs'), `const context = new OfflineAudioContext(1, 128, 44100);
await context.audioWorklet.addModule('./worklet.mjs');
new AudioWorkletNode(context, 'report').port.onmessage = ({ data }) => { console.log(data); };
await context.startRendering();
`);
}

async function rollup(project: string, folder: string): Promise<void> {
  const [{ rollup }, { nodeResolve }] = await Promise.all([import('rollup'), import('@rollup/plugin-node-resolve')]);
  const onwarn = (warning: { message: string }) => { throw new Error(warning.message); };
  const bundle = await rollup({ input: join(project, 'main.mjs'), plugins: [nodeResolve()], onwarn });
  await bundle.write({ file: join(folder, 'main.mjs'), format: 'es' });
}

async function webpack(project: string, folder: string): Promise<void> {
  const { default: webpack } = await import('webpack');
  const configuration = { mode: 'production', context: project, entry: './main.mjs', output: { path: folder, filename: 'main.mjs' }, performance: false } as const;
  const stats = await new Promise<import('webpack').Stats>((resolve, reject) => {
    webpack(configuration, (error, result) => (result ? resolve(result) : reject(error)));
  });
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString('errors-warnings'));
}

type Vite = typeof import('vite');

const viteBuild = (load: () => Promise<Vite>): Way => ({
  async write(project, folder) {
    const { build } = await load();
    await build({ root: project, configFile: false, logLevel: 'warn', base: './', build: { outDir: folder, emptyOutDir: true } });
  },
});

/** What lets a page share memory with workers. */
export const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

const viteServe = (load: () => Promise<Vite>, name: string): Way => ({
  async serve(project, use) {
    const { createServer } = await load();
    const server = await createServer({
      root: project, configFile: false, logLevel: 'warn', cacheDir: join(project, `.${name}`), server: { port: 0, host: '127.0.0.1', headers: ISOLATED },
    });
    try {
      await server.listen();
      await use(server.resolvedUrls!.local[0]!);
    } finally {
      await server.close();
    }
  },
});

const vite7 = () => import('vite-7') as Promise<unknown> as Promise<Vite>;
const vite8 = () => import('vite-8') as Promise<unknown> as Promise<Vite>;

export const WAYS: Readonly<Record<string, Way>> = {
  'no bundler (import map)': { write: importMap },
  esbuild: { write: esbuild },
  Rollup: { write: rollup },
  'webpack 5': { write: webpack },
  'Vite 7 build': viteBuild(vite7),
  'Vite 7 dev': viteServe(vite7, 'vite-7'),
  'Vite 8 build': viteBuild(vite8),
  'Vite 8 dev': viteServe(vite8, 'vite-8'),
  AudioWorklet: { write: audioWorklet },
};
