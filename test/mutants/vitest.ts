/** What tests find under the name of vitest in a trial: its own parts, without the rest of it. */
import {
  ASYMMETRIC_MATCHERS_OBJECT, chai, customMatchers, GLOBAL_EXPECT, getState, JestAsymmetricMatchers, JestChaiExpect, JestExtend, setState,
} from '@vitest/expect';
import { getCurrentTest } from '@vitest/runner';
import { restoreAllMocks, spyOn } from '@vitest/spy';

export { afterAll, afterEach, beforeAll, beforeEach, describe, it } from '@vitest/runner';

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
