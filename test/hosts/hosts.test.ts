/**
 * The installed package in every host that it is meant for, with no configuration: the default kernels run there, and
 * outputs are the same bits as everywhere else.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, LaunchOptions } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { executableOf, start } from '../browsers.js';
import { FILES } from '../type-promises.js';
import { errorsIn } from '../typescript.js';
import { outputOf, type PageOutput, served } from './pages.js';
import { ISOLATED, PAGE, WAYS } from './ways.js';

interface Report {
  readonly kind: string;
  readonly hashes: Record<string, string>;
  readonly plain: Record<string, string>;
}

const project = inject('project'), run = promisify(execFile);
const tools = fileURLToPath(new URL('node_modules/', import.meta.url)), rootModules = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** A line of the table for each host that was run. */
const table: { host: string; how: string; kernels: string }[] = [];
let expected: Report;

const MAIN = "import * as library from 'batchnorm-wasm';\nimport { report } from './outputs.mjs';\nconsole.log(report(library));\n";
const REQUIRING = "const library = require('batchnorm-wasm');\nimport('./outputs.mjs').then(({ report }) => console.log(report(library)));\n";

/** A project of its own for what takes threads: its pages are isolated. */
const threaded = join(project, 'threads');
const THREADS = "import * as library from 'batchnorm-wasm';\nimport { threadedReport } from './outputs.mjs';\n";

beforeAll(async () => {
  const outputs = fileURLToPath(new URL('outputs.js', import.meta.url)), { transform } = await import('esbuild');
  await mkdir(threaded, { recursive: true });
  await cp(outputs, join(threaded, 'outputs.mjs'));
  await writeFile(join(threaded, 'main.mjs'), `${THREADS}threadedReport(library).then((report) => { console.log(report); });
`);
  await writeFile(
    join(threaded, 'own-worker.mjs'),
    `${THREADS}threadedReport(library, { worker: () => new Worker('./worker.js') }).then((report) => { console.log(report); });
`,
  );
  await writeFile(join(threaded, 'index.html'), PAGE);
  await cp(outputs, join(project, 'outputs.mjs'));
  await writeFile(join(project, 'outputs.cjs'), (await transform(await readFile(outputs, 'utf8'), { format: 'cjs' })).code);
  await writeFile(join(project, 'main.mjs'), MAIN);
  await writeFile(join(project, 'main.cjs'), REQUIRING);
  await writeFile(join(project, 'index.html'), PAGE);
  expected = JSON.parse((await run(process.execPath, ['main.mjs'], { cwd: project })).stdout);
});

afterAll(() => console.table(table));

/** Holds what a host printed to what Node printed, and enters it into the table. */
function check(host: string, how: string, printed: string, kind = 'wasm-simd'): void {
  const report = JSON.parse(printed) as Report;
  expect(report.kind).toBe(kind);
  expect(report.hashes).toEqual(kind === 'wasm-simd' ? expected.hashes : expected.plain);
  expect(report.plain).toEqual(expected.plain);
  table.push({ host, how, kernels: report.kind });
}

const ALL = [1, 2, 3, 8], NONE = [1, 1, 1, 1];
let threadedHash: string | undefined;

/** Holds how many threads a host had, and the bits that they gave, to those of all others. */
function checkThreads(printed: string, threads: readonly number[]): void {
  const report = JSON.parse(printed) as { threads: number; hash: string }[];
  threadedHash ??= report[0]!.hash;
  expect(report).toEqual(threads.map((count) => ({ threads: count, hash: threadedHash })));
}

/** Runs a file of the project and returns what it printed; nothing may come as a warning. */
async function printedBy(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout, stderr } = await run(command, args, { cwd: project, env: { ...process.env, NODE_OPTIONS: '', ...env } });
  expect(stderr).toBe('');
  return stdout;
}

