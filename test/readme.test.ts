import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { transformSync } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { anchorOf } from '../docs/.vitepress/pages.js';
import { errorsIn } from './typescript.js';

const root = new URL('..', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, root), 'utf8');
const docs = readdirSync(new URL('docs', root)).filter((name) => name.endsWith('.md'));
const DOCUMENTS = ['README.md', ...docs.map((name) => `docs/${name}`)];
const EXAMPLES = readdirSync(new URL('examples', root)).filter((name) => !name.endsWith('.md'));
/** Guides of tables and figures. */
const RESULTS = ['docs/experiments.md', 'docs/hosts.md', 'docs/speed.md', 'docs/how-it-is-tested.md'];
const GUIDES = [
  ...DOCUMENTS, 'ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/NOTES.md', 'demo/README.md',
  'examples/README.md', ...EXAMPLES.map((name) => `examples/${name}/README.md`),
];
const HAS_TORCH = ['python3', '/usr/bin/python3']
  .find((python) => spawnSync(python, ['-c', 'import torch']).status === 0);

/** Code blocks of a document in a language, each with its first line as its name. Of a page, the code is its module script. */
function blocksOf(text: string, language: string): [name: string, code: string][] {
  const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].filter(([, of]) => of === language).map(([, , block]) => block!);
  const codes = language === 'html' ? blocks.map((block) => /<script type="module">\n([\s\S]*?)<\/script>/.exec(block)![1]!) : blocks;
  return codes.map((code) => [code.split('\n').find((line) => !/^import |^$/.test(line))!, code]);
}

function linesOf(printed: string): string[] {
  return printed.trim().split('\n').filter(Boolean);
}

