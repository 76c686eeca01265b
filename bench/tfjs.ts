/**
 * Stock batch norm of tfjs against this package registered in tfjs: forward, and forward with all gradients, on both
 * backends. `npm run bench -- tfjs`; `--shapes 60x100,8x28x28x64` for only these shapes. Writes results/tfjs.md.
 *
 * Each side runs in a process of its own, since registering changes tfjs permanently. They are measured in turn.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';

type Tfjs = typeof core & typeof layers;

const SHAPES = ['60x100', '256x1024', '8x28x28x64', '32x14x14x256', '8x56x56x64', '32x56x56x64', '32x112x112x64'];
const BACKENDS = ['wasm', 'cpu'] as const, SIDES = ['stock', 'registered'] as const;
const OPERATIONS = ['forward', 'forward and gradients'] as const;
const EPS = 1e-3, ROUNDS = 3;
/** Minimum milliseconds of a round and of the warm-up. */
const ROUND = 50, WARM = 200;

type Side = (typeof SIDES)[number];
type Operation = (typeof OPERATIONS)[number];

interface Question {
  readonly shape: readonly number[];
  readonly operation: Operation;
}

/** Milliseconds per call, or the reason why there are none. */
type Answer = { readonly time: number } | { readonly error: string };

/** The process of one side: answers every question with the time of one round. */
async function serve(backend: string, side: Side): Promise<void> {
  const require = createRequire(import.meta.url);
  // The cpu backend prints a greeting on the console.
  console.warn = () => {};
  const tf: Tfjs = { ...require('@tensorflow/tfjs-core'), ...require('@tensorflow/tfjs-layers') };
  const module = require(`@tensorflow/tfjs-backend-${backend}`);
  module.setWasmPaths?.(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  await tf.setBackend(backend);
  const normalise = side === 'stock' ? stock(tf) : (await import('batchnorm-wasm/tfjs')).registerBatchNorm(tf);
  let latest = '', run = () => {};
  process.on('message', (question: Question) => {
    let answer: Answer;
    try {
      if (JSON.stringify(question) !== latest) {
        tf.engine().endScope();
        tf.engine().startScope();
        run = prepare(tf, normalise.batchNorm, question);
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

function round(run: () => void): number {
  const start = performance.now();
  let calls = 0;
  do {
    run();
    calls++;
  } while (performance.now() - start < ROUND);
  return (performance.now() - start) / calls;
}

/** Starts the process of a side. */
async function start(backend: string, side: Side): Promise<ChildProcess> {
  const child = fork(fileURLToPath(import.meta.url), ['--serve', side, '--backend', backend]);
  await answerOf(child);
  return child;
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => {
    const leave = () => resolve({ error: 'ended' });
    child.once('exit', leave);
    child.once('message', (message) => {
      child.off('exit', leave);
      resolve(message);
    });
  });
}

async function ask(child: ChildProcess, question: Question): Promise<Answer> {
  if (!child.connected) return { error: 'ended' };
  child.send(question);
  return (await answerOf(child)) as Answer;
}

/** Medians of both sides, measured in turn. */
async function compare(children: readonly ChildProcess[], question: Question): Promise<Answer[]> {
  const times: number[][] = children.map(() => []), errors: (string | undefined)[] = children.map(() => undefined);
  for (let i = 0; i < ROUNDS; i++) {
    for (const [side, child] of children.entries()) {
      if (errors[side] !== undefined) continue;
      const answer = await ask(child, question);
      if ('error' in answer) errors[side] = answer.error;
      else times[side]!.push(answer.time);
    }
  }
  return times.map((own, side) => {
    const error = errors[side];
    return error === undefined ? { time: own.sort((a, b) => a - b)[own.length >> 1]! } : { error };
  });
}

function row(backend: string, shape: string, operation: Operation, [before, after]: Answer[]): string {
  const cell = (answer: Answer) => ('time' in answer ? answer.time.toPrecision(3) : answer.error);
  const ratio = 'time' in before! && 'time' in after! ? (before.time / after.time).toPrecision(3) : '';
  return `| ${backend} | ${shape} | ${operation} | ${cell(before!)} | ${cell(after!)} | ${ratio} |`;
}

async function main(shapes: readonly string[]): Promise<void> {
  const lines = [
    '# TensorFlow.js 4.22: its own batch norm against this package', '',
    `Milliseconds per call, medians of ${ROUNDS} rounds in turn; training statistics, NHWC. Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown'}, ` +
      `${new Date().toISOString().slice(0, 10)}. \`npm run bench -- tfjs\` writes this file.`, '',
    '| backend | shape | | stock | registered | times as fast |', '|---|---|---|---:|---:|---:|',
  ];
  console.log(lines.slice(-2).join('\n'));
  for (const backend of BACKENDS) {
    for (const shape of shapes) {
      for (const operation of OPERATIONS) {
        const children = await Promise.all(SIDES.map((side) => start(backend, side)));
        const line = row(backend, shape, operation, await compare(children, { shape: shape.split('x').map(Number), operation }));
        for (const child of children) child.kill();
        console.log(line);
        lines.push(line);
      }
    }
  }
  // A run of selected shapes is only for a look: it does not replace the results.
  if (shapes === SHAPES) writeFileSync(new URL('results/tfjs.md', import.meta.url), `${lines.join('\n')}\n`);
}

const { values } = parseArgs({
  options: { shapes: { type: 'string' }, serve: { type: 'string' }, backend: { type: 'string' } },
});
if (values.serve) await serve(values.backend!, values.serve as Side);
else await main(values.shapes?.split(',') ?? SHAPES);
