/** The same over Open MPI. */
import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { mpiGroup } from '../../src/sync/index.js';
import { has } from './engines.js';

interface Job {
  readonly code: number | null;
  readonly found: Record<string, unknown>[];
  readonly errors: string;
}

/** Processes that share this machine's cores: a rank that waits gives its core away. */
export const MPIRUN = ['--allow-run-as-root', '--oversubscribe', '--mca', 'mpi_yield_when_idle', '1', '--mca', 'btl', 'self,vader', '--mca', 'pml', 'ob1'];

function run(size: number, what: string): Promise<Job> {
  return new Promise((resolve, reject) => {
    const child = spawn('mpirun', [...MPIRUN, '-n', String(size), process.execPath, '--import', 'tsx', 'test/sync/mpi-rank.ts', what], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '', errors = '';
    child.stdout.on('data', (data) => { output += data; });
    child.stderr.on('data', (data) => { errors += data; });
    child.on('error', reject);
    child.on('close', (code) => {
      const found = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);
      resolve({ code, errors, found: found.sort((a, b) => Number(a.rank) - Number(b.rank)) });
    });
  });
}

describe.skipIf(!has('mpirun'))('groups of Open MPI', () => {
  it.each([2, 3, 4])('have the bits of one machine on %i ranks, with promises and without', async (size) => {
    const { code, found, errors } = await run(size, 'exact');
    expect([code, errors]).toEqual([0, '']);
    expect(found).toEqual(Array.from({ length: size }, (_, rank) => ({ rank, size, right: 72, all: 72 })));
  });

  it('carry parts of unequal lengths, overlapping', async () => {
    const { code, found, errors } = await run(3, 'collectives');
    expect([code, errors]).toEqual([0, '']);
    expect(found).toEqual([0, 1, 2].map((rank) => ({ rank, size: 3, right: true, numbers: [0, 1, 2], sums: [[3, 3], [6, 6, 6]] })));
  });

  it('throw one sentence on all ranks where one fails or differs, change nothing, and go on', async () => {
    const { code, found } = await run(3, 'failures');
    expect(code).toBe(0);
    for (const { rank, messages, tracked, after } of found as { rank: number; messages: string[]; tracked: number; after: number }[]) {
      expect(messages).toEqual([
        'rank 1 has failed in forward of layer 0: "x" expected Float32Array of length 6 (2x3), got length 5',
        'ranks disagree in forward of layer 0: eps 0.00001 on ranks 0 and 2, 0.001 on rank 1',
        rank === 0 ? 'disk full' : 'rank 0 has failed in step: disk full',
        'rank 1 has failed in forward of layer 0: "x" expected Float32Array of length 3 (1x3), got length 6',
      ]);
      expect([tracked, after]).toEqual([0, 1]);
    }
  });

  it('end at the time-out where a rank does not come, and the job with them', async () => {
    const { code, found } = await run(2, 'leaves');
    expect(found).toEqual([{ rank: 0, size: 2, message: 'rank 0 has waited 0.5 s for the other ranks' }]);
    expect(code).not.toBe(0);
  });

  it('end with a rank that is killed', async () => {
    const { code, found, errors } = await run(3, 'killed');
    expect([code, found]).toEqual([137, []]);
    expect(errors).toMatch(/rank 1.*exited on signal 9/s);
  });

  it('end where a rank aborts, with its reason', async () => {
    const { code, found, errors } = await run(2, 'aborts');
    expect([code, found]).toEqual([1, []]);
    expect(errors).toMatch('rank 1 has aborted: the loss is NaN');
  });

  it('refuse what is not koffi, and bad options, before MPI starts', () => {
    expect(() => mpiGroup({} as never)).toThrow('"koffi" expected koffi\'s default export, got Object');
    expect(() => mpiGroup({ load() {} } as never, { timeout: 0 })).toThrow('"timeout" expected');
    expect(() => mpiGroup({ load() {} } as never, { rank: 0 } as never)).toThrow('got "rank"');
  });
});
