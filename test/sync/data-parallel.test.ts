/** The example that trains MNIST on several processes. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { has } from './engines.js';

/** Given up before the test is, so that nothing keeps running. */
const run = (file: string, words: string[]) => promisify(execFile)(file, words, { timeout: 170_000 });
/** Float64 after 60 steps: 1e-12 is thousands of roundings of numbers near 1. Float32: twice what the README says of it. */
const BOUNDS = { float64: 1e-12, float32: 2e-6 };

describe.each([['nats', 'nats-server', 'float64', 3], ['mpi', 'mpirun', 'float32', 2]] as const)('training over %s', (engine, program, dtype, ranks) => {
  it.skipIf(!has(program))(`takes ${ranks} processes with unequal shares where one process gets to, in ${dtype}`, async () => {
    const { stdout } = await run(process.execPath, ['--import', 'tsx', 'examples/data-parallel/main.ts', engine, '--ranks', String(ranks), '--dtype', dtype]);
    expect(stdout).toMatch(/bits of all ranks: equal \(\w{16}\)/);
    const [, loss, weights] = /difference to one process: loss (\S+), weights and running statistics (\S+)/.exec(stdout)!;
    expect(Number(loss)).toBeLessThan(BOUNDS[dtype]);
    expect(Number(weights)).toBeLessThan(BOUNDS[dtype]);
  }, 180_000);
});
