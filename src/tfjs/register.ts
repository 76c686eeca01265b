/** The kernels that this package adds to the wasm and cpu backends of tfjs, and their gradients. */
import type * as tfc from '@tensorflow/tfjs-core';
import { backward, type Call, forward, type Parameters, updateMoving } from './call.js';
import * as composed from './composed.js';
import { type Device, deviceOf } from './devices.js';

type Core = typeof tfc;
type Tensor = tfc.Tensor;

export const BACKENDS = ['wasm', 'cpu'] as const;
const FORWARD = 'BatchNorm', BACKWARD = 'BatchNormGrad', MOVING = 'BatchNormMoving';

export type Name = 'x' | 'gamma' | 'beta' | 'mean' | 'variance';

/** What comes with a kernel call beside its tensors. */
interface Attributes {
  readonly call: Call;
  /** What the tensors are, in their order: a list, since tfjs saves no tensors that may be missing. */
  readonly names: readonly Name[];
}

/** Whether the current backend has these kernels; starts it where none has been. */
export function isFast(tf: Core): boolean {
  tf.backend();
  return tf.getKernel(FORWARD, tf.getBackend()) !== undefined;
}

/** y, and in mode 'batch' mean and variance. Differentiable. */
export function runForward(tf: Core, call: Call, inputs: composed.Inputs): Tensor[] {
  const names: Name[] = ['x'], tensors = [inputs.x];
  for (const name of ['gamma', 'beta', 'mean', 'variance'] as const) {
    const tensor = inputs[name];
    if (!tensor) continue;
    names.push(name);
    tensors.push(tensor);
  }
  return run(tf, FORWARD, tensors, { call, names });
}

/** Moving mean and variance after a call of mode 'batch'. */
export function runMoving(tf: Core, call: Call, momentum: number, mean: Tensor, variance: Tensor): [Tensor, Tensor] {
  return run(tf, MOVING, [mean, variance], { call, momentum }) as [Tensor, Tensor];
}

/** Runs a kernel whose inputs are a list. */
export function run(tf: Core, name: string, tensors: readonly Tensor[], attributes: object): Tensor[] {
  return tf.engine().runKernel(name, tensors as unknown as tfc.NamedTensorMap, attributes as tfc.NamedAttrMap);
}

/** Adds a kernel whose inputs are a list to both backends. */
export function addKernel(
  tf: Core, kernelName: string, kernel: (device: Device, inputs: readonly tfc.TensorInfo[], attributes: never) => tfc.TensorInfo[],
): void {
  for (const backendName of BACKENDS) {
    tf.registerKernel({
      kernelName, backendName,
      kernelFunc: ({ inputs, attrs, backend }) =>
        kernel(deviceOf(backend as tfc.KernelBackend), inputs as unknown as tfc.TensorInfo[], attrs as never),
    });
  }
}

/** Adds the kernels of `batchNorm` and its gradient. */
export function registerKernels(tf: Core): void {
  addKernel(tf, FORWARD, forwardKernel);
  addKernel(tf, BACKWARD, backwardKernel);
  addKernel(tf, MOVING, movingKernel);
  tf.registerGradient({
    kernelName: FORWARD,
    saveAllInputs: true,
    gradFunc: (dy, saved, attributes) => {
      const { call, names } = attributes as unknown as Attributes;
      const { x, ...parameters } = Object.fromEntries(names.map((name, i) => [name, saved[i]!]));
      const gradients = differentiate(tf, call, Array.isArray(dy) ? dy : [dy], { x: x!, ...parameters });
      return Object.fromEntries(names.map((name, i) => [i, () => gradients[name]]));
    },
  });
}

/** Gradients of a forward: by the kernel, or composed where they may be differentiated again. */
function differentiate(
  tf: Core, call: Call, [dy, dmean, dvariance]: readonly Tensor[], inputs: composed.Inputs,
): composed.InputGradients {
  if (mustCompose(tf)) return composed.gradients(tf, call, dy!, dmean, dvariance, inputs);
  return runBackward(tf, call, call.mode === 'batch' ? [inputs.x, dy!, dmean!, dvariance!] : [inputs.x, dy!]);
}

/** Gradients by the kernel, from x, dy and in mode 'batch' those of mean and variance. */
export function runBackward(tf: Core, call: Call, tensors: readonly Tensor[]): composed.InputGradients {
  const [x, gamma, beta, mean, variance] = run(tf, BACKWARD, tensors, { call });
  return { x: x!, gamma: gamma!, beta: beta!, mean: mean!, variance: variance! };
}

/** Whether gradients have to be made of operations: what is computed now is recorded, or the backend has no kernels of this package. */
export function mustCompose(tf: Core): boolean {
  return tf.engine().state.gradientDepth > 0 || !isFast(tf);
}

/** y, and in mode 'batch' mean and variance. */
function forwardKernel(device: Device, inputs: readonly tfc.TensorInfo[], { call, names }: Attributes): tfc.TensorInfo[] {
  const at = (name: Name) => {
    const i = names.indexOf(name);
    return i < 0 ? null : device.locate(inputs[i]!);
  };
  const parameters: Parameters = { gamma: at('gamma'), beta: at('beta'), mean: at('mean'), variance: at('variance') };
  const { shape } = inputs[0]!, vector = [call.geometry.channels], x = device.locate(inputs[0]!);
  return device.produce(call.mode === 'batch' ? [shape, vector, vector] : [shape], ([y, ...statistics]) => {
    forward(device, call, x, parameters, y!, statistics);
  });
}

function backwardKernel(device: Device, inputs: readonly tfc.TensorInfo[], { call }: Attributes): tfc.TensorInfo[] {
  const vector = [call.geometry.channels], constants = call.mode === 'running';
  const [x, dy, dmean = null, dvariance = null] = inputs.map((input) => device.locate(input));
  const shapes = [inputs[0]!.shape, vector, vector];
  if (constants) shapes.push(vector, vector);
  return device.produce(shapes, ([dx, dgamma, dbeta, byMean = null, byVariance = null]) => {
    backward(device, call, x!, { dy: dy!, dmean, dvariance }, {
      dx: dx!, dgamma: dgamma!, dbeta: dbeta!, dmean: byMean, dvariance: byVariance,
    });
  });
}

function movingKernel(
  device: Device, inputs: readonly tfc.TensorInfo[], { call, momentum }: { call: Call; momentum: number },
): tfc.TensorInfo[] {
  const [mean, variance] = inputs.map((input) => device.locate(input));
  const vector = [call.geometry.channels];
  return device.produce([vector, vector], ([newMean, newVariance]) => {
    const means = newMean!(), variances = newVariance!();
    means.set(mean!());
    variances.set(variance!());
    updateMoving(call, momentum, means, variances);
  });
}
