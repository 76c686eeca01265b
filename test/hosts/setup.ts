/** Packs the package as it ships, and installs that in an empty project outside of this one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the project that has the package installed. */
    project: string;
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const npm = (args: string[], cwd: string) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

export default function setup({ provide }: TestProject): () => void {
  const project = mkdtempSync(join(tmpdir(), 'batchnorm-wasm-hosts-'));
  const report = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', project], root));
  const [{ filename }] = Array.isArray(report) ? report : Object.values(report) as [{ filename: string }];
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true }));
  npm(['install', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', join(project, filename)], project);
  provide('project', project);
  return () => rmSync(project, { recursive: true, force: true });
}
