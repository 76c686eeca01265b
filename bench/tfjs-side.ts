/** The process of one side of the tfjs benchmark: stock tfjs, or tfjs with this package registered. It answers every question with a time. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';

type Tfjs = typeof core & typeof layers;

export const SIDES = ['stock', 'registered'] as const;
export const OPERATIONS = ['forward', 'forward and gradients'] as const;
const EPS = 1e-3;
/** Minimum milliseconds of a round and of the warm-up. */
const ROUND = 50, WARM = 200;

export type Side = (typeof SIDES)[number];
export type Operation = (typeof OPERATIONS)[number];

export interface Question {
  readonly shape: readonly number[];
  readonly operation: Operation;
  /** The shape of mean, variance, offset and scale; without it the statistics are those of the batch. */
  readonly parameters?: readonly number[];
}

/** Milliseconds per call, or the reason why there are none. */
export type Answer = { readonly time: number } | { readonly error: string };

/** The process of one side: answers every question with the time of one round. */
export async function serve(backend: string, side: Side): Promise<void> {
  const require = createRequire(import.meta.url);
  // The cpu backend prints a greeting on the console.
  console.warn = () => {};
  const tf: Tfjs = { ...require('@tensorflow/tfjs-core'), ...require('@tensorflow/tfjs-layers') };
  const module = require(`@tensorflow/tfjs-backend-${backend}`);
  module.setWasmPaths?.(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  await tf.setBackend(backend);
  const layer = side === 'stock' ? stock(tf) : (await import('batchnorm-wasm/tfjs')).registerBatchNorm(tf);
  let latest = '', run = () => {};
  process.on('message', (question: Question) => {
    let answer: Answer;
    try {
      if (JSON.stringify(question) !== latest) {
        tf.engine().endScope();
        tf.engine().startScope();
        run = question.parameters ? prepareSpread(tf, question.parameters, question) : prepare(tf, layer.batchNorm, question);
        latest = JSON.stringify(question);
        for (const start = performance.now(); performance.now() - start < WARM; ) run();
      }
      answer = { time: round(run) };
    } catch (error) {
      answer = { error: String(error instanceof Error ? error.message : error).split('\n')[0]! };
    }
    process.send!(answer);
  });
  tf.engine().startScope();
  process.send!('ready');
}

interface BatchNorm {
  batchNorm(x: core.Tensor, options: { gamma: core.Tensor; beta: core.Tensor; eps: number }): { y: core.Tensor };
}

/** The operations of the stock layer in training. */
function stock(tf: Tfjs): BatchNorm {
  return {
    batchNorm(x, { gamma, beta, eps }) {
      const { mean, variance } = tf.moments(x, x.shape.slice(1).map((_, axis) => axis));
      return { y: tf.batchNorm(x, mean as core.Tensor1D, variance as core.Tensor1D, beta as core.Tensor1D, gamma as core.Tensor1D, eps) };
    },
  };
}

function prepare(tf: Tfjs, batchNorm: BatchNorm['batchNorm'], { shape, operation }: Question): () => void {
  const channels = shape.at(-1)!;
  const x = tf.randomNormal([...shape], 0, 1, 'float32', 1), dy = tf.randomNormal([...shape], 0, 1, 'float32', 2);
  const gamma = tf.randomNormal([channels], 0, 1, 'float32', 3), beta = tf.randomNormal([channels], 0, 1, 'float32', 4);
  const gradients = tf.grads((x, gamma, beta) => batchNorm(x!, { gamma: gamma!, beta: beta!, eps: EPS }).y);
  return operation === 'forward'
    ? () => { tf.tidy(() => { batchNorm(x, { gamma, beta, eps: EPS }); }); }
    : () => { tf.tidy(() => { gradients([x, gamma, beta], dy); }); };
}

/** `tf.batchNorm` with given statistics, in which every parameter has the shape given. */
function prepareSpread(tf: Tfjs, parameters: readonly number[], { shape, operation }: Question): () => void {
  const x = tf.randomNormal([...shape], 0, 1, 'float32', 1), dy = tf.randomNormal([...shape], 0, 1, 'float32', 2);
  const own: core.Tensor[] = [3, 4, 5, 6].map((seed) => tf.randomUniform([...parameters], 0.5, 2, 'float32', seed));
  const call = (x: core.Tensor, given: core.Tensor[]) => {
    const [mean, variance, offset, scale] = given as core.Tensor1D[];
    return tf.batchNorm(x, mean!, variance!, offset, scale, EPS);
  };
  const gradients = tf.grads((...[x, ...given]: core.Tensor[]) => call(x!, given));
  return operation === 'forward'
    ? () => { tf.tidy(() => { call(x, own); }); }
    : () => { tf.tidy(() => { gradients([x, ...own], dy); }); };
}

function round(run: () => void): number {
  const start = performance.now();
  let calls = 0;
  do {
    run();
    calls++;
  } while (performance.now() - start < ROUND);
  return (performance.now() - start) / calls;
}
