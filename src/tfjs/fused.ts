/**
 * tf.batchNorm on these kernels: the FusedBatchNorm kernel of the wasm and cpu backends, and its gradient.
 *
 * tfjs' own kernel is right for parameters that vary along the last axes of x alone, and stays in use where ours gain nothing:
 * for small tensors, and for parameters as large as x, as its LayerNormalization has them. Its gradient is right for vectors
 * and for parameters as large as x.
 */
import type * as tfc from '@tensorflow/tfjs-core';
import { elements } from '../runtime/shape.js';
import { areWorthCalls, normaliseBlocks } from './blocks.js';
import { type Call, forward, newCall } from './call.js';
import { spreadGradients } from './composed.js';
import { type Device, deviceOf, type Source } from './devices.js';
import { addKernel, BACKENDS, mustCompose, run, runBackward } from './register.js';
import { differentiateRows, normaliseRows, type Parameters, repeated, repeatedTo } from './rows.js';
import { blocksOf, type Common, commonOf, eachRun, isTrailing, spreadOf } from './spread.js';

type Core = typeof tfc;
type Tensor = tfc.Tensor;

const FUSED = 'FusedBatchNorm', GRADIENT = 'FusedBatchNormGrad';

/** The parameters, in the order of a spread. */
const NAMES = ['mean', 'variance', 'scale', 'offset'] as const;
type Name = (typeof NAMES)[number];
type Shapes = readonly (readonly number[] | undefined)[];

/** Attributes as tf.batchNorm makes them anew for each call, and what the kernel leaves there for the gradient. */
interface Attributes {
  readonly varianceEpsilon: number;
  /** The shapes of the parameters; undefined: not given. */
  shapes?: Shapes;
  /** That of our kernels, if one has run on all of x. */
  call?: Call;
}

type Inputs = { readonly x: tfc.TensorInfo } & { [name in Name]?: tfc.TensorInfo | null };

/** tfjs' own kernels, by backend. */
const stockKernels = new Map<string, tfc.KernelFunc>();
const kernelFuncs = BACKENDS.map((backendName): tfc.KernelFunc => ({ inputs, attrs, backend }) =>
  fusedKernel(stockKernels.get(backendName)!, backend as tfc.KernelBackend, inputs as unknown as Inputs, attrs as unknown as Attributes));

/** Replaces the kernel of both backends. A backend imported later brings its own again. */
export function registerFusedKernels(tf: Core): void {
  for (const [i, backendName] of BACKENDS.entries()) {
    const stock = tf.getKernel(FUSED, backendName), kernelFunc = kernelFuncs[i]!;
    if (!stock || stock.kernelFunc === kernelFunc) continue;
    stockKernels.set(backendName, stock.kernelFunc);
    // Without this tfjs warns that there are two.
    tf.unregisterKernel(FUSED, backendName);
    tf.registerKernel({ ...stock, kernelFunc });
  }
}

export function registerFusedGradient(tf: Core): void {
  addKernel(tf, GRADIENT, gradientKernel);
  const stock = tf.getGradient(FUSED);
  if (stock) tf.unregisterGradient(FUSED);
  tf.registerGradient({
    kernelName: FUSED,
    inputsToSave: ['x', 'mean', 'variance', 'scale'],
    gradFunc: (dy, saved, attributes) => {
      const own = attributes as unknown as Attributes;
      // Another backend ran its own kernel.
      if (!own.shapes && stock) return stock.gradFunc(dy, saved, attributes);
      return (stock && stockGradients(tf, stock.gradFunc, dy as Tensor, saved, own)) ?? fusedGradient(tf, dy as Tensor, saved, own, own.shapes!);
    },
  });
}

function fusedKernel(stock: tfc.KernelFunc, backend: tfc.KernelBackend, inputs: Inputs, attributes: Attributes): tfc.TensorInfo {
  const y = byKernels(backend, inputs, attributes) ?? byStock(stock, backend, inputs, attributes) ?? byBlocks(backend, inputs, attributes);
  attributes.shapes = NAMES.map((name) => inputs[name]?.shape);
  // tfjs records and saves inputs after this, and stumbles over those that are missing.
  inputs.scale ??= inputs.mean!;
  if (inputs.offset == null) delete inputs.offset;
  return y;
}

function commonOfInputs({ x, ...inputs }: Inputs): Common {
  return commonOf(spreadOf(x.shape, NAMES.map((name) => inputs[name]?.shape ?? [])));
}

/** By our kernels, where they are worth it: they take 10 us per call, 30 ns per channel and at most 1 ns per element, tfjs' 5 ns. */
function byKernels(backend: tfc.KernelBackend, inputs: Inputs, attributes: Attributes): tfc.TensorInfo | null {
  const { x } = inputs, size = elements(x.shape);
  if (size < 4096 || NAMES.some((name) => inputs[name] && 16 * elements(inputs[name].shape) > size)) return null;
  const common = commonOfInputs(inputs), { geometry, runs } = blocksOf(common);
  const { channels } = geometry, count = geometry.outer * geometry.inner;
  if (count < 16 || count * channels < 4096) return null;
  const device = deviceOf(backend), values = device.locate(x);
  const [mean, variance, gamma, beta] = NAMES.map((name, p) => {
    const input = inputs[name];
    if (input == null) return null;
    const source = device.locate(input), own = elements(input.shape) === common.size ? null : repeatedTo(common, p, source());
    return own ? () => own : source;
  });
  const part = (source: Source, at: number, length: number) => () => source().subarray(at, at + length);
  const [y] = device.produce([x.shape], ([y]) => {
    eachRun(runs, 0, (start, at, length) => {
      const call = newCall({ geometry, eps: attributes.varianceEpsilon, mode: 'running', mask: null, count });
      const vector = (source: Source | null | undefined) => (source ? part(source, at, channels) : null);
      const parameters = { mean: vector(mean), variance: vector(variance), gamma: vector(gamma), beta: vector(beta) };
      forward(device, call, part(values, start, length), parameters, part(y!, start, length), []);
      if (runs.sizes.length === 1) attributes.call = call;
    });
  });
  return y!;
}