describe('the hashes', () => {
  it('are another for every case when one input of it is another', async () => {
    const code = "import * as library from 'batchnorm-wasm'; import { hashes } from './outputs.mjs'; console.log(JSON.stringify(hashes(library, undefined, 2 ** -16)))";
    const other = JSON.parse(await printedBy(process.execPath, ['--input-type=module', '-e', code])) as Report['hashes'];
    expect(Object.keys(other)).toEqual(Object.keys(expected.hashes));
    for (const [name, hash] of Object.entries(other)) expect(hash).not.toBe(expected.hashes[name]);
  });
});

describe.each(['20', '22', '24', '26'])('Node %s', (version) => {
  const node = join(tools, `node-${version}/bin/node`);

  it('import', async () => check(`Node ${version}`, '`import`', await printedBy(node, ['main.mjs'])));
  it('require', async () => check(`Node ${version}`, '`require`', await printedBy(node, ['main.cjs'])));
  it('threads', async () => checkThreads(await printedBy(node, ['threads/main.mjs']), ALL));
  it('baseline compiler', async () => {
    check(`Node ${version}`, 'baseline compiler', await printedBy(node, ['--liftoff', '--no-wasm-tier-up', '--no-opt', 'main.mjs']));
  });
  it('optimising compiler', async () => check(`Node ${version}`, 'optimising compiler', await printedBy(node, ['--no-liftoff', 'main.mjs'])));
});

describe('Bun', () => {
  const bun = join(tools, '@oven/bun-linux-x64/bin/bun');

  it('import', async () => check('Bun 1', '`import`', await printedBy(bun, ['main.mjs'])));
  it('require', async () => check('Bun 1', '`require`', await printedBy(bun, ['main.cjs'])));
  it('threads', async () => checkThreads(await printedBy(bun, ['threads/main.mjs']), ALL));
  it('baseline compiler', async () => {
    check('Bun 1', 'baseline compiler', await printedBy(bun, ['main.mjs'], { BUN_JSC_useOMGJIT: 'false', BUN_JSC_useFTLJIT: 'false' }));
  });
});

it('Deno', async () => {
  const deno = join(tools, '@deno/linux-x64-glibc/deno'), env = { DENO_NO_UPDATE_CHECK: '1', DENO_DIR: join(project, '.deno') };
  check('Deno 2', '`import`', await printedBy(deno, ['run', 'main.mjs'], env));
  checkThreads(await printedBy(deno, ['run', 'threads/main.mjs'], env), ALL);
});

it('workerd', async () => {
  const { build } = await import('esbuild'), folder = join(project, 'workerd');
  const handler = "import * as library from 'batchnorm-wasm';\nimport { report } from './outputs.mjs';\nexport default { test() { if (library.createThreadedRuntime({ threads: 2 }).threads !== 1) throw new Error('threads'); console.log(report(library)); } };\n";
  await writeFile(join(project, 'worker.mjs'), handler);
  // As wrangler bundles: its conditions, and modules of WebAssembly beside the script.
  const { metafile } = await build({
    entryPoints: [join(project, 'worker.mjs')], bundle: true, format: 'esm', outdir: folder, metafile: true,
    conditions: ['workerd', 'worker', 'browser'], loader: { '.wasm': 'copy' }, assetNames: '[name]', absWorkingDir: project,
  });
  expect(Object.keys(metafile.outputs).sort()).toEqual(['workerd/kernels.wasm', 'workerd/worker.js']);
  await writeFile(join(folder, 'config.capnp'), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .worker)]);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), (name = "kernels.wasm", wasm = embed "kernels.wasm")],
  compatibilityDate = "2026-01-01",
);
`);
  const { stdout, stderr } = await run(join(tools, '@cloudflare/workerd-linux-64/bin/workerd'), ['test', join(folder, 'config.capnp')]);
  check('workerd', 'static import of the module', /\{.*\}/.exec(stdout + stderr)![0]);
});

describe.each(['29', '30'].flatMap((version) => ['node', 'jsdom'].map((environment) => ({ version, environment }))))(
  'jest $version in $environment', ({ version, environment }) => {
    const where = environment === 'jsdom' ? ' with jsdom' : '';

    /** Runs a test file in a project of its own, and returns what it reported. */
    async function reportOf(file: string, code: string, flags: string[], settings: object): Promise<string> {
      const folder = join(project, `jest-${version}-${environment}${extname(file)}`);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, file), code);
      await writeFile(join(folder, 'package.json'), JSON.stringify({
        jest: { ...(environment === 'jsdom' && { testEnvironment: join(tools, `jest-environment-jsdom-${version}`) }), ...settings },
      }));
      await run(process.execPath, [...flags, join(tools, `jest-${version}/bin/jest.js`)], { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } });
      return readFile(join(folder, 'report.json'), 'utf8');
    }

    it('require, with the defaults', async () => {
      const report = await reportOf('batchnorm.test.js', `const { writeFileSync } = require('node:fs');
