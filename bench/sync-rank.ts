/** One process of bench/sync.ts: ENGINE PORT RUN RANK SIZE. Prints its figures as a line of JSON. */
import { fileURLToPath } from 'node:url';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { BatchNorm } from 'batchnorm-wasm';
import { broadcastGroup, type Group, messageGroup, mpiGroup, natsGroup, redisGroup, syncBackward, syncForward } from 'batchnorm-wasm/sync';

export const CHANNELS = [64, 512, 2048];
const ROUNDS = 100, WARM = 20;

/** Medians in microseconds, for each number of channels. */
export interface Figures {
  readonly gather: number[];
  readonly forward: number[];
  readonly backward: number[];
}

async function join(engine: string, port: number, options: { run: string; rank: number; size: number }): Promise<{ group: Group | null; leave(): unknown }> {
  if (engine === 'plain') return { group: null, leave: () => {} };
  if (engine === 'alone') return { group: await messageGroup({ publish() {}, subscribe: () => () => {} }, { rank: 0, size: 1 }), leave: () => {} };
  if (engine === 'mpi') {
    const group = mpiGroup((await import('koffi')).default);
    return { group, leave: () => group.close() };
  }
  if (engine === 'threads') {
    const group = await broadcastGroup(options);
    return { group, leave: () => group.close() };
  }
  if (engine === 'nats') {
    const connection = await (await import('@nats-io/transport-node')).connect({ servers: `127.0.0.1:${port}` });
    return { group: await natsGroup(connection, options), leave: () => connection.drain() };
  }
  const client = new (await import('ioredis')).Redis(port, '127.0.0.1');
  return { group: await redisGroup(client, options), leave: () => client.quit() };
}

async function median(action: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < WARM + ROUNDS; i++) {
    const start = performance.now();
    await action();
    if (i >= WARM) times.push(performance.now() - start);
  }
  return 1000 * times.sort((a, b) => a - b)[ROUNDS / 2]!;
}

async function figuresOf(group: Group | null): Promise<Figures> {
  const figures: Figures = { gather: [], forward: [], backward: [] };
  for (const channels of CHANNELS) {
    const bn = new BatchNorm(channels), shape = [8, channels, 7, 7];
    const x = Float32Array.from({ length: 8 * channels * 49 }, (_, i) => Math.sin(i));
    const part = new Uint8Array(600 + 16 * channels), out = new Float32Array(x.length), dx = new Float32Array(x.length);
    figures.gather.push(group ? await median(() => group.allGather(part)) : 0);
    figures.forward.push(await median(() => (group ? syncForward(bn, group, x, shape, { out }) : bn.forward(x, shape, { out }))));
    figures.backward.push(await median(() => (group ? syncBackward(bn, group, out, { out: dx }) : bn.backward(out, { out: dx }))));
  }
  return figures;
}

async function run(engine: string, port: number, options: { run: string; rank: number; size: number }): Promise<Figures> {
  const { group, leave } = await join(engine, port, options);
  const figures = await figuresOf(group);
  await leave();
  return figures;
}

/** Threads of one process: this file again in each. */
async function threads(size: number): Promise<Figures> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.url)], bundle: true, write: false, format: 'esm', platform: 'node',
    external: ['koffi', 'ioredis', '@nats-io/*', 'esbuild'],
  });
  const script = new URL(`data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString('base64')}`);
  const all = await Promise.all(Array.from({ length: size }, (_, rank) => new Promise<Figures>((resolve, reject) => {
    const worker = new Worker(script, { workerData: { rank, size } });
    worker.once('message', resolve).once('error', reject);
  })));
  const most = (of: keyof Figures) => CHANNELS.map((_, i) => Math.max(...all.map((figures) => figures[of][i]!)));
  return { gather: most('gather'), forward: most('forward'), backward: most('backward') };
}

const data = workerData as { rank: number; size: number } | null;
if (parentPort) {
  parentPort.postMessage(await run('threads', 0, { run: 'bench', ...data! }));
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [engine = 'plain', port, name = '', rank, size] = process.argv.slice(2);
  const options = { run: name, rank: Number(rank), size: Number(size) };
  const figures = engine === 'threads' ? await threads(options.size) : await run(engine, Number(port), options);
  // mpirun joins the lines of all ranks.
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
