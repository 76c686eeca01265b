/**
 * Stock batch norm of tfjs against this package registered in tfjs: forward, and forward with all gradients, on both
 * backends; then `tf.batchNorm` alone, with parameters of every spread. `npm run bench -- tfjs`; `--shapes 60x100,8x28x28x64`
 * for only these shapes. Writes results/tfjs.md, and ends with exit code 1 where a spread is slower than stock.
 *
 * Each side runs in a process of its own, since registering changes tfjs permanently. They are measured in turn.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Answer, OPERATIONS, type Operation, type Question, SIDES, type Side, serve } from './tfjs-side.js';

const SHAPES = ['60x100', '256x1024', '8x28x28x64', '32x14x14x256', '8x56x56x64', '32x56x56x64', '32x112x112x64'];
const BACKENDS = ['wasm', 'cpu'] as const;
/** Shapes of x and of the parameters: one value per channel, per element as LayerNormalization has them, and between the two. */
const SPREADS = [
  ['1x64', '64'], ['8x64', '64'], ['256x1024', '1024'], ['60x100', '60x100'], ['256x1024', '256x1024'], ['16x512x64', '16x512x64'],
  ['4x512x1024', '4x512x1024'], ['16x512x1024', '16x512x1024'], ['64x4x4x32', '64x1x1x32'], ['8x28x28x64', '8x1x1x64'],
  ['8x64x28x28', '1x64x1x1'], ['8x28x28x64', '1x28x28x64'], ['8x28x28x64', '8x28x28x1'], ['32x128x256', '32x128x1'], ['8x28x28x64', '1x1x1x1'],
] as const;
/** What counts as slower than stock, in each of so many runs: where both sides run the same kernel the ratio varies from 0.7 to 1.3. */
const SLOWER = 0.85, ATTEMPTS = 3;
const ROUNDS = 3;

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

/** Asks both sides, in processes of their own, and prints the row. */
async function compareSides(backend: string, name: string, question: Question): Promise<{ row: string; ratio?: number }> {
  const children = await Promise.all(SIDES.map((side) => start(backend, side)));
  const answers = await compare(children, question);
  for (const child of children) child.kill();
  const line = row(backend, name, question.operation, answers), [before, after] = answers;
  console.log(line);
  return { row: line, ...('time' in before! && 'time' in after! && { ratio: before.time / after.time }) };
}

const sizes = (text: string) => text.split('x').map(Number);
const HEAD = ['| backend | shape | | stock | registered | times as fast |', '|---|---|---|---:|---:|---:|'];

async function main(shapes: readonly string[]): Promise<void> {
  const lines = [
    '# TensorFlow.js 4.22: its own batch norm against this package', '',
    `Milliseconds per call, medians of ${ROUNDS} rounds in turn; training statistics, NHWC. Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown'}, ` +
      `${new Date().toISOString().slice(0, 10)}. \`npm run bench -- tfjs\` writes this file.`, '', ...HEAD,
  ];
  const spreads = ['', '`tf.batchNorm` alone, with mean, variance, offset and scale of the second shape.', '', ...HEAD];
  const slower: string[] = [];
  console.log(HEAD.join('\n'));
  for (const backend of BACKENDS) {
    for (const operation of OPERATIONS) {
      for (const shape of shapes) lines.push((await compareSides(backend, shape, { shape: sizes(shape), operation })).row);
      for (const [shape, parameters] of SPREADS.filter(([shape]) => shapes === SHAPES || shapes.includes(shape))) {
        const question = { shape: sizes(shape), parameters: sizes(parameters), operation };
        for (let attempt = 1; ; attempt++) {
          const { row, ratio } = await compareSides(backend, `${shape}, ${parameters}`, question), isSlower = ratio !== undefined && ratio < SLOWER;
          if (isSlower && attempt < ATTEMPTS) continue;
          spreads.push(row);
          if (isSlower) slower.push(row);
          break;
        }
      }
    }
  }
  // A run of selected shapes is only for a look: it does not replace the results.
  if (shapes === SHAPES) writeFileSync(new URL('results/tfjs.md', import.meta.url), `${[...lines, ...spreads].join('\n')}\n`);
  if (slower.length > 0) console.error(`Slower than stock:\n${slower.join('\n')}`);
  process.exitCode = slower.length > 0 ? 1 : 0;
}

const { values } = parseArgs({
  options: { shapes: { type: 'string' }, serve: { type: 'string' }, backend: { type: 'string' } },
});
if (values.serve) await serve(values.backend!, values.serve as Side);
else await main(values.shapes?.split(',') ?? SHAPES);
