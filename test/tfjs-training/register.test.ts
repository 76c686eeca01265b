/** Before and after registration: this file has its own tfjs, which is as it came until the test that registers. */
import type { Tensor, Tensor5D } from '@tensorflow/tfjs-core';
import { describe, expect, it, vi } from 'vitest';
import { registerTrainingKernels } from '../../src/tfjs-training/index.js';
import { distance } from '../setup.js';
import { tf } from '../tfjs/setup.js';

const ADDED = [
  'Conv2DBackpropFilter', 'DepthwiseConv2dNativeBackpropFilter', 'DepthwiseConv2dNativeBackpropInput', 'UnsortedSegmentSum',
];
const REPLACED = ['MaxPoolGrad', 'Conv2DBackpropInput', 'BatchMatMul'];

const kernels = (backend: string) => new Map(tf.getKernelsForBackend(backend).map((kernel) => [kernel.kernelName, kernel.kernelFunc]));
const ramp = (shape: number[], by = 1): Tensor => tf.mul(tf.reshape(tf.range(0, shape.reduce((a, b) => a * b)), shape), by);
const maxGradient = (values: number[]) =>
  Array.from(tf.grad((x) => tf.maxPool(x as never, 2, 2, 'valid'))(tf.tensor4d(values, [1, 2, 2, 1])).dataSync());

describe('tfjs as it comes', () => {
  it('has no gradients of convolutions on the wasm backend', async () => {
    await tf.setBackend('wasm');
    const train = (f: (x: Tensor, filter: Tensor) => Tensor) =>
      tf.tidy(() => { tf.grads((x, filter) => f(x!, filter!))([ramp([1, 4, 4, 2]), ramp([3, 3, 2, 2])]); });
    expect(() => train((x, filter) => tf.conv2d(x as never, filter as never, 1, 'same'))).toThrow("'Conv2DBackpropFilter' not registered");
    expect(() => train((x, filter) => tf.depthwiseConv2d(x as never, filter as never, 1, 'same')))
      .toThrow("'DepthwiseConv2dNativeBackpropInput' not registered");
    expect(() => train((x, filter) => tf.conv2d(x as never, filter as never, 1, 'same', 'NHWC', 2))).toThrow('not yet supported');
    expect(() => train((x) => tf.gather(x, [0, 0]))).toThrow("'UnsortedSegmentSum' not registered");
  });

  it('gives the gradient of max pooling to the first of negative values, whichever is largest, and to the last of ties', () => {
    expect(maxGradient([-4, -1, -2, -3])).toEqual([1, 0, 0, 0]);
    expect(maxGradient([1, 1, 0, 0])).toEqual([0, 1, 0, 0]);
  });

  it('has wrong results in three dimensions on the wasm backend', async () => {
    const results: Float32Array[][] = [];
    for (const backend of ['cpu', 'wasm']) {
      await tf.setBackend(backend);
      const filter = tf.sin(ramp([3, 3, 3, 3, 4]));
      const dx = tf.grad((x) => tf.conv3d(x as never, filter as never, 1, 'same'))(tf.cos(ramp([1, 4, 4, 4, 3])));
      const pooled: Tensor = tf.maxPool3d(ramp([1, 2, 2, 2, 1], -1) as Tensor5D, 2, 2, 'valid');
      results.push([dx.dataSync<'float32'>(), pooled.dataSync<'float32'>()]);
    }
    const [cpu, wasm] = results;
    expect(distance(wasm![0]!, cpu![0]!)).toBeGreaterThan(0.1);
    expect([cpu![1]![0], wasm![1]![0]]).toEqual([-0, 2 ** -126]);
  });
});

describe('registerTrainingKernels', () => {
  it.each([
    { given: undefined, name: 'undefined' }, { given: null, name: 'null' }, { given: 3, name: 'number 3' },
    { given: {}, name: 'Object' }, { given: { layers: tf.layers }, name: 'Object' },
  ])('says what it expects when given $name', ({ given, name }) => {
    const before = [kernels('wasm'), kernels('cpu')];
    expect(() => registerTrainingKernels(given)).toThrow(
      new TypeError(`registerTrainingKernels() expected the namespace of @tensorflow/tfjs, got ${name} without "engine"`));
    expect([kernels('wasm'), kernels('cpu')]).toEqual(before);
  });

  it('adds what the wasm backend lacks, replaces what it says, and leaves all else alone', () => {
    const wasm = kernels('wasm'), cpu = kernels('cpu');
    const warn = vi.spyOn(console, 'warn');
    registerTrainingKernels(tf);
    expect(warn).not.toHaveBeenCalled();
    const after = kernels('wasm'), changed = [...after.keys()].filter((name) => after.get(name) !== wasm.get(name));
    expect(changed.sort()).toEqual([...ADDED, ...REPLACED].sort());
    expect(ADDED.filter((name) => wasm.has(name))).toEqual([]);
    expect(kernels('cpu')).toEqual(cpu);
  });

  it('changes nothing when called again', () => {
    const state = () => [
      kernels('wasm'), tf.getGradient('Conv2D').gradFunc, tf.getGradient('DepthwiseConv2dNative').gradFunc,
      tf.layers.conv2d({ filters: 1, kernelSize: 1 }).call,
    ];
    const before = state();
    registerTrainingKernels(tf);
    expect(state()).toEqual(before);
  });

  it('makes max pooling right', () => {
    expect(maxGradient([-4, -1, -2, -3])).toEqual([0, 1, 0, 0]);
    expect(maxGradient([1, 1, 0, 0])).toEqual([1, 0, 0, 0]);
  });

  it('leaves dilated gradients of other backends as they are', async () => {
    await tf.setBackend('cpu');
    const run = () => tf.tidy(() => { tf.grad((x) => tf.conv2d(x as never, ramp([3, 3, 2, 2]) as never, 1, 'same', 'NHWC', 2))(ramp([1, 6, 6, 2])); });
    expect(run).toThrow('not yet supported');
  });

  it('puts its kernels back where a backend that is imported later has brought its own', () => {
    const kernelFunc = () => { throw new Error('stock'); };
    tf.unregisterKernel('MaxPoolGrad', 'wasm');
    tf.registerKernel({ kernelName: 'MaxPoolGrad', backendName: 'wasm', kernelFunc });
    registerTrainingKernels(tf);
    expect(tf.getKernel('MaxPoolGrad', 'wasm').kernelFunc).not.toBe(kernelFunc);
  });

  it('keeps a kernel that the backend has got since', () => {
    const own = tf.getKernel('UnsortedSegmentSum', 'wasm'), kernelFunc = () => [];
    tf.unregisterKernel('UnsortedSegmentSum', 'wasm');
    tf.registerKernel({ ...own, kernelFunc });
    registerTrainingKernels(tf);
    expect(tf.getKernel('UnsortedSegmentSum', 'wasm').kernelFunc).toBe(kernelFunc);
    tf.unregisterKernel('UnsortedSegmentSum', 'wasm');
    tf.registerKernel(own);
  });

  it('does nothing where there is no wasm backend', () => {
    const registerKernel = vi.fn();
    registerTrainingKernels({ ...tf, registerKernel, registerGradient: registerKernel, getKernel: () => undefined });
    expect(registerKernel).not.toHaveBeenCalled();
  });
});
