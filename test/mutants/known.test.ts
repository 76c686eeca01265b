import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KNOWN } from './known.js';
import { mutationsOf } from './mutations.js';

/** What would be excused without being the same program any more. */
describe.each(KNOWN)('what no test can notice in $file: $reason', ({ file, lines }) => {
  const mutations = mutationsOf(file, readFileSync(file, 'utf8'));

  it.each(lines)('is a change of a line that is there: %s', (before, ...changed) => {
    const possible = mutations.filter((mutation) => mutation.before === before).map(({ after }) => after);
    expect(possible).toEqual(expect.arrayContaining(changed));
  });
});
