/** What somebody who installs the package has to trust: that it was made of these sources, and does nothing when it is installed. */
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, inject, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url)), folder = mkdtempSync(join(tmpdir(), 'batchnorm-wasm-clones-'));

afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Clones the last commit, builds and packs it, and gives the hashes of what came of it. */
function packedIn(clone: string, environment: Record<string, string>): Record<string, string> {
  const options: ExecFileSyncOptionsWithStringEncoding = {
    cwd: clone, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...environment },
  };
  mkdirSync(clone, { recursive: true });
  execFileSync('git', ['clone', '--quiet', root, '.'], options);
  // The tools are those of package-lock.json, which npm ci has checked. As files of this folder, not a link to another.
  execFileSync('cp', ['-a', join(root, 'node_modules'), '.'], options);
  execFileSync('npm', ['run', 'build'], options);
  const report = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts'], options));
  const [{ filename }] = Array.isArray(report) ? report : Object.values(report) as [{ filename: string }];
  return Object.fromEntries([filename, 'dist/kernels.wasm', 'dist/index.js'].map((name) => [name, sha256(join(clone, name))]));
}

it('is the same bytes from two clean clones, whatever their folder, language and time zone', () => {
  const first = packedIn(join(folder, 'a'), { LANG: 'C', TZ: 'UTC' });
  const second = packedIn(join(folder, 'another', 'folder with spaces'), { LANG: 'de_DE.UTF-8', TZ: 'Asia/Tokyo' });
  expect(Object.keys(first)).toHaveLength(3);
  expect(second).toEqual(first);
}, 600_000);

it('runs nothing when it is installed, and brings no other package with it', () => {
  const { scripts, dependencies, optionalDependencies, bundleDependencies, gypfile, bin } =
    JSON.parse(readFileSync(join(inject('project'), 'node_modules/batchnorm-wasm/package.json'), 'utf8'));
  const run = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'];
  expect(run.filter((name) => name in scripts)).toEqual([]);
  expect([dependencies, optionalDependencies, bundleDependencies, gypfile, bin]).toEqual(Array(5).fill(undefined));
});

it('is published with provenance alone', () => {
  expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).publishConfig).toEqual({ access: 'public', provenance: true });
});