/** By the kernel of tfjs, which takes floats that vary along the last axes. */
function byStock(
  stock: tfc.KernelFunc, backend: tfc.KernelBackend, inputs: Inputs, attributes: Attributes,
): tfc.TensorInfo | null {
  const { x, mean, variance, scale, offset } = inputs;
  for (const input of [x, mean, variance, scale, offset]) {
    if (input != null && (input.dtype !== 'float32' || !isTrailing(input.shape, x.shape))) return null;
  }
  return stock({
    inputs: inputs as unknown as tfc.NamedTensorInfoMap, attrs: attributes as unknown as tfc.NamedAttrMap, backend,
  }) as tfc.TensorInfo;
}

/** By a call of our kernel per block where that is worth it and x is in memory already, otherwise by plain loops. */
function byBlocks(backend: tfc.KernelBackend, inputs: Inputs, { varianceEpsilon }: Attributes): tfc.TensorInfo {
  const { x } = inputs, device = deviceOf(backend), common = commonOfInputs(inputs), blocks = blocksOf(common), values = device.locate(x);
  const parameters = locate(device, NAMES.map((name) => inputs[name]));
  const [y] = device.produce([x.shape], ([y]) => {
    const own = repeated(common, parameters()), inMemory = values().buffer === device.engine.memory.buffer;
    if (inMemory && areWorthCalls(blocks)) normaliseBlocks(device.engine, blocks, varianceEpsilon, values, own, y!);
    else normaliseRows(common, varianceEpsilon, values(), own, y!());
  });
  return y!;
}

/** The values of the parameters: of a missing scale 1, of a missing offset 0. */
function locate(device: Device, inputs: readonly (tfc.TensorInfo | null | undefined)[]): () => Parameters {
  const sources = NAMES.map((_, p) => (inputs[p] ? device.locate(inputs[p]) : () => Float32Array.of(p === 2 ? 1 : 0)));
  return () => sources.map((source) => source()) as unknown as Parameters;
}

/**
 * By the operations of the wasm backend, for parameters as large as x: without a sum they are faster than plain loops (60x100: 0.30 ms
 * instead of 0.46, 512x1024: 33 instead of 86).
 */
function stockGradients(
  tf: Core, gradFunc: tfc.GradFunc, dy: Tensor, [x, mean, variance, scale]: Tensor[], attributes: Attributes,
): ReturnType<tfc.GradFunc> | null {
  const whole = attributes.shapes!.every((shape) => !shape || tf.util.arraysEqual([...shape], x!.shape));
  if (tf.getBackend() !== 'wasm' || !whole || !attributes.shapes![2]) return null;
  return gradFunc(dy, [x!, mean!, variance!, scale!], attributes as unknown as tfc.NamedAttrMap);
}

function fusedGradient(
  tf: Core, dy: Tensor, [x, mean, variance, saved]: Tensor[], { varianceEpsilon, call }: Attributes, shapes: Shapes,
): Record<string, () => Tensor> {
  const scale = shapes[2] ? saved! : null;
  const gradients = mustCompose(tf)
    ? spreadGradients(tf, varianceEpsilon, dy, x!, mean!, variance!, scale, shapes)
    : call
      ? kernelGradients(tf, call, x!, dy, shapes)
      : run(tf, GRADIENT, [x!, dy, mean!, variance!, ...(scale ? [scale] : [])], { varianceEpsilon, shapes });
  const given = NAMES.flatMap((name, p) => (shapes[p] ? [[name, () => gradients[p + 1]!] as const] : []));
  // In place of a missing scale the forward has left another tensor.
  return { scale: () => tf.zerosLike(saved!), ...Object.fromEntries(given), x: () => gradients[0]! };
}

function kernelGradients(tf: Core, call: Call, x: Tensor, dy: Tensor, shapes: Shapes): Tensor[] {
  const by = runBackward(tf, call, [x, dy]);
  const parameters = [by.mean, by.variance, by.gamma, by.beta].map((gradient, p) => {
    const shape = shapes[p];
    return shape ? tf.reshape(elements(shape) === gradient.size ? gradient : tf.sum(gradient), [...shape]) : gradient;
  });
  return [by.x, ...parameters];
}

/** The gradients by x and the four parameters, from x, dy, mean, variance and scale if there is one. */
function gradientKernel(
  device: Device, [x, dy, ...given]: readonly tfc.TensorInfo[], { varianceEpsilon, shapes }: Required<Attributes>,
): tfc.TensorInfo[] {
  const own = shapes.map((shape) => shape ?? []), common = commonOf(spreadOf(x!.shape, own));
  const values = device.locate(x!), gradient = device.locate(dy!), parameters = locate(device, given);
  return device.produce([x!.shape, ...own], ([dx, ...by]) => {
    const out = by.map((source) => source()) as unknown as Parameters;
    differentiateRows(common, varianceEpsilon, values(), gradient(), parameters(), dx!(), out);
  });
}
