/** Mutations of the kernels: compiled without optimisation, and run by the tests of the kernels, then by those of layers. */
import { basename } from 'node:path';
import { bundle } from './battery.js';
import { compile, INDEX, indexOf, SOURCES } from './compile.js';
import { type Mutation, mutate, mutationsOf } from './mutations.js';
import { failureBy, type Subject } from './subject.js';

const KERNELS = ['kernels', 'chains', 'edge'].map((name) => `test/runtime/${name}.test.ts`);
/** The accuracy of statistics, whose tests take ten times as long, is left to those of sources that have a part in it. */
const LAYERS = ['batchnorm', 'mask', 'adversarial'].map((name) => `test/batchnorm/${name}.test.ts`), NUMERICS = 'test/batchnorm/numerics.test.ts';

/** By the first word of a file's name: the tests of the only kernel that uses it. */
const TESTS: Record<string, RegExp> = {
  affine: /(normalises|let NaN|affine.*at the end)/,
  gradient: /(forms the gradient|gradient.*at the end)/,
  moments: /(finds mean|keep a NaN|in moments|moments.*at the end)/,
  reduce: /(sums and writes|let NaN|in reduce|reduce.*at the end)/,
};
/** What is particular to a type is for the tests of kernels to notice. */
const ANY = /./, FLOAT32 = /^(?!.*float64)/;
/** The other kinds of runtime: that of no kernels, and that of the same ones on parts of a call. */
const OTHERS = ['javascript', 'wasm-threads'];

export async function assembly(): Promise<Subject> {
  const bundles = await bundle([...KERNELS, ...LAYERS, NUMERICS], 'assembly', { module: { filter: /\/packaged\.js$/, file: 'packaged.ts' } });
  const plain = (await compile(SOURCES))!;
  let optimised: Uint8Array | undefined;
  const fails = (files: readonly string[], pattern: RegExp, kernels: Uint8Array, without = OTHERS) =>
    failureBy(bundles, bundles, files, { pattern, without, kernels }, { pattern, without, kernels: plain });

  return {
    mutations: [...SOURCES].flatMap(([file, text]) => mutationsOf(file, text)),
    async judge(mutation) {
      const sources = mutated(mutation), kernel = basename(mutation.file).split(/[-.]/)[0]!, own = Object.hasOwn(TESTS, kernel);
      const pattern = own ? TESTS[kernel]! : ANY;
      const first = await compile(own ? new Map([...sources, [INDEX, indexOf(kernel)]]) : sources);
      if (!first) return { kind: 'same' };
      let by = await fails(KERNELS, pattern, first);
      if (by === undefined) {
        const whole = (await compile(sources))!;
        optimised ??= (await compile(SOURCES, true))!;
        if (equal(whole, plain) || equal((await compile(sources, true))!, optimised)) return { kind: 'same' };
        by = await fails(/moments|vec/.test(mutation.file) ? [...LAYERS, NUMERICS] : LAYERS, FLOAT32, whole)
          ?? await fails(KERNELS, pattern, whole, ['javascript', 'wasm-simd']);
      }
      return by === undefined ? { kind: 'survived' } : { kind: 'killed', by };
    },
  };
}

function mutated(mutation: Mutation): ReadonlyMap<string, string> {
  return new Map([...SOURCES, [mutation.file, mutate(SOURCES.get(mutation.file)!, mutation)]]);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
