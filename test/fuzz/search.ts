/** Looks for a counterexample, a batch of scenarios at a time. */
import fc from 'fast-check';
import { check } from './property.js';
import { type Scenario, scenario } from './scenario.js';

/** Scenarios of one seed. */
export const BATCH = 200;

/** A scenario that breaks a law, as small as it could be made. */
export interface Found {
  readonly seed: number;
  readonly law: string;
  readonly scenario: Scenario;
}

/** The scenarios of a seed; the first of them that breaks a law is shrunk, for a minute at most. */
export function search(seed: number, cases = BATCH): Found | null {
  const result = fc.check(fc.property(scenario, check), { seed, numRuns: cases, interruptAfterTimeLimit: 60_000 });
  if (!result.failed || result.counterexample === null) return null;
  const { errorInstance, counterexample } = result, law = errorInstance instanceof Error ? errorInstance.stack ?? errorInstance.message : String(errorInstance);
  return { seed, law, scenario: counterexample[0] };
}
