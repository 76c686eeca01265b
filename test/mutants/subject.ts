/** Sources that can be mutated, and how it is found out whether the tests notice. */
import { type Bundles, failureOf, type Run } from './battery.js';
import type { Mutation } from './mutations.js';

/** same: it does not compile, or compiles to what is there without it. Otherwise `by` is the test that failed. */
export type Verdict = { readonly kind: 'killed'; readonly by: string } | { readonly kind: 'same' | 'survived' };

export interface Subject {
  readonly mutations: readonly Mutation[];
  /** `lane` tells mutations apart that are judged at the same time. */
  judge(mutation: Mutation, lane: number): Promise<Verdict>;
}

const sound = new Map<string, Promise<string | undefined>>();

/**
 * What fails in tests with a mutation, if anything does.
 *
 * @throws {Error} if the first test of a file that fails does so without a mutation too, twice: then it says nothing.
 */
export async function failureBy(mutated: Bundles, plain: Bundles, files: readonly string[], run: Run, plainRun: Run): Promise<string | undefined> {
  const failure = await failureOf(mutated, files, run);
  if (failure === undefined) return undefined;
  const [file, ...names] = failure.split(' > ');
  if (!sound.has(file!)) {
    const pattern = names.length > 0 ? new RegExp(names.at(-1)!.replaceAll(/\W/g, '\\$&')) : plainRun.pattern;
    const check = () => failureOf(plain, files, { ...plainRun, ...(pattern && { pattern }) });
    // Twice, since a test that measures time may fail on a busy machine.
    sound.set(file!, check().then((failed) => (failed === undefined ? undefined : check())));
  }
  const without = await sound.get(file!);
  if (without !== undefined) throw new Error(`Fails without a mutation: ${without}`);
  return failure;
}
