/** Mutations that no test can notice, each with the reason. They are found again by the text of their line. */
import { readFileSync } from 'node:fs';
import type { Mutation } from './mutations.js';

interface Known {
  readonly file: string;
  readonly reason: string;
  /** Lines without and with a mutation. */
  readonly lines: readonly (readonly [before: string, ...after: string[]])[];
}

export const KNOWN = JSON.parse(readFileSync(new URL('known.json', import.meta.url), 'utf8')) as Known[];

/** Why no test can notice the mutation, if it is listed. */
export function reasonOf({ file, before, after }: Mutation): string | undefined {
  const matches = (known: Known) => known.file === file && known.lines.some(([line, ...changed]) => line === before && changed.includes(after));
  return KNOWN.find(matches)?.reason;
}
