/** Examples as a newcomer copies them: into a folder of a project that has the package installed. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { build } from 'vite';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { serve } from '../../demo/test/serve.js';
import { start } from '../browsers.js';

const root = fileURLToPath(new URL('../..', import.meta.url)), project = inject('project');

function copied(name: string): string {
  const folder = join(project, name);
  cpSync(join(root, 'examples', name), folder, { recursive: true });
  return folder;
}

it.each(['xor', 'port-torch'])('%s runs from its own folder', (name) => {
  const folder = copied(name);
  writeFileSync(join(folder, 'main.mjs'), transformSync(readFileSync(join(folder, 'main.ts'), 'utf8'), { loader: 'ts' }).code);
  expect(execFileSync(process.execPath, ['main.mjs'], { cwd: folder, encoding: 'utf8' })).toMatch(/1 xor 1 = 0\.0|folded: \de-7/);
});

describe('tfjs-browser, as Vite builds it', () => {
  let folder: string;

  beforeAll(async () => {
    folder = copied('tfjs-browser');
    symlinkSync(join(root, 'node_modules/@tensorflow'), join(project, 'node_modules/@tensorflow'));
    await build({ root: folder, configFile: false, base: './', logLevel: 'warn', build: { chunkSizeWarningLimit: 2000 } });
  });

  it.each(['chrome', 'firefox'] as const)('trains in %s', async (name) => {
    // In an isolated page tfjs starts its threaded build, whose workers a bundled page does not find.
    const server = await serve(join(folder, 'dist'), '/', false), browser = await start(name), page = await browser.newPage();
    const faults: string[] = [];
    try {
      page.on('pageerror', (error) => faults.push(String(error)));
      await page.goto(server.url);
      await page.waitForFunction(() => document.querySelector('#log')!.textContent!.includes('accuracy'), { timeout: 60_000 });
      const text = await page.evaluate(() => document.querySelector('#log')!.textContent!);
      const losses = [...text.matchAll(/loss ([\d.]+)/g)].map((match) => Number(match[1]));
      expect(losses).toHaveLength(6);
      expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
      expect(faults).toEqual([]);
    } finally {
      await browser.close();
      server.close();
    }
  });
});
