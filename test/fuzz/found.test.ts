import { describe, it } from 'vitest';
import { FOUND } from './found.js';
import { check } from './property.js';

describe('a scenario that once broke a law holds all of them', () => {
  it.each(FOUND)('$wrong', ({ scenario }) => {
    check(scenario);
  });
});
