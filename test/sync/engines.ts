/** Servers of the tests' own, on loopback and free ports. Each is ended by its handle; where a program is missing, tests say so. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { wait } from './bus.js';

/** Whether a program is installed; says once what is skipped otherwise, and how to get it. */
export function has(program: 'nats-server' | 'redis-server' | 'mpirun'): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  const found = folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  const packages = { 'nats-server': 'nats-server', 'redis-server': 'redis-server', mpirun: 'openmpi-bin libopenmpi3' }[program];
  if (!found) console.warn(`Tests that need ${program} are skipped: it is not installed (apt-get install ${packages}).`);
  return found;
}

export interface Server {
  readonly port: number;
  readonly websocket: number;
  /** Ends the server, as a crash would with SIGKILL. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Resolves when a process has ended. */
export function ended(child: ChildProcess): Promise<void> {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', () => resolve()));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Servers that are running: a test that is given up does not stop its own. */
const running = new Set<ChildProcess>();
process.once('exit', () => { for (const child of running) child.kill('SIGKILL'); });

/** Starts a server that keeps its files in a folder of its own; `ready` is called until it no longer throws. */
async function start(program: string, options: (folder: string) => string[], ready: (folder: string) => Promise<void>): Promise<Pick<Server, 'stop'>> {
  const folder = mkdtempSync(join(tmpdir(), `${program}-`));
  const child = spawn(program, options(folder), { stdio: 'ignore', env: { ...process.env, PATH: `${process.env.PATH}${delimiter}/usr/sbin` } });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  for (let i = 0; ; i++) {
    try {
      if (child.exitCode !== null) throw new Error(`${program} has ended with code ${child.exitCode}`);
      await ready(folder);
      return { stop };
    } catch (error) {
      if (i === 100 || child.exitCode !== null) {
        await stop();
        throw error;
      }
      await wait(50);
    }
  }
}

/** A NATS server with JetStream, for processes and for browsers. */
export async function startNats(given?: number): Promise<Server> {
  const port = given ?? await freePort(), websocket = await freePort();
  const { writeFileSync } = await import('node:fs');
  const server = await start('nats-server', (folder) => {
    const file = join(folder, 'nats.conf');
    writeFileSync(file, `host: 127.0.0.1\nport: ${port}\njetstream { store_dir: "${folder}" }\nwebsocket { host: 127.0.0.1, port: ${websocket}, no_tls: true }\nports_file_dir: "${folder}"\n`);
    return ['-c', file];
  }, async (folder) => {
    // Written when it listens.
    const file = readdirSync(folder).find((name) => name.endsWith('.ports'));
    if (file === undefined || !readFileSync(join(folder, file), 'utf8').includes(String(port))) throw new Error('nats-server does not listen');
  });
  return { ...server, port, websocket };
}

/** A Redis server that keeps nothing. */
export async function startRedis(): Promise<Server> {
  const port = await freePort();
  const server = await start('redis-server', (folder) =>
    ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', folder, '--maxmemory-policy', 'noeviction'], async () => {
    const { connect } = await import('node:net');
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve();
      });
      socket.on('error', reject);
    });
  });
  return { ...server, port, websocket: 0 };
}
