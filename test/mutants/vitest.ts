/** What tests find under the name of vitest in a trial: its own parts, without the rest of it. */
import { workerData } from 'node:worker_threads';
import {
  ASYMMETRIC_MATCHERS_OBJECT, chai, customMatchers, GLOBAL_EXPECT, getState, JestAsymmetricMatchers, JestChaiExpect, JestExtend, setState,
} from '@vitest/expect';
import { getCurrentTest, describe as suite, it as test } from '@vitest/runner';
import { restoreAllMocks, spyOn } from '@vitest/spy';
import type { TrialData } from './trial.js';

export { afterAll, afterEach, beforeAll, beforeEach } from '@vitest/runner';

const { without } = workerData as TrialData;

/** It without the cases of some kinds of runtime. To collect all tests of the kernels would take longer than to run those that matter. */
function withoutKinds<T extends { each: (cases: readonly unknown[]) => unknown }>(api: T): T {
  const kindOf = (given: unknown) => (given as { kind?: unknown } | null)?.kind ?? given;
  const each = (cases: readonly unknown[]) => api.each(cases.filter((given) => !without.includes(kindOf(given) as string)));
  return new Proxy(api, { get: (target, name) => (name === 'each' ? each : Reflect.get(target, name)) });
}

export const describe = withoutKinds(suite as never), it = withoutKinds(test as never);

const stubbed = new Map<string, PropertyDescriptor | undefined>();

export const vi = {
  spyOn, restoreAllMocks,
  stubGlobal(name: string, value: unknown) {
    if (!stubbed.has(name)) stubbed.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  },
  unstubAllGlobals() {
    for (const [name, descriptor] of stubbed) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
    }
    stubbed.clear();
  },
};

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

function assertion(value: unknown, message?: string) {
  const made = chai.expect(value, message) as Chai.Assertion & { withTest(test: unknown): Chai.Assertion };
  const test = getCurrentTest();
  return test ? made.withTest(test) : made;
}

const matchers = (globalThis as Record<symbol, unknown>)[ASYMMETRIC_MATCHERS_OBJECT];
export const expect = Object.assign(assertion, chai.expect, matchers) as unknown as typeof import('vitest').expect;
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, configurable: true });
setState({ assertionCalls: 0, isExpectingAssertions: false }, expect as never);
expect.getState = () => getState(expect as never);
(chai.expect as unknown as { extend(owner: unknown, matchers: object): void }).extend(expect, customMatchers);
