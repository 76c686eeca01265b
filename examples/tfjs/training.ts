/** Trains a model with what is registered in tfjs so far, and reports a run as a row of a table. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { type Backend, startBackend } from './backend.js';

/** What is measured: tfjs on a backend, with all that has been registered before. */
export interface Side {
  readonly backend: Backend;
  readonly name: string;
  /** Registers for this side and all later ones. */
  readonly register?: () => void;
  readonly steps: number;
}

export interface Run {
  /** Median milliseconds per step. */
  readonly step: number;
  /** Of the batch, before each step. */
  readonly losses: readonly number[];
}

/** A run of `model.fit` over batches in their order, or the message of its error. */
export async function train(model: LayersModel, x: Tensor, y: Tensor, batchSize: number): Promise<Run | string> {
  const times: number[] = [], losses: number[] = [];
  let start = 0;
  try {
    await model.fit(x, y, {
      batchSize, epochs: 1, shuffle: false, verbose: 0, yieldEvery: 'never',
      callbacks: {
        onBatchBegin: async () => { start = performance.now(); },
        onBatchEnd: async (_, logs) => {
          times.push(performance.now() - start);
          losses.push(logs!.loss!);
        },
      },
    });
  } catch (error) {
    return String(error instanceof Error ? error.message : error).split('\n')[0]!;
  }
  return { step: times.sort((a, b) => a - b)[times.length >> 1]!, losses };
}

/**
 * Trains on each side in turn and writes the table. The first side that trains is the one that others are compared with, after as
 * many steps as it has made.
 *
 * @param run - trains a new model, the same for each side
 * @param file - is written as well, if there is one
 */
export async function compare(
  title: readonly string[], sides: readonly Side[], run: (side: Side) => Promise<Run | string>, file?: URL,
): Promise<void> {
  const lines = [...title, '', `Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown'}, ${new Date().toISOString().slice(0, 10)}.`, ''];
  const print = (line: string) => { lines.push(line); console.log(line); };
  console.log(lines.join('\n'));
  let first: Run | undefined;
  for (const side of sides) {
    await startBackend(side.backend);
    side.register?.();
    const result = await run(side);
    if (first === undefined) {
      first = result as Run;
      print(`| backend | | ms per step | times as fast | first loss | loss at step ${first.losses.length} | steps | last loss |`);
      print('|---|---|---:|---:|---:|---:|---:|---:|');
    }
    print(`| ${side.backend} | ${side.name} | ${typeof result === 'string' ? `${result} ||||||` : cells(result, first)} |`);
  }
  if (file) writeFileSync(file, `${lines.join('\n')}\n`);
}

function cells({ step, losses }: Run, first: Run): string {
  const loss = (at: number) => losses.at(at)?.toFixed(5) ?? '';
  const numbers = [step.toFixed(0), (first.step / step).toFixed(1), loss(0), loss(first.losses.length - 1), losses.length, loss(-1)];
  return numbers.join(' | ');
}
