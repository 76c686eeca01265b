/** One process of the fuzzer: every `jobs`-th seed until time or cases are over, or a law is broken. */
import { BATCH, search } from './search.js';

/** What a process is to do. */
export interface Job {
  readonly seed: number;
  readonly job: number;
  readonly jobs: number;
  readonly seconds: number;
  readonly cases: number;
}

const { seed, job, jobs, seconds, cases } = JSON.parse(process.argv[2]!) as Job, end = performance.now() + 1000 * seconds;
for (let batch = job; batch * BATCH < cases && performance.now() < end; batch += jobs) {
  const searched = search((seed + batch) % 2 ** 31, Math.min(BATCH, cases - batch * BATCH));
  process.send!(searched);
  if (searched.found) break;
}
