/**
 * Kernels that training needs of the wasm backend of tfjs, each against the backend's own, if it has one, and against the
 * forward. `npm run bench -- tfjs-training`. Writes results/tfjs-training.md.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, sep } from 'node:path';
import type * as core from '@tensorflow/tfjs-core';
import { registerTrainingKernels } from 'batchnorm-wasm/tfjs-training';

/** Calls per side are repeated for at least so many milliseconds, in turn. */
const ROUND = 50, ROUNDS = 5;

const require = createRequire(import.meta.url);
const tf: typeof core = require('@tensorflow/tfjs-core');
type Tensor = core.Tensor;

/** A kernel with its inputs, and the forward that it belongs to. */
interface Case {
  readonly name: string;
  readonly kernel: string;
  readonly shapes: readonly (readonly number[])[];
  readonly inputs: (tensors: readonly Tensor[]) => Record<string, Tensor>;
  readonly attributes: object;
  readonly forward: (tensors: readonly Tensor[]) => unknown;
}

/** Both gradients of a convolution of x [N, H, H, C] with padding 'same'. */
function convolution(depthwise: boolean, x: number[], filter: number[], strides: number): Case[] {
  const [samples = 0, height = 0, , channels = 0] = x, outputs = depthwise ? channels * filter[3]! : filter[3]!;
  const size = Math.ceil(height / strides), dy = [samples, size, size, outputs], pad = 'same', dilations = 1, dataFormat = 'NHWC';
  const prefix = depthwise ? 'DepthwiseConv2dNativeBackprop' : 'Conv2DBackprop';
  const what = `${depthwise ? 'depthwise' : 'convolution'} ${x.join('x')}, ${filter.slice(0, 2).join('x')}${depthwise ? '' : ` to ${outputs}`}, stride ${strides}`;
  const attributes = { strides, pad, dilations, dataFormat, inputShape: x, filterShape: filter };
  const forward = ([x, filter]: readonly Tensor[]) => (depthwise ? tf.depthwiseConv2d : tf.conv2d)(x as never, filter as never, strides, pad);
  const shared = { shapes: [x, filter, dy], attributes, forward };
  return [
    { ...shared, name: `${what}: dx`, kernel: `${prefix}Input`, inputs: ([, filter, dy]) => ({ dy: dy!, filter: filter! }) },
    { ...shared, name: `${what}: dfilter`, kernel: `${prefix}Filter`, inputs: ([x, , dy]) => ({ x: x!, dy: dy! }) },
  ];
}

function pooling(x: number[], filterSize: number, strides: number): Case {
  const [samples = 0, height = 0, , channels = 0] = x, size = Math.ceil(height / strides), pad = 'same';
  return {
    name: `max pooling ${x.join('x')}, ${filterSize}x${filterSize}, stride ${strides}: dx`, kernel: 'MaxPoolGrad',
    shapes: [x, [samples, size, size, channels]], attributes: { filterSize, strides, pad },
    inputs: ([x, dy]) => ({ input: x!, output: dy!, dy: dy! }),
    forward: ([x]) => tf.maxPool(x as core.Tensor4D, filterSize, strides, pad),
  };
}

function product(rows: number, inputs: number, outputs: number): Case {
  return {
    name: `dense ${rows}x${inputs} to ${outputs}: dx`, kernel: 'BatchMatMul', shapes: [[rows, inputs], [inputs, outputs], [rows, outputs]],
    attributes: { transposeA: false, transposeB: true }, inputs: ([, weight, dy]) => ({ a: dy!, b: weight! }),
    forward: ([x, weight]) => tf.matMul(x!, weight!),
  };
}

const CASES: Case[] = [
  ...convolution(false, [64, 28, 28, 8], [3, 3, 8, 16], 1), ...convolution(false, [32, 14, 14, 32], [3, 3, 32, 64], 1),
  ...convolution(false, [8, 28, 28, 64], [3, 3, 64, 128], 2), ...convolution(false, [8, 7, 7, 160], [1, 1, 160, 960], 1),
  ...convolution(true, [8, 56, 56, 144], [3, 3, 144, 1], 2), ...convolution(true, [8, 14, 14, 576], [3, 3, 576, 1], 1),
  ...convolution(true, [8, 7, 7, 960], [3, 3, 960, 1], 1),
  pooling([64, 28, 28, 8], 2, 2), pooling([8, 56, 56, 64], 3, 2), product(64, 784, 10), product(256, 1024, 1024),
];

type Side = () => void;

/** Milliseconds per call, over a round. */
function time(side: Side): number {
  const start = performance.now();
  let calls = 0;
  do {
    tf.tidy(side);
    calls++;
  } while (performance.now() - start < ROUND);
  return (performance.now() - start) / calls;
}

const median = (times: number[]) => times.sort((a, b) => a - b)[times.length >> 1]!;

/** Calls a kernel as the engine would, and gives its result to the engine, which frees it. */
function call(given: Case, kernel: core.KernelFunc, tensors: readonly Tensor[]): Side {
  return () => {
    const result = kernel({ inputs: given.inputs(tensors), attrs: given.attributes as core.NamedAttrMap, backend: tf.backend() });
    if (!(result instanceof tf.Tensor)) tf.engine().makeTensorFromTensorInfo(result as core.TensorInfo);
  };
}

function row(given: Case, stock: core.KernelFunc | undefined): string {
  const tensors = given.shapes.map((shape, i) => tf.randomNormal([...shape], 0, 1, 'float32', i + 1));
  const own = tf.getKernel(given.kernel, 'wasm').kernelFunc;
  const sides = [() => { given.forward(tensors); }, call(given, own, tensors), ...(stock ? [call(given, stock, tensors)] : [])];
  for (const side of sides) time(side);
  const times: number[][] = sides.map(() => []);
  for (let i = 0; i < ROUNDS; i++) sides.forEach((side, of) => { times[of]!.push(time(side)); });
  tf.dispose(tensors);
  const [forward, ours, theirs] = times.map(median), cell = (value: number | undefined) => value?.toPrecision(3) ?? 'none';
  return `| ${given.name} | ${cell(forward)} | ${cell(theirs)} | ${cell(ours)} | ${theirs === undefined ? '' : cell(theirs / ours!)} |`;
}

require('@tensorflow/tfjs-backend-wasm').setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
await tf.setBackend('wasm');
const stock = new Map(CASES.map(({ kernel }) => [kernel, tf.getKernel(kernel, 'wasm')?.kernelFunc]));
registerTrainingKernels(tf);
const lines = [
  '# TensorFlow.js 4.22: kernels for training on the wasm backend', '',
  `Milliseconds per call, medians of ${ROUNDS} rounds in turn. Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown'}, ` +
    `${new Date().toISOString().slice(0, 10)}. \`npm run bench -- tfjs-training\` writes this file.`, '',
  '| | forward | stock | registered | times as fast |', '|---|---:|---:|---:|---:|',
];
console.log(lines.slice(-2).join('\n'));
for (const given of CASES) {
  const line = row(given, stock.get(given.kernel));
  console.log(line);
  lines.push(line);
}
writeFileSync(new URL('results/tfjs-training.md', import.meta.url), `${lines.join('\n')}\n`);
