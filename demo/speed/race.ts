/** Types and functions that the sides of a race share. */
export type Operation = 'train' | 'eval' | 'backward';
export type Side = 'tensor' | 'threads' | 'array' | 'javascript' | 'tfjs';

export interface Race {
  readonly layout: 'channels-first' | 'channels-last';
  readonly operation: Operation;
  readonly n: number;
  readonly channels: number;
  /** Height and width. */
  readonly size: number;
  readonly tfjs: boolean;
  /** Of the side of that name; 1: it does not take part. */
  readonly threads: number;
}

export type RaceReport =
  | { type: 'time'; side: Side | 'copy'; milliseconds: number }
  | { type: 'unable'; side: Side; message: string }
  | { type: 'finished' };

/** One side, ready to run the operation once. */
export interface Runner {
  run(): void;
  dispose(): void;
}

export function shapeOf({ layout, n, channels, size }: Race): number[] {
  return layout === 'channels-first' ? [n, channels, size, size] : [n, size, size, channels];
}

export function lengthOf({ n, channels, size }: Race): number {
  return n * channels * size * size;
}
