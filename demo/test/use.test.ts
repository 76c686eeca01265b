import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { links } from '../build/links.js';

const read = (name: string) => readFileSync(new URL(`../use/${name}`, import.meta.url), 'utf8');

it('the example on the page prints what the page says', () => {
  const built = new URL('../../dist/index.js', import.meta.url).href;
  const code = read('example.js').replace(`'batchnorm-wasm'`, `'${built}'`);
  expect(code).toContain(built);
  const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8', cwd: fileURLToPath(new URL('.', import.meta.url)) });
  expect(printed).toBe(read('output.txt'));
});

it('the example has ten lines', () => {
  expect(read('example.js').trim().split('\n').length).toBeLessThanOrEqual(10);
});

it('links to the guides that lie beside it, and to the package in any case', () => {
  const site = mkdtempSync(join(tmpdir(), 'site-')), addresses = () => Array.from(links(join(site, 'demo')).matchAll(/href="(.+?)"/g), ([, address]) => address!);
  expect(addresses()).toEqual(['https://www.npmjs.com/package/batchnorm-wasm']);
  for (const name of ['porting.html', 'other.html']) writeFileSync(join(site, name), '');
  expect(addresses()).toEqual(['../porting.html', 'https://www.npmjs.com/package/batchnorm-wasm']);
  rmSync(site, { recursive: true });
});