const library = require('batchnorm-wasm');
const { report } = require('../outputs.cjs');
test('runs', () => {
  expect(typeof document).toBe('${environment === 'jsdom' ? 'object' : 'undefined'}');
  writeFileSync('report.json', report(library));
}, 60_000);
test('runs on TensorFlow.js', () => {
  const tf = { ...require('@tensorflow/tfjs-core'), ...require('@tensorflow/tfjs-layers') };
  require('@tensorflow/tfjs-backend-cpu');
  const { y } = require('batchnorm-wasm/tfjs').registerBatchNorm(tf).batchNorm(tf.tensor2d([[1], [3]]), { eps: 0 });
  expect(Array.from(y.dataSync())).toEqual([-1, 1]);
});
`, [], { modulePaths: [rootModules] });
      check(`jest ${version}`, `\`require\`${where}`, report);
    });

    it('import, with --experimental-vm-modules, of the copy that require gives', async () => {
      // What jest says of ES modules: none is transformed, and Node gets --experimental-vm-modules.
      const report = await reportOf('batchnorm.test.mjs', `import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as library from 'batchnorm-wasm';
import { report } from '../outputs.mjs';
test('runs', () => {
  expect(typeof document).toBe('${environment === 'jsdom' ? 'object' : 'undefined'}');
  expect(createRequire(import.meta.url)('batchnorm-wasm').BatchNorm).toBe(library.BatchNorm);
  writeFileSync('report.json', report(library));
}, 60_000);
`, ['--experimental-vm-modules'], { transform: {}, testMatch: ['**/*.test.mjs'] });
      check(`jest ${version}`, `\`--experimental-vm-modules\`${where}`, report);
    });
  },
);

describe('import and require give one copy', () => {
  const node = (version: string, ...flags: string[]): [string, string, string[]] =>
    [['Node', version, ...flags].join(' '), join(tools, `node-${version}/bin/node`), flags];

  it.each([
    node('20'), node('22'), node('24'), node('26'),
    node('20', '--no-experimental-require-module'), node('22', '--no-experimental-require-module'),
    ['Bun', join(tools, '@oven/bun-linux-x64/bin/bun'), []],
    ['Deno', join(tools, '@deno/linux-x64-glibc/deno'), ['run', '--allow-read', '--allow-env']],
  ] as [string, string, string[]][])('in %s, whose tensors and layers work together', async (_, command, flags) => {
    await writeFile(join(project, 'one.cjs'), `const required = require('batchnorm-wasm'), tfjs = require('batchnorm-wasm/tfjs');
Promise.all([import('batchnorm-wasm'), import('batchnorm-wasm/tfjs')]).then(([imported, other]) => {
  const runtime = imported.createRuntime(), x = runtime.tensor([2, 1], { data: [1, 3] });
  const y = new required.BatchNorm(1, { runtime, eps: 0 }).forward(x);
  console.log(JSON.stringify({
    same: [required.BatchNorm === imported.BatchNorm, tfjs.registerBatchNorm === other.registerBatchNorm],
    missing: Object.keys(required).filter((name) => !(name in imported)), y: [...y.data],
  }));
});
`);
    const printed = JSON.parse(await printedBy(command, [...flags, 'one.cjs'], { DENO_NO_UPDATE_CHECK: '1', DENO_DIR: join(project, '.deno') }));
    expect(printed).toEqual({ same: [true, true], missing: [], y: [-1, 1] });
  });
});

