import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folder = new URL('../assembly/', import.meta.url);

it('assembly/ imports nothing from outside of itself', () => {
  const files = readdirSync(folder), names = files.map((file) => `./${file.replace(/\.ts$/, '')}`);
  const imports = files.flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    return [...text.matchAll(/\bfrom\s+['"]([^'"]+)['"]/g)].map(([, path]) => path);
  });
  expect(imports.length).toBeGreaterThan(files.length);
  expect(imports.filter((path) => !names.includes(path!))).toEqual([]);
});
