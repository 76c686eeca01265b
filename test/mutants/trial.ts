/** A thread that runs test files until a test fails. It posts what failed, or undefined, and counts tests as they begin. */
import { parentPort, workerData } from 'node:worker_threads';
import { startTests, type Test, type VitestRunner } from '@vitest/runner';

export interface TrialData {
  /** Bundles of test files. */
  readonly files: readonly string[];
  /** Which tests, by their full names. */
  readonly pattern: RegExp;
  /** Kinds of runtime whose cases are left out. */
  readonly without: readonly string[];
  /** Where tests that have begun are counted. */
  readonly begun: Int32Array;
  /** The kernel module, if not the packaged one. */
  readonly kernels: Uint8Array | undefined;
}

const { files, pattern, begun } = workerData as TrialData;

function post(failure: string | undefined): never {
  parentPort!.postMessage(failure);
  process.exit();
}

const runner: VitestRunner = {
  config: {
    root: process.cwd(), name: undefined, setupFiles: [], passWithNoTests: true, testNamePattern: pattern, allowOnly: false,
    sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' }, chaiConfig: undefined, maxConcurrency: 1,
    // Whoever started the thread tells by the time of the processor that a test does not end: the clock goes on in a process that is paused.
    testTimeout: 0, hookTimeout: 0, retry: 0, includeTaskLocation: false, tags: [], tagsFilter: undefined, strictTags: false,
  },
  importFile: (path) => import(path),
  onBeforeRunTask: () => { begun[0]!++; },
  onAfterRunTask(test: Test) {
    if (test.result?.state === 'fail') post(test.fullName);
  },
};

// A test may wait for what does not keep a thread alive.
setInterval(() => {}, 1000);
// Whatever a mutated module makes fail outside of a test.
process.on('uncaughtException', (error) => post(String(error)));
const broken = (await startTests([...files], runner)).find((file) => file.result?.state === 'fail');
post(broken && `${broken.name}: ${broken.result?.errors?.[0]?.message}`);
