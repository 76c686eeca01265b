import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill } from './data.js';
import type { Layout, Operation } from './protocol.js';

/** Batch norms of ResNet-50 at batch size 32, two smaller convolutional ones, and two of dense layers. Channels-first. */
export const SHAPES: readonly (readonly number[])[] = [
  [32, 64, 112, 112], [32, 256, 56, 56], [32, 1024, 14, 14], [32, 2048, 7, 7],
  [8, 64, 56, 56], [1, 32, 112, 112], [60, 100], [256, 1024],
];

export const OPERATIONS: readonly Operation[] = ['eval', 'train', 'backward'];

/** Bytes that an operation reads and writes per float32: x and y; x twice and y; x and dy twice each, and dx. */
export const BYTES: Record<Operation, number> = { eval: 8, train: 12, backward: 20 };

export const EPS = 1e-5;

/** A shape in a layout, with data that is the same for every side. */
export interface Case {
  /** Channels-first in either layout, such as 8x64x56x56. */
  readonly name: string;
  readonly layout: Layout;
  readonly channels: number;
  readonly size: number;
  /** The data as [outer, channels, inner]. */
  readonly outer: number;
  readonly inner: number;
  readonly arrays: Record<'x' | 'dy' | 'weight' | 'bias' | 'mean' | 'variance', Float32Array>;
}

export function layoutsOf(shape: readonly number[]): readonly Layout[] {
  return shape.length === 2 ? ['channels-last'] : ['channels-first', 'channels-last'];
}

export function makeCase(shape: readonly number[], layout: Layout): Case {
  const [n = 0, channels = 0, ...sizes] = shape;
  const positions = sizes.reduce((product, size) => product * size, 1);
  const size = n * channels * positions;
  const perChannel = (value: (c: number) => number) => Float32Array.from({ length: channels }, (_, c) => value(c));
  return {
    name: shape.join('x'), layout, channels, size,
    outer: layout === 'channels-first' ? n : n * positions,
    inner: layout === 'channels-first' ? positions : 1,
    arrays: {
      x: fill(size, 1, 3),
      dy: fill(size, 2, 0),
      weight: perChannel((c) => 0.5 + (c % 7) / 4),
      bias: perChannel((c) => (c % 5) / 4 - 0.5),
      mean: perChannel(() => 3.1),
      variance: perChannel(() => 1.2),
    },
  };
}

/** Writes the arrays of a case to the directory from which the sides read them. */
export function writeCase({ arrays }: Case, directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, values] of Object.entries(arrays)) writeFileSync(join(directory, `${name}.f32`), values);
}
