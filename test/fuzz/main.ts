/** Looks for a scenario that breaks a law: npm run fuzz -- --seconds 60 --seed N */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Job } from './job.js';
import { check } from './property.js';
import { BATCH, type Found, type Searched } from './search.js';

const HELP = `npm run fuzz -- [options]

Random layers and calls, on both kinds of runtime with arrays and with tensors, against an oracle in float64.
  --seconds N    how long; default 60
  --cases N      at most so many scenarios
  --seed N       default: from the clock
  --jobs N       processes; default: as many as there are processors
  --replay JSON  one scenario, as a failure prints it
`;

const { values } = parseArgs({ options: {
  seconds: { type: 'string', default: '60' }, cases: { type: 'string', default: 'Infinity' }, seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
  jobs: { type: 'string', default: `${availableParallelism()}` }, replay: { type: 'string' }, help: { type: 'boolean' },
} });
const [seconds, cases, seed, jobs] = [values.seconds, values.cases, values.seed, values.jobs].map(Number) as [number, number, number, number];

if (values.help || !(seconds > 0 && cases > 0 && Number.isSafeInteger(seed) && seed >= 0 && Number.isSafeInteger(jobs) && jobs > 0)) {
  console.error(HELP);
  process.exitCode = values.help ? 0 : 1;
} else if (values.replay !== undefined) {
  check(JSON.parse(values.replay));
  console.log('no law is broken');
} else {
  await main();
}

async function main(): Promise<void> {
  console.log(`seed ${seed}, ${jobs} processes, ${seconds} s`);
  const start = performance.now(), elapsed = () => (performance.now() - start) / 1000, found: Found[] = [];
  let done = 0, calls = 0, told = 0;
  const file = fileURLToPath(new URL('job.ts', import.meta.url)), processes = Array.from({ length: jobs }, (_, job) =>
    fork(file, [JSON.stringify({ seed, job, jobs, seconds, cases: Math.min(cases, Number.MAX_SAFE_INTEGER) } satisfies Job)], { execArgv: ['--import', 'tsx'] }));
  for (const one of processes) {
    one.on('message', (searched: Searched) => {
      calls += searched.calls;
      if (searched.found) {
        found.push(searched.found);
        for (const other of processes) if (other !== one) other.kill();
        return;
      }
      done += BATCH;
      if (elapsed() - told < 60) return;
      told = elapsed();
      console.log(`${done} scenarios, ${calls} calls in ${told.toFixed(0)} s`);
    });
  }
  const exits = await Promise.all(processes.map((one) => once(one, 'exit') as Promise<[number | null]>));
  const crashed = found.length === 0 && exits.some(([code]) => code !== 0);
  for (const one of found) {
    console.error(`\n${one.law}\n\nagain:\n  npm run fuzz -- --cases ${BATCH} --seed ${one.seed}\n  npm run fuzz -- --replay '${JSON.stringify(one.scenario)}'\n`);
  }
  console.log(`${done} scenarios, ${calls} calls in ${elapsed().toFixed(0)} s from seed ${seed}, ${crashed ? 'a process has crashed' : found.length > 0 ? 'a law is broken' : 'no law is broken'}`);
  // As the test runner reports, for what adds the reports up.
  mkdirSync('out', { recursive: true });
  const failed = crashed || found.length > 0 ? 1 : 0;
  writeFileSync('out/fuzz.json', JSON.stringify({ numPassedTests: 1 - failed, numFailedTests: failed, seed, seconds: elapsed(), scenarios: done, calls, found }));
  process.exitCode = failed;
}
