/** The kernels compiled from sources in memory, in this process: a second instead of the build's ten. */
import { readdirSync, readFileSync } from 'node:fs';
import { main } from 'assemblyscript/asc';

/** The sources as they are, by path. */
export const SOURCES: ReadonlyMap<string, string> = new Map(
  readdirSync('assembly').filter((name) => name.endsWith('.ts')).map((name) => `assembly/${name}`).map((path) => [path, readFileSync(path, 'utf8')]),
);

const { entries, options } = JSON.parse(readFileSync('asconfig.json', 'utf8')) as { entries: string[]; options: object };

/** The bytes of the module; or undefined if it does not compile. Optimised a little, equal programs are more often equal bytes: 2 s. */
export async function compile(sources: ReadonlyMap<string, string>, optimised = false): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const config = JSON.stringify({ entries, options: { ...options, optimizeLevel: optimised ? 1 : 0, shrinkLevel: 0, converge: false } });
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  const { error } = await main(['--outFile', 'kernels.wasm'], {
    readFile: (name) => (name === 'asconfig.json' ? config : sources.get(name.replace(/^\.\//, '')) ?? null),
    writeFile: (_, contents) => { bytes = Uint8Array.from(contents as Uint8Array); },
    listFiles: () => [],
  });
  return error ? undefined : bytes;
}

export const INDEX = 'assembly/index.ts';

/** It with the exports of one kernel alone, and what every call of it needs: quicker to compile. */
export function indexOf(kernel: string): string {
  return SOURCES.get(INDEX)!.replaceAll(/^export function (\w+?)_\w+\([\s\S]*?^}\n/gm, (whole, name) =>
    ([kernel, 'pack', 'scratch'].includes(name) ? whole : ''));
}
