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

function run(tf: Core, name: string, tensors: readonly Tensor[], attributes: object): Tensor[] {
  return tf.engine().runKernel(name, tensors as unknown as tfc.NamedTensorMap, attributes as tfc.NamedAttrMap);
}

/** Adds the kernels to a backend. */
export function registerKernels(tf: Core): void {
  const add = (kernelName: string, kernel: (device: Device, inputs: readonly tfc.TensorInfo[], attributes: never) => tfc.TensorInfo[]) => {
    for (const backendName of BACKENDS) {
      tf.registerKernel({
        kernelName, backendName,
        kernelFunc: ({ inputs, attrs, backend }) =>
          kernel(deviceOf(backend as tfc.KernelBackend), inputs as unknown as tfc.TensorInfo[], attrs as never),
      });
    }
  };
  add(FORWARD, forwardKernel);
  add(BACKWARD, backwardKernel);
  add(MOVING, movingKernel);
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
export function differentiate(
  tf: Core, call: Call, [dy, dmean, dvariance]: readonly Tensor[], inputs: composed.Inputs,
): composed.InputGradients {
  if (isRecording(tf) || !isFast(tf)) return composed.gradients(tf, call, dy!, dmean, dvariance, inputs);
  const tensors = call.mode === 'batch' ? [inputs.x, dy!, dmean!, dvariance!] : [inputs.x, dy!];
  const [x, gamma, beta, mean, variance] = run(tf, BACKWARD, tensors, { call });
  return { x: x!, gamma: gamma!, beta: beta!, mean: mean!, variance: variance! };
}

/** Whether what is computed now is recorded for a gradient: then this is the gradient of a gradient. */
function isRecording(tf: Core): boolean {
  return tf.engine().state.gradientDepth > 0;
}

function forwardKernel(device: Device, inputs: readonly tfc.TensorInfo[], { call, names }: Attributes): tfc.TensorInfo[] {
  const at = (name: Name) => {
    const i = names.indexOf(name);
    return i < 0 ? null : device.locate(inputs[i]!);
  };
  const parameters: Parameters = { gamma: at('gamma'), beta: at('beta'), mean: at('mean'), variance: at('variance') };
  return normaliseWith(device, call, inputs[0]!, parameters, call.mode === 'batch');
}

/** y of x, and mean and variance after it if they are wanted. */
export function normaliseWith(
  device: Device, call: Call, input: tfc.TensorInfo, parameters: Parameters, statistics: boolean,
): tfc.TensorInfo[] {
  const vector = [call.geometry.channels], x = device.locate(input);
  return device.produce(statistics ? [input.shape, vector, vector] : [input.shape], ([y, ...rest]) => {
    forward(device, call, x, parameters, y!, rest);
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
