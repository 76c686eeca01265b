/** Trains the same network in one process and in several, over NATS or MPI, and compares. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Outcome } from './rank.js';

const HELP = `Usage: npm run example -- data-parallel <nats | mpi> [options]

Trains the MNIST network of Ioffe & Szegedy 2015 (section 4.1) in one process, then in several with
unequal shares of the same batches, and compares losses and weights.

  --ranks <n>     processes (default 3)
  --steps <n>     training steps (default 60)
  --dtype <type>  float64 (default) or float32
  --help          this text
`;
const RANK = ['--import', 'tsx', fileURLToPath(new URL('rank.ts', import.meta.url))];

/** Those that are running: none outlives this process. */
const children = new Set<ChildProcess>();
process.once('exit', () => { for (const child of children) child.kill(); });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

function start(command: string, words: readonly string[], stdio: StdioOptions): ChildProcess {
  const child = spawn(command, words, { stdio });
  children.add(child);
  return child.once('exit', () => children.delete(child));
}

/** The last line of a process, and the lines before it. */
async function outcomesOf(command: string, words: readonly string[]): Promise<Outcome[]> {
  const child = start(command, words, ['ignore', 'pipe', 'inherit']);
  let output = '';
  child.stdout!.on('data', (data) => { output += data; });
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  const lines = output.split('\n');
  for (const line of lines) if (line !== '' && !line.startsWith('{')) console.log(`  ${line}`);
  if (code !== 0) throw new Error(`${command} has ended with code ${code}`);
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Outcome);
}

/** A server of this example's own, on a free port of this machine. */
async function startNats(): Promise<{ address: string; stop(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'nats-'));
  const server = start('nats-server', ['-a', '127.0.0.1', '-p', '-1', '--ports_file_dir', folder], 'ignore');
  let missing: Error | undefined;
  server.on('error', (error) => { missing = error; });
  for (let i = 0; i < 100 && missing === undefined; i++) {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    const [file] = readdirSync(folder);
    if (file === undefined) continue;
    const { nats: [url] } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nats: [string] };
    return {
      address: url.replace('nats://', ''),
      stop() {
        server.kill();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  }
  throw missing ?? new Error('nats-server has not started');
}

async function together(engine: string, ranks: number, common: readonly string[]): Promise<Outcome[]> {
  if (engine === 'mpi') {
    const options = ['--allow-run-as-root', '--oversubscribe', '--mca', 'mpi_yield_when_idle', '1'];
    return outcomesOf('mpirun', [...options, '-n', String(ranks), process.execPath, ...RANK, 'mpi', ...common]);
  }
  const { address, stop } = await startNats();
  try {
    const all = Array.from({ length: ranks }, (_, rank) =>
      outcomesOf(process.execPath, [...RANK, 'nats', ...common, '--server', address, '--rank', String(rank), '--size', String(ranks)]));
    return (await Promise.all(all)).flat();
  } finally {
    stop();
  }
}

function doubles({ state }: Outcome): Float64Array {
  return new Float64Array(Uint8Array.from(Buffer.from(state!, 'base64')).buffer);
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const { values, positionals: [engine = ''] } = parseArgs({
  allowPositionals: true,
  options: {
    ranks: { type: 'string', default: '3' }, steps: { type: 'string', default: '60' },
    dtype: { type: 'string', default: 'float64' }, help: { type: 'boolean', default: false },
  },
});
if (values.help || !['nats', 'mpi'].includes(engine)) {
  console.log(HELP);
} else {
  const common = ['--steps', values.steps, '--dtype', values.dtype], ranks = Number(values.ranks);
  console.log('one process');
  const [one] = await outcomesOf(process.execPath, [...RANK, ...common]);
  console.log(`${ranks} processes over ${engine}`);
  const all = await together(engine, ranks, common), first = all.find(({ rank }) => rank === 0)!;
  const hashes = new Set(all.map(({ hash }) => hash));
  console.log(`bits of all ranks: ${hashes.size === 1 ? `equal (${first.hash})` : 'DIFFERENT'}`);
  console.log(`largest difference to one process: loss ${largestDifference(first.losses, one!.losses).toExponential(1)}, ` +
    `weights and running statistics ${largestDifference(doubles(first), doubles(one!)).toExponential(1)}`);
  if (hashes.size !== 1) process.exitCode = 1;
}
