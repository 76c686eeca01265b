/** TypeScript as users run it, strictly, on code that imports the package. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const COMPILER = join(root, 'node_modules/@typescript/native/bin/tsc');

/**
 * The errors that the compiler finds in each file.
 *
 * @param files - code by file name, each a module
 * @param folder - where they are written: within this package, which knows itself by its name, or a project that has it installed
 */
export function errorsIn(
  files: Record<string, string>, folder: string, compiler = COMPILER, options: object = {},
): Record<string, string[]> {
  const path = resolve(root, folder);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  for (const [name, code] of Object.entries(files)) writeFileSync(join(path, name), code);
  const compilerOptions = {
    strict: true, noEmit: true, target: 'es2022', module: 'nodenext', moduleResolution: 'nodenext', lib: ['es2022', 'dom'], types: [],
    ...options,
  };
  writeFileSync(join(path, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: Object.keys(files) }));
  const { stdout, error } = spawnSync(process.execPath, [compiler, '-p', path, '--pretty', 'false'], { cwd: path, encoding: 'utf8' });
  if (error) throw error;
  const errors: Record<string, string[]> = Object.fromEntries(Object.keys(files).map((name) => [name, []]));
  for (const line of stdout.split('\n').filter((line) => line.includes('error TS'))) {
    const list = errors[line.slice(0, line.indexOf('('))];
    if (!list) throw new Error(`the compiler expected to find errors in the files alone, got ${line}`);
    list.push(line);
  }
  return errors;
}