describe.each(DOCUMENTS)('%s', (file) => {
  const text = read(file);
  const typed = blocksOf(text, 'ts').map(([, code]) => code);
  const examples = ['js', 'ts', 'html'].flatMap((language) => blocksOf(text, language));
  const python = blocksOf(text, 'python'), commands = blocksOf(text, 'sh');

  it('has no code that is not run here, and examples unless it is about results', () => {
    if (!RESULTS.includes(file)) expect(examples.length).toBeGreaterThan(0);
    expect([...text.matchAll(/^```/gm)]).toHaveLength(2 * (examples.length + python.length + commands.length));
  });
  if (examples.length === 0) return;

  const files = Object.fromEntries(examples.map(([, code], i) => [`example-${i}.mts`, code]));
  const errors = errorsIn(files, `out/types/${file.replaceAll(/\W/g, '-')}`, undefined, { skipLibCheck: true });

  it.each(examples.map(([name], i) => [name, errors[`example-${i}.mts`]] as const))('the example «%s» is TypeScript, strictly', (_, found) => {
    expect(found).toEqual([]);
  });

  it.each(examples)('the example «%s» runs as it stands and prints what it says', (_, code) => {
    const args = ['--input-type=module', '-e', typed.includes(code) ? transformSync(code, { loader: 'ts' }).code : code];
    const printed = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    const promised = [...code.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].map((match) => match[1]!);
    expect(linesOf(printed)).toEqual(promised);
  }, 60_000);

  if (python.length > 0) {
    it.skipIf(!HAS_TORCH).each(python)('the Python example «%s» runs as it stands and prints what it says', (_, code) => {
      const printed = execFileSync(HAS_TORCH!, ['-c', code], { encoding: 'utf8' });
      expect(linesOf(printed)).toEqual([...code.matchAll(/^# (.*)$/gm)].map((match) => match[1]!));
    }, 60_000);
  }
});

/** Anchors of a document's headings. */
function anchorsIn(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!));
}

it.each(GUIDES)('%s names files that are there', (file) => {
  for (const [, path, anchor] of read(file).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const target = new URL(path!, new URL(file, root));
    expect(existsSync(target), path).toBe(true);
    if (anchor) expect(anchorsIn(readFileSync(target, 'utf8'))).toContain(anchor);
  }
});

it.each(GUIDES)('%s names commands that there are', (file) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const text = read(file).replaceAll(/\s+/g, ' ');
  for (const [, script] of text.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty([script!]);
  for (const [, script, program] of text.matchAll(/npm run (bench|example) -- (\w[\w-]*)/g)) expect(programsOf(script!)).toContain(program);
  for (const [, path] of text.matchAll(/(?:npx vitest run(?: --project node)?|node --import tsx) ([\w/.-]+)/g)) {
    expect(existsSync(new URL(path!, root)), path).toBe(true);
  }
});

/** What a script says it can run when it is asked for something else. */
function programsOf(script: string): string[] {
  const { stderr } = spawnSync(process.execPath, ['scripts/run.mjs', script, 'unknown'], { cwd: root, encoding: 'utf8' });
  return stderr.trim().split(': ')[1]!.split(', ');
}

it('examples/README.md has every example, and names every program', () => {
  const text = read('examples/README.md');
  const folders = [...text.matchAll(/^\| \[[^\]]+\]\(([^)]+)\/README\.md\)/gm)].map((match) => match[1]!);
  expect(folders.sort()).toEqual(EXAMPLES);
  const names = [...text.matchAll(/^\| \[([^\]]+)\]\(/gm)].flatMap((match) => match[1]!.replaceAll('`', '').split(', '));
  expect(names.sort()).toEqual(programsOf('example').sort());
});

it('the set-up commands of the README are scripts of the package', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const commands = [...read('README.md').matchAll(/npm (start|test)\b/g)].map((match) => match[1]!);
  expect(commands).toContain('start');
  expect(commands).toContain('test');
  for (const command of commands) expect(scripts).toHaveProperty(command);
});

it('the import map of the README names the version and a file of this package', () => {
  const { name, version, exports } = JSON.parse(read('package.json'));
  const [map] = /{ "imports".*/.exec(read('README.md'))!;
  expect(JSON.parse(map).imports).toEqual({ [name]: `https://cdn.jsdelivr.net/npm/${name}@${version}/${exports['.'].default.slice(2)}` });
});

it('the badges of the README are true', () => {
  const { dependencies, engines, license, types } = JSON.parse(read('package.json'));
  expect(dependencies).toBeUndefined();
  expect(existsSync(new URL(types, root))).toBe(true);
  expect([...read('README.md').matchAll(/!\[([\w ]+): ([^\]]+)\]\(https:\/\/img\.shields\.io\/badge\/([^)]+)\)/g)].map(
    ([, label, value, badge]) => [label, value, decodeURIComponent(badge!)])).toEqual([
    ['dependencies', '0', 'dependencies-0-blue'],
    ['types', 'included', 'types-included-blue'],
    ['node', engines.node.replace('>=', '>= '), `node-${engines.node.replace('>=', '>= ')}-blue`],
    ['license', license, `license-${license}-blue`],
  ]);
});

it.each([
  ['Options', 'docs/options.md'], ['Speed', 'docs/speed.md'], ['Accuracy', 'docs/numerics.md'],
])('the table under «%s» in the README is part of the one in %s', (heading, guide) => {
  const section = read('README.md').split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!;
  const rows = section.split('\n').filter((line) => line.startsWith('| '));
  expect(rows.length).toBeGreaterThan(2);
  expect(rows.filter((row) => !read(guide).includes(`${row}\n`))).toEqual([]);
});

describe('the four numbers at the top of the README', () => {
  const top = read('README.md').split('\n## ')[0]!;
  const cells = (file: string, start: string) => read(file).split('\n').find((line) => line.startsWith(start))!.split('|').map((cell) => cell.trim());

  it('size: the limit that the package is held to', () => {
    const [{ limit }] = JSON.parse(read('.size-limit.json'));
    expect(top).toContain(`| **${Math.ceil(Number.parseFloat(limit))} kB** |`);
  });

  it('speed: as in the results of the example', () => {
    const results = 'examples/tfjs/results/mnist.md';
    const [before, after] = ['', ', registerBatchNorm'].map((more) => Number(cells(results, `| wasm | registerTrainingKernels${more} |`)[3]));
    expect(top).toContain(`| **${(before! / after!).toFixed(1)} times** |`);
    expect(top).toContain(`${after} ms per step instead of ${before} (`);
  });

  it('accuracy: as in the guide to numerics', () => {
    const [, , , ours, , theirs] = cells('docs/numerics.md', '| 1e4 | channels-last |');
    expect(top).toContain(`| **${ours}** |`);
    expect(top).toContain(`where PyTorch 1.13 gives ${theirs} (`);
  });

  it('hosts: as many as the table of hosts has', () => {
    const rows = read('docs/hosts.md').split('\n').filter((line) => /^\| (?!host )/.test(line));
    expect(top).toContain(`| **${rows.length} hosts** |`);
  });
});
