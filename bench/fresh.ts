/** Measurements that need a process of their own: the first call, and the memory a call leaves behind. */
import { execFileSync } from 'node:child_process';
import { layoutsOf, OPERATIONS } from './cases.js';
import type { Layout, Operation } from './protocol.js';

const PROCESSES = 5;

/** Median milliseconds in a fresh process. */
export interface FirstCall {
  readonly shape: string;
  readonly operation: Operation;
  /** Importing the package. */
  readonly load: number;
  readonly call: number;
}

export interface Held {
  readonly shape: string;
  readonly layout: Layout;
  readonly kind: 'tensors' | 'arrays';
  /** Bytes of WebAssembly memory beyond live tensors. */
  readonly wasm: number;
  /** Bytes that JavaScript holds for a module, a forward and a backward, without parameters and results. */
  readonly heap: number;
  /** Bytes allowed: 2 MB and 64 bytes per channel. */
  readonly limit: number;
}

const FIRST_SHAPES: readonly (readonly number[])[] = [[60, 100], [8, 64, 56, 56]];
const MEMORY_SHAPES: readonly (readonly number[])[] = [[60, 100], [256, 1024], [8, 64, 56, 56], [32, 1024, 14, 14], [4, 65536]];

export function firstCalls(): FirstCall[] {
  return FIRST_SHAPES.flatMap((shape) =>
    OPERATIONS.map((operation) => {
      const runs = Array.from({ length: PROCESSES }, () =>
        ask<{ load: number; call: number }>('first', operation, 'channels-last', shape, 'arrays'));
      const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
      return {
        shape: shape.join('x'), operation,
        load: median(runs.map(({ load }) => load)), call: median(runs.map(({ call }) => call)),
      };
    }),
  );
}

export function memoryHeld(): Held[] {
  return MEMORY_SHAPES.flatMap((shape) =>
    layoutsOf(shape).flatMap((layout) =>
      (['tensors', 'arrays'] as const).map((kind) => ({
        shape: shape.join('x'), layout, kind,
        ...ask<{ wasm: number; heap: number }>('memory', 'train', layout, shape, kind),
        limit: 2e6 + 64 * shape[1]!,
      })),
    ),
  );
}

function ask<T>(question: string, operation: Operation, layout: Layout, shape: readonly number[], kind: string): T {
  const args = ['--expose-gc', 'bench/fresh.mjs', question, operation, layout, shape.join('x'), kind];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as T;
}
