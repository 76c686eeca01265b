/**
 * The accuracy table of docs/numerics.md: training on float32 data with mean / std from 0 to 1e6, 1e5 values in each of 4
 * channels, against f64. Includes PyTorch if python3 has it, and the installed TensorFlow.js.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { BatchNorm, createRuntime, type Layout } from 'batchnorm-wasm';

const N = 100, C = 4, POSITIONS = 1000;
const MEANS = [0, 1e2, 1e4, 1e6];
const LAYOUTS: readonly Layout[] = ['channels-first', 'channels-last'];

interface Errors {
  variance: number;
  y: number;
}

function place(layout: Layout, n: number, c: number, i: number): number {
  return layout === 'channels-first' ? (n * C + c) * POSITIONS + i : (n * POSITIONS + i) * C + c;
}

/** Normal numbers, the same every time (Box and Muller over a linear congruential generator). */
function normal(mean: number): Float32Array {
  let state = 1502;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length: N * C * POSITIONS }, () =>
    mean + Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** The largest errors of a result over all channels. */
function errorsOf(x: Float32Array, y: ArrayLike<number>, variance: ArrayLike<number>, layout: Layout): Errors {
  const worst: Errors = { variance: 0, y: 0 };
  for (let c = 0; c < C; c++) {
    const at: number[] = [];
    for (let n = 0; n < N; n++) for (let i = 0; i < POSITIONS; i++) at.push(place(layout, n, c, i));
    const first = x[at[0]!]!;
    const mean = first + at.reduce((total, index) => total + (x[index]! - first), 0) / at.length;
    const expected = at.reduce((total, index) => total + (x[index]! - mean) ** 2, 0) / at.length;
    const std = Math.sqrt(expected + 1e-5);
    worst.variance = Math.max(worst.variance, Math.abs(variance[c]! / expected - 1));
    for (const index of at) worst.y = Math.max(worst.y, Math.abs(y[index]! - (x[index]! - mean) / std));
  }
  return worst;
}

function ours(x: Float32Array, layout: Layout): Errors {
  const bn = new BatchNorm(C, { layout, runtime: createRuntime({ kind: 'wasm-simd' }) });
  const shape = layout === 'channels-first' ? [N, C, POSITIONS] : [N, POSITIONS, C];
  const y = bn.forward(x, shape);
  return errorsOf(x, y, bn.context!.variance, layout);
}

/** Errors of PyTorch on the same data, or null if it is not installed. */
function torch(x: Float32Array, layout: Layout): Errors | null {
  mkdirSync('out', { recursive: true });
  writeFileSync('out/accuracy.f32', x);
  const script = `
import sys, torch
x = torch.frombuffer(open("out/accuracy.f32", "rb").read(), dtype=torch.float32).clone()
n, c, p = ${N}, ${C}, ${POSITIONS}
first = ${layout === 'channels-first' ? 'True' : 'False'}
x = x.reshape(n, c, p, 1) if first else x.reshape(n, p, 1, c).permute(0, 3, 1, 2)
bn = torch.nn.BatchNorm2d(c, momentum=1.0)
y = bn(x).detach()
y = y if first else y.permute(0, 2, 3, 1)
m = n * p
sys.stdout.buffer.write(y.contiguous().numpy().tobytes() + (bn.running_var * (m - 1) / m).numpy().tobytes())
`;
  const { status, stdout } = spawnSync('python3', ['-c', script], { maxBuffer: 2 ** 28 });
  const result = status === 0 ? stdout : spawnSync('/usr/bin/python3', ['-c', script], { maxBuffer: 2 ** 28 }).stdout;
  if (!result?.length) return null;
  const values = new Float32Array(result.buffer.slice(result.byteOffset, result.byteOffset + result.length));
  return errorsOf(x, values.subarray(0, x.length), values.subarray(x.length), layout);
}

/**
 * Errors of `moments` and `batchNorm` of tfjs, which its layer uses in training. Its `batchNorm` only supports
 * channels-last; for channels-first a user composes the same from broadcasting operations.
 */
async function tensorflow(x: Float32Array, layout: Layout, backend: 'wasm' | 'cpu'): Promise<Errors> {
  await tf.setBackend(backend);
  const first = layout === 'channels-first';
  const [y, variance] = tf.tidy(() => {
    const tensor = tf.tensor(x, first ? [N, C, POSITIONS] : [N, POSITIONS, C]);
    const batch = tf.moments(tensor, first ? [0, 2] : [0, 1], first);
    const y = first
      ? tf.mul(tf.sub(tensor, batch.mean), tf.rsqrt(tf.add(batch.variance, 1e-5)))
      : tf.batchNorm(tensor as tf.Tensor3D, batch.mean as tf.Tensor1D, batch.variance as tf.Tensor1D, undefined, undefined, 1e-5);
    return [y.dataSync(), batch.variance.dataSync()];
  });
  return errorsOf(x, y, variance, layout);
}

const require = createRequire(import.meta.url);
require('@tensorflow/tfjs-backend-cpu');
setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);

const sides = ['', 'PyTorch', 'tfjs wasm', 'tfjs cpu'].flatMap((side) => ['variance', 'y'].map((of) => `${side} ${of}`.trim()));
console.log(`| mean / std | layout | ${sides.join(' | ')} |\n|---|---|${sides.map(() => '---|').join('')}`);
const digits = (value: number | undefined) => (value === undefined ? 'not installed' : value.toExponential(1));
for (const mean of MEANS) {
  const x = normal(mean);
  for (const layout of LAYOUTS) {
    const results = [
      ours(x, layout), torch(x, layout), await tensorflow(x, layout, 'wasm'), await tensorflow(x, layout, 'cpu'),
    ];
    const cells = results.flatMap((errors) => [errors?.variance, errors?.y].map(digits));
    console.log(`| ${[mean.toExponential(0), layout, ...cells].join(' | ')} |`);
  }
}
