/** The results of a benchmark run, as written to bench.json. */
import { cpus } from 'node:os';
import { OPERATIONS } from './cases.js';
import type { FirstCall, Held } from './fresh.js';
import type { Cell, Outcome } from './measure.js';
import type { Operation } from './protocol.js';
import { OURS } from './sides.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly node: string;
  readonly date: string;
}

/** One side, summarised over all cells. */
export interface Summary {
  readonly name: string;
  readonly about: string;
  readonly version?: string;
  /** Why it does not take part at all. */
  readonly missing?: string;
  /** Time as a multiple of ours, as the geometric mean over the cells that it completed; absent if there are none. */
  readonly ratios: Partial<Record<Operation, number>>;
  readonly cells: number;
  /** The largest error in any cell. */
  readonly error?: number;
}

export interface Results {
  readonly machine: Machine;
  /** Of every side that can have several. */
  readonly threads: number;
  readonly sides: readonly Summary[];
  readonly cells: readonly Cell[];
  readonly firstCalls: readonly FirstCall[];
  readonly memory: readonly Held[];
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]!.model.trim(), cores: cpus().length, system: `${process.platform} ${process.arch}`,
    node: process.version, date: new Date().toISOString().slice(0, 10),
  };
}

/** Time of an outcome as a multiple of ours; undefined if either is missing. */
export function ratio(cell: Cell, outcome: Outcome): number | undefined {
  const ours = cell.outcomes.find(({ side }) => side === OURS)?.times;
  return ours && outcome.times && outcome.times.median / ours.median;
}

/** Geometric means of the ratios of one side over cells, by operation. */
export function ratiosOf(name: string, cells: readonly Cell[]): Partial<Record<Operation, number>> {
  const means = OPERATIONS.map((operation) => {
    const ratios = cells
      .filter((cell) => cell.operation === operation)
      .flatMap((cell) => ratio(cell, outcomeOf(cell, name)!) ?? []);
    return [operation, ratios.length ? geometricMean(ratios) : undefined] as const;
  });
  return Object.fromEntries(means.filter(([, mean]) => mean !== undefined));
}

export function outcomeOf(cell: Cell, name: string): Outcome | undefined {
  return cell.outcomes.find(({ side }) => side === name);
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((total, value) => total + Math.log(value), 0) / values.length);
}
