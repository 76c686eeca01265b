import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { CASES, FILES } from './type-promises.js';
import { errorsIn } from './typescript.js';

describe('the declarations promise that', () => {
  const errors = errorsIn(FILES, 'out/types/promises');

  it.each(CASES)('%s', (_, file) => {
    expect(errors[file]).toEqual([]);
  });
});

it('a layer that CommonJS made is one for an ES module', () => {
  expect(errorsIn({
    'required.cts': "import { BatchNorm } from 'batchnorm-wasm';\nexport const bn = new BatchNorm(2, { dtype: 'float64' });\n",
    'imported.mts': `import { type BatchNorm, recalibrate } from 'batchnorm-wasm';
import { bn } from './required.cjs';
const layers: BatchNorm[] = [bn];
recalibrate(bn, []);
export const weight: Float64Array<ArrayBuffer> = bn.weight, { length } = layers;
`,
  }, 'out/types/mixed', undefined, { module: 'node16', moduleResolution: 'node16' })).toEqual({ 'required.cts': [], 'imported.mts': [] });
});

describe('editors show', () => {
  const SHOWN = [
    ['new BatchNorm(64)', 'BatchNormWith<{}>'],
    ["new BatchNorm(64, { layout: 'channels-last', eps: 1e-3, weight: true })", 'BatchNormWith<{}>'],
    ['new BatchNorm(64, { weight: false })', 'BatchNormWith<{ weight: false; }>'],
    ["new BatchNorm(64, { dtype: 'float64', eps: 0 })", 'BatchNormWith<{ dtype: "float64"; }>'],
    ['new BatchNorm(64).weight', 'Float32Array<ArrayBuffer>'],
    ['new BatchNorm(64).forward(new Float32Array(64), [1, 64])', 'Float32Array<ArrayBuffer>'],
    ['new BatchNorm(64) as BatchNorm', 'BatchNorm'],
  ] as const;
  const code = ([expression]: readonly [string, string]) =>
    `import { BatchNorm } from 'batchnorm-wasm';\nconst value = ${expression};\nexport const none: never = value;\n`;
  const errors = errorsIn(Object.fromEntries(SHOWN.map((row, i) => [`shown-${i}.mts`, code(row)])), 'out/types/shown');

  it.each(SHOWN.map(([expression, type], i) => [expression, type, errors[`shown-${i}.mts`]!] as const))('%s as %s', (_, type, [error]) => {
    expect(error).toContain(`Type '${type}' is not assignable to type 'never'.`);
  });

  it('what is wrong with an unknown option', () => {
    const { 'unknown.mts': list } = errorsIn({
      'unknown.mts': "import { BatchNorm } from 'batchnorm-wasm';\nnew BatchNorm(64, { momentum: 1, epsilon: 1 });\n",
    }, 'out/types/unknown');
    expect(list!.join()).toMatch(/unknown\.mts\(2,34\): .* is not assignable to type '"there is no option epsilon"'/);
  });

  it.each([
    ['new BatchNorm(64, { | });', ['dtype', 'layout', 'eps', 'weight', 'renorm', 'runtime']],
    ["new BatchNorm(64, { eps: 0, dtype: '|' });", ['float32', 'float64']],
  ])('what can be written at the bar of %s', (line, names) => {
    const text = `import { BatchNorm } from 'batchnorm-wasm';\n${line}\n`;
    const { entries } = editorOf(text.replace('|', '')).getCompletionsAtPosition(FILE, text.indexOf('|'), {})!;
    expect(entries.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
  });
});

const FILE = fileURLToPath(new URL('../out/types/suggested.mts', import.meta.url));

/** What an editor asks, of a file with this text. */
function editorOf(text: string): ts.LanguageService {
  return ts.createLanguageService({
    ...ts.sys,
    useCaseSensitiveFileNames: () => true,
    getCompilationSettings: () => ({ strict: true, module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, types: [] }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    getScriptFileNames: () => [FILE],
    getScriptVersion: () => '1',
    getScriptSnapshot: (path) => ts.ScriptSnapshot.fromString(path === FILE ? text : readFileSync(path, 'utf8')),
  });
}
