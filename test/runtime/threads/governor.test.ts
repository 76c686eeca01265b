import { describe, expect, it } from 'vitest';
import { Governor } from '../../../src/runtime/threads/governor.js';

/** Makes calls of so many elements for a while; `took` says how long each takes. Returns the share of the time in shared calls, and all of it. */
function run(governor: Governor, from: number, until: number, took: (shared: boolean, call: number) => number) {
  let now = from, inShared = 0;
  for (let call = 0; now < until; call++) {
    const shared = governor.begin(0, 100_000, now, true), time = took(shared, call);
    now += time;
    governor.end(now);
    if (shared) inShared += time;
  }
  return inShared / (now - from);
}

describe('the governor', () => {
  it('leaves the first calls to the caller, then shares nearly all that gain', () => {
    for (const gain of [1.1, 1.5, 2]) expect(run(new Governor(), 0, 1000, (shared) => (shared ? 0.1 / gain : 0.1))).toBeGreaterThan(0.95);
  });

  it('leaves calls to the caller where sharing loses, but for a hundredth of the time', () => {
    const governor = new Governor(), took = (shared: boolean) => (shared ? 0.5 : 0.1);
    run(governor, 0, 2000, took);
    expect(run(governor, 2000, 12_000, took)).toBeLessThan(0.01);
  });

  it('comes back within a second once sharing gains', () => {
    const governor = new Governor();
    run(governor, 0, 5000, (shared) => (shared ? 0.5 : 0.1));
    run(governor, 5000, 6010, (shared) => (shared ? 0.06 : 0.1));
    expect(run(governor, 6010, 7000, (shared) => (shared ? 0.06 : 0.1))).toBeGreaterThan(0.9);
  });

  it('is not misled by comparisons that are won by chance, beside a process that takes a core for slices of time', () => {
    const governor = new Governor();
    let shares = 0;
    // Every second comparison is won by a third, the other takes a time slice.
    const took = (shared: boolean) => {
      if (!shared) return 0.1;
      shares++;
      return shares % 61 < 60 ? 0.07 : 5;
    };
    run(governor, 0, 2000, took);
    expect(run(governor, 2000, 12_000, took)).toBeLessThan(0.05);
  });

  it('goes on sharing what gains, although a call is interrupted for a time slice now and then', () => {
    let shares = 0;
    const took = (shared: boolean) => (shared ? ++shares % 300 === 0 ? 5 : 0.06 : 0.1);
    expect(run(new Governor(), 0, 5000, took)).toBeGreaterThan(0.98);
  });

  it('makes few calls alone while sharing gains', () => {
    let alone = 0;
    run(new Governor(), 0, 1000, (shared) => {
      if (!shared) alone++;
      return shared ? 0.06 : 0.1;
    });
    expect(alone).toBeLessThan(1000 / 0.06 / 100);
  });

  it('soon knows that calls alone are fast again after another process has held them up', () => {
    const governor = new Governor();
    run(governor, 0, 1000, (shared) => (shared ? 0.15 : 0.2));
    run(governor, 1000, 1200, (shared) => (shared ? 0.13 : 0.1));
    expect(run(governor, 1200, 2200, (shared) => (shared ? 0.13 : 0.1))).toBeLessThan(0.15);
  });

  it('does not take a call that was interrupted for one that is slow alone', () => {
    const governor = new Governor();
    const took = (shared: boolean, call: number) => (shared ? 0.14 : call % 50 === 7 ? 5 : 0.1);
    run(governor, 0, 2000, took);
    expect(run(governor, 2000, 12_000, took)).toBeLessThan(0.05);
  });
});
