/** The sides of the benchmark, and how each is started. */
import type { Operation } from './protocol.js';

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}

export interface Side extends Command {
  readonly name: string;
  /** A description for the reader of the table. */
  readonly about: string;
  /** Larger errors are failures; null if the result is not a batch norm. */
  readonly bound: Readonly<Record<Operation | 'gradients', number>> | null;
}

const OUR_BOUND = { eval: 2e-6, train: 2e-6, backward: 4e-6, gradients: 1e-5 };
/** Allows for plain float32 sums, one value after the other; a wrong formula is off by far more. The table states the error. */
const PEER_BOUND = { eval: 1e-4, train: 2e-3, backward: 2e-3, gradients: 1e-2 };

/** The side that the others are compared with. */
export const OURS = 'batchnorm-wasm';

const own = (name: string, about: string, kind: string, ...build: string[]): Side => ({
  name, about, ...node('bench/ours.ts', kind, ...build), bound: kind === 'copy' ? null : OUR_BOUND,
});
const peer = (name: string, about: string, command: Command): Side => ({ name, about, ...command, bound: PEER_BOUND });

/** Keeps freed memory in the process: fresh memory costs a page fault every 4 KB. */
const RECYCLED = { MALLOC_MMAP_MAX_: '0', MALLOC_TRIM_THRESHOLD_: '17179869184', MALLOC_TOP_PAD_: '1073741824' };
/** Debian's Python, because it has Debian's PyTorch. */
const PYTHON = '/usr/bin/python3';

export const OWN_SIDES: readonly Side[] = [
  own(OURS, 'tensors', 'tensors'),
  own('typed arrays', 'batchnorm-wasm given typed arrays, staged', 'arrays'),
  own('typescript', 'the same kernels in plain TypeScript', 'typescript'),
  own('copy', 'a memory copy of x to y', 'copy'),
];

/** Another build of the package with tensors, by the URL of its index.js. */
export const otherBuild = (url: string): Side => own('other', 'another build', 'tensors', url);

export const PEERS: readonly Side[] = [
  peer('tfjs-cpu', 'TensorFlow.js in JavaScript', node('bench/peers/tfjs.mjs', 'cpu')),
  peer('tfjs-wasm', 'TensorFlow.js in WebAssembly', node('bench/peers/tfjs.mjs', 'wasm')),
  peer('onnxruntime-web', 'WebAssembly', node('bench/peers/onnxruntime.mjs', 'web')),
  peer('onnxruntime-node', 'native', node('bench/peers/onnxruntime.mjs', 'node')),
  peer('jax-js', 'WebAssembly, jit', node('bench/peers/jax.mjs')),
  peer('pytorch', 'native, memory recycled', { command: PYTHON, args: ['bench/peers/pytorch.py'], env: RECYCLED }),
  peer('pytorch-malloc', 'native, its usual allocator', { command: PYTHON, args: ['bench/peers/pytorch.py'] }),
  peer('onednn', 'native', { command: 'bench/peers/build/onednn', args: [] }),
];

/** The same side on so many threads: natives read the variable themselves, the others as soon as they start. */
export const onThreads = (threads: number) => (side: Side): Side => ({ ...side, env: { ...side.env, OMP_NUM_THREADS: String(threads) } });

/** @throws {RangeError} if a name is not that of a peer. */
export function peersNamed(names: string | undefined): readonly Side[] {
  if (names === undefined) return PEERS;
  if (names === 'none') return [];
  return names.split(',').map((name) => {
    const found = PEERS.find((each) => each.name === name);
    if (!found) throw new RangeError(`--peers expected none or any of ${PEERS.map((each) => each.name).join(',')}, got ${name}`);
    return found;
  });
}

function node(...args: string[]): Command {
  return { command: process.execPath, args: ['--import', 'tsx', ...args] };
}