describe('TypeScript', () => {
  const compilers: Record<string, string> = { 7: join(rootModules, '@typescript/native/bin/tsc') };
  for (const version of ['5.0', '5.6', '5.9']) compilers[version] = join(tools, `typescript-${version}/bin/tsc`);
  const SOURCE = `import { BatchNorm } from 'batchnorm-wasm';
import type { BatchNormOptions } from 'batchnorm-wasm';
const options: BatchNormOptions = { convention: 'keras' };
const bn: BatchNorm = new BatchNorm(2, options);
const y: Float32Array = bn.forward(Float32Array.of(1, 2, 3, 4), [2, 2]);
// @ts-expect-error: an option that there is not
new BatchNorm(2, { epsilon: 1e-3 });
export default y;
`;

  describe.each(Object.keys(compilers))('%s', (version) => {
    it('keeps what the declarations promise, and has nothing against them', () => {
      const errors = errorsIn(FILES, join(project, `types-${version}`), compilers[version], { skipLibCheck: false });
      expect(Object.values(errors).flat()).toEqual([]);
    });

    const ways: [string, string, object][] = [
      ['an ES module, nodenext', 'consumer.mts', {}],
      ['CommonJS, nodenext', 'consumer.cts', {}],
      ['an ES module, node16', 'consumer.mts', { module: 'node16', moduleResolution: 'node16' }],
      ['CommonJS, node16', 'consumer.cts', { module: 'node16', moduleResolution: 'node16' }],
      ['a bundler', 'consumer.ts', { module: 'esnext', moduleResolution: 'bundler' }],
    ];
    // TypeScript 7 has none of these two any more.
    if (version !== '7') ways.push(['CommonJS, node10', 'consumer.ts', { module: 'commonjs', moduleResolution: 'node10' }]);

    it.each(ways)('finds the types in %s', (way, file, options) => {
      const errors = errorsIn({ [file]: SOURCE }, join(project, `${way.replaceAll(/\W+/g, '-')}-${version}`), compilers[version], { skipLibCheck: true, ...options });
      expect(errors).toEqual({ [file]: [] });
    });
  });
});

it('esbuild, for Node as CommonJS', async () => {
  const { build } = await import('esbuild');
  await build({ entryPoints: [join(project, 'main.mjs')], bundle: true, platform: 'node', format: 'cjs', outfile: join(project, 'bundled/esbuild.cjs') });
  check('esbuild', '`--platform=node --format=cjs`', await printedBy(process.execPath, ['bundled/esbuild.cjs']));
});

