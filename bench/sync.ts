/**
 * What communication costs: one all-gather of a layer's statistics and a synchronised forward and backward, on each engine with 2
 * and 4 processes, beside the same without others. Medians of the slowest rank, in microseconds. npm run bench -- sync
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { has, startNats, startRedis } from '../test/sync/engines.js';
import { CHANNELS, type Figures } from './sync-rank.js';

const RANK = ['--import', 'tsx', fileURLToPath(new URL('sync-rank.ts', import.meta.url))];
const MPIRUN = ['--allow-run-as-root', '--oversubscribe', '--mca', 'mpi_yield_when_idle', '1'];

function lineOf(command: string, words: readonly string[]): Promise<string> {
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data) => { output += data; });
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} has ended with code ${code}`));
    });
  });
}

/** The slowest rank of each figure. */
function slowest(all: readonly Figures[]): Figures {
  const most = (of: (figures: Figures) => readonly number[]) => CHANNELS.map((_, i) => Math.max(...all.map((figures) => of(figures)[i]!)));
  return { gather: most(({ gather }) => gather), forward: most(({ forward }) => forward), backward: most(({ backward }) => backward) };
}

async function measure(engine: string, size: number, port: number): Promise<Figures> {
  const outputs = engine === 'mpi'
    ? [await lineOf('mpirun', [...MPIRUN, '-n', String(size), process.execPath, ...RANK, 'mpi'])]
    : await Promise.all(Array.from({ length: size }, (_, rank) =>
      lineOf(process.execPath, [...RANK, engine, String(port), `bench ${size}`, String(rank), String(size)])));
  return slowest(outputs.join('').trim().split('\n').map((line) => JSON.parse(line) as Figures));
}

const print = (name: string, { gather, forward, backward }: Figures) => console.log(`| ${[
  name, ...[gather, forward, backward].map((list) => list.map((value) => value.toFixed(0)).join(', ')),
].join(' | ')} |`);

console.log(`| engine, ranks | all-gather of C = ${CHANNELS.join(', ')} | forward of [8, C, 7, 7] | backward |\n| --- | --- | --- | --- |`);
print('one process, `forward` and `backward`', await measure('plain', 1, 0));
print('one process, `syncForward` and `syncBackward`', await measure('alone', 1, 0));
for (const size of [2, 4]) {
  if (has('mpirun')) print(`Open MPI, ${size}`, await measure('mpi', size, 0));
  print(`BroadcastChannel, ${size} threads`, JSON.parse(await lineOf(process.execPath, [...RANK, 'threads', '0', '', '0', String(size)])) as Figures);
  for (const [engine, program, start] of [['nats', 'nats-server', startNats], ['redis', 'redis-server', startRedis]] as const) {
    if (!has(program)) continue;
    const server = await start();
    try {
      print(`${engine === 'nats' ? 'NATS' : 'Redis'}, ${size}`, await measure(engine, size, server.port));
    } finally {
      await server.stop();
    }
  }
}
