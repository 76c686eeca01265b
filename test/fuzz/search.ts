/** Looks for a counterexample, a batch of scenarios at a time. */
import fc from 'fast-check';
import { MACHINES } from './machine.js';
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

/** What a batch has come to. */
export interface Searched {
  /** Calls on layers that were held to the laws, on all machines together. */
  readonly calls: number;
  readonly found: Found | null;
}

/** The scenarios of a seed; the first of them that breaks a law is shrunk, for a minute at most. */
export function search(seed: number, cases = BATCH): Searched {
  let calls = 0;
  const property = fc.property(scenario, (drawn) => {
    check(drawn);
    calls += MACHINES.length * drawn.steps.length;
  });
  return { found: foundBy(fc.check(property, { seed, numRuns: cases, interruptAfterTimeLimit: 60_000 }), seed), calls };
}

function foundBy(result: fc.RunDetails<[Scenario]>, seed: number): Found | null {
  if (!result.failed || result.counterexample === null) return null;
  const { errorInstance, counterexample } = result, law = errorInstance instanceof Error ? errorInstance.stack ?? errorInstance.message : String(errorInstance);
  return { seed, law, scenario: counterexample[0] };
}