describe.each(['chrome', 'firefox'] as const)('in %s', (name) => {
  const title = { chrome: 'Chromium', firefox: 'Firefox' }[name];
  let browser: Browser;

  beforeAll(async () => {
    expect(executableOf(name), `${title} expected in PATH (Debian: apt-get install ${name === 'chrome' ? 'chromium' : 'firefox-esr'})`).toBeDefined();
    browser = await start(name);
  });
  afterAll(() => browser?.close());

  it.each(Object.entries(WAYS))('%s', async (way, { write, serve }) => {
    const look = async (url: string) => {
      const { log, warnings } = await outputOf(browser, url);
      expect(warnings).toEqual([]);
      check(title, way, log);
    };
    if (serve) return serve(project, look);
    const folder = join(project, 'pages', way.replace(/\W+/g, '-'));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'index.html'), PAGE);
    await write!(project, folder);
    return served(folder, {}, look);
  });

  const POLICY = "script-src 'self' 'wasm-unsafe-eval'";
  const warned = (text: string) => expect.stringMatching(`^batchnorm-wasm: fewer threads than asked for: .*${text}`);

  /** Builds the page with threads as a way does. */
  const threadedPage = async (way: string, file = 'main.mjs') => {
    const folder = join(project, 'pages', `threads-${file}-${way}`.replace(/\W+/g, '-'));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'index.html'), PAGE);
    await WAYS[way]!.write!(threaded, folder, file);
    return folder;
  };

  // A worklet has no workers.
  it.each(Object.keys(WAYS).filter((way) => way !== 'AudioWorklet'))('%s, threads', async (way) => {
    const look = async (url: string) => {
      const { log, warnings } = await outputOf(browser, url);
      expect(warnings).toEqual([]);
      checkThreads(log, ALL);
    };
    const { serve } = WAYS[way]!;
    return serve ? serve(threaded, look) : served(await threadedPage(way), ISOLATED, look);
  });

  it.each<[string, Record<string, string>, number[], unknown[]]>([
    ['a page that is not isolated: one thread, and the headers that are missing', {}, NONE, [warned('"Cross-Origin-Embedder-Policy: require-corp"')]],
    [`${POLICY}: one thread, and what would admit more`, { ...ISOLATED, 'content-security-policy': POLICY }, NONE, [warned('"worker-src blob:"')]],
    [`${POLICY}; worker-src blob:`, { ...ISOLATED, 'content-security-policy': `${POLICY}; worker-src blob:` }, ALL, []],
  ])('threads under %s', async (_, headers, threads, expected) => {
    await served(await threadedPage('esbuild'), headers, async (url) => {
      const { log, warnings } = await outputOf(browser, url);
      checkThreads(log, threads);
      expect(warnings.filter((text) => text.startsWith('batchnorm-wasm'))).toEqual(expected);
    });
  });

  it(`threads under ${POLICY}, with a worker of its own`, async () => {
    const folder = await threadedPage('esbuild', 'own-worker.mjs');
    await cp(join(project, 'node_modules/batchnorm-wasm/dist/worker.js'), join(folder, 'worker.js'));
    await served(folder, { ...ISOLATED, 'content-security-policy': POLICY }, async (url) => checkThreads((await outputOf(browser, url)).log, ALL));
  });

  /** The esbuild page under a policy. */
  const under = (policy: string, browserOfIt = browser): Promise<PageOutput> =>
    served(join(project, 'pages/esbuild'), { 'content-security-policy': policy }, (url) => outputOf(browserOfIt, url));

  it("runs under script-src 'self' 'wasm-unsafe-eval'", async () => {
    const { log, warnings } = await under("script-src 'self' 'wasm-unsafe-eval'");
    check(title, "`script-src 'self' 'wasm-unsafe-eval'`", log);
    expect(warnings).toEqual([]);
  });

  it("falls back to the plain kernels under script-src 'self', and says so once", async () => {
    const { log, warnings } = await under("script-src 'self'");
    check(title, "`script-src 'self'` (plain kernels)", log, 'javascript');
    expect(warnings.filter((text) => text.startsWith('batchnorm-wasm: the plain kernels step in'))).toHaveLength(1);
  });

  const compilers: [string, Partial<LaunchOptions>][] = name === 'chrome'
    ? [['baseline compiler', { args: ['--js-flags=--liftoff --no-wasm-tier-up --no-opt'] }], ['optimising compiler', { args: ['--js-flags=--no-liftoff'] }]]
    : [['baseline compiler', { extraPrefsFirefox: { 'javascript.options.wasm_optimizingjit': false, 'javascript.options.ion': false } }],
      ['optimising compiler', { extraPrefsFirefox: { 'javascript.options.wasm_baselinejit': false } }]];

  it.each(compilers)('%s', async (compiler, options) => {
    const other = await start(name, options);
    try {
      check(title, compiler, (await under("script-src 'self' 'wasm-unsafe-eval'", other)).log);
    } finally {
      await other.close();
    }
  });
});

it('docs/hosts.md has a line for each of them', async () => {
  const lines = [...new Set(table.map(({ host }) => host))].map((name) =>
    `| ${name} | ${table.filter(({ host }) => host === name).map(({ how }) => how).join(', ')} |`);
  const guide = (await readFile(new URL('../../docs/hosts.md', import.meta.url), 'utf8')).split('\n');
  expect(guide.filter((line) => lines.some((expected) => line.startsWith(expected.slice(0, expected.indexOf('|', 2) + 1))))).toEqual(lines);
});
