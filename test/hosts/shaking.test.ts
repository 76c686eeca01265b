/** Bundlers leave out what an application does not use. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { WAYS, type Way } from './ways.js';

/** A folder of its own: other files bundle at the same time. */
const application = join(inject('project'), 'application'), built = join(application, 'built');

/** Words that only one part of the package has. */
const PARTS = {
  kernels: 'WebAssembly.Module',
  module: 'onNonFinite',
  converters: 'moving_variance',
  safetensors: 'data_offsets',
  folding: 'for a convolution after',
  statistics: 'm2',
  threads: 'fewer threads than asked for',
};

/** A bundle of some names. */
async function bundleOf(way: Way, names: string): Promise<string> {
  await mkdir(built, { recursive: true });
  await writeFile(join(application, 'main.mjs'), `import { ${names} } from 'batchnorm-wasm';\nconsole.log([${names}]);\n`);
  await way.write!(application, built);
  return readFile(join(built, 'main.mjs'), 'utf8');
}

const partsIn = (bundle: string) => Object.entries(PARTS).filter(([, word]) => bundle.includes(word)).map(([part]) => part);

describe.each(['esbuild', 'Rollup', 'webpack 5'])('%s', (name) => {
  const way = WAYS[name]!;

  it('takes everything that is asked for', async () => {
    expect(partsIn(await bundleOf(way, 'BatchNorm, fromKeras, readSafetensors, foldInto, mergeMoments, createThreadedRuntime'))).toEqual(Object.keys(PARTS));
  });

  it('takes neither kernels nor modules with { mergeMoments }', async () => {
    const bundle = await bundleOf(way, 'mergeMoments');
    expect(partsIn(bundle)).toEqual(['statistics']);
    expect(bundle.length).toBeLessThan(5000);
  });

  it('takes no converters, safetensors or folding with { BatchNorm }', async () => {
    expect(partsIn(await bundleOf(way, 'BatchNorm'))).toEqual(['kernels', 'module', 'statistics']);
  });

  it('takes no module with { createRuntime }', async () => {
    expect(partsIn(await bundleOf(way, 'createRuntime'))).not.toContain('module');
  });
});
