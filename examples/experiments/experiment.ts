/** The parts and the results of an experiment. */

/** One measurement: the seed, the conditions and the outcome, by name. */
export interface Row {
  readonly seed: number;
}

export interface Conclusion {
  /** Whether these rows show the claim. */
  readonly shows: boolean;
  /** What they show, in numbers. */
  readonly text: string;
}

export interface Axis {
  readonly name: string;
  readonly log?: boolean;
  readonly min?: number;
  readonly max?: number;
}

/** A line through medians over the seeds, and a dot for each seed. */
export interface Series {
  readonly name: string;
  readonly line: readonly Point[];
  readonly dots?: readonly Point[];
}

export type Point = readonly [x: number, y: number];

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

/** Header first. */
export type Table = readonly (readonly string[])[];

export interface Definition<S extends object, R extends Row> {
  readonly name: string;
  readonly title: string;
  /** The paper's claim, with the section. */
  readonly claim: string;
  /** The measurement, in a few sentences. */
  readonly method: string;
  /** @param quick - the smallest settings that still run everything */
  settings(quick: boolean): S;
  /** Units of progress for one seed: `run` calls tick once per unit. */
  ticks(settings: S): number;
  run(settings: S, seed: number, tick: () => void): R[];
  conclude(rows: readonly R[]): Conclusion;
  table(rows: readonly R[]): Table;
  panels(rows: readonly R[]): readonly Panel[];
}

/** The conclusion, table and figure of some rows. */
export interface Summary {
  readonly conclusion: Conclusion;
  readonly table: Table;
  readonly panels: readonly Panel[];
}

export interface Report extends Summary {
  readonly settings: object;
  readonly rows: readonly Row[];
}

export interface Progress {
  start(total: number): void;
  tick(): void;
}

/** An experiment with any type of settings and rows. */
export interface Experiment extends Pick<Definition<object, Row>, 'name' | 'title' | 'claim' | 'method'> {
  report(quick: boolean, seeds: readonly number[], progress: Progress): Report;
  /** @param rows - of this experiment */
  summary(rows: readonly Row[]): Summary;
}

export function experiment<S extends object, R extends Row>(definition: Definition<S, R>): Experiment {
  const { name, title, claim, method } = definition;
  const summary = (all: readonly Row[]): Summary => {
    const rows = all as readonly R[];
    return { conclusion: definition.conclude(rows), table: definition.table(rows), panels: definition.panels(rows) };
  };
  return {
    name, title, claim, method, summary,
    report(quick, seeds, progress) {
      const settings = definition.settings(quick);
      progress.start(seeds.length * definition.ticks(settings));
      const rows = seeds.flatMap((seed) => definition.run(settings, seed, () => progress.tick()));
      return { settings, rows, ...summary(rows) };
    },
  };
}

/** The median of at least one number; for an even count, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

/** Median and range of fractions in per cent, such as "91.2 (90.8 to 91.4)". */
export function percentRange(values: readonly number[]): string {
  return `${percent(median(values))} (${percent(Math.min(...values))} to ${percent(Math.max(...values))})`;
}

export function percent(fraction: number): string {
  return (100 * fraction).toFixed(1);
}

export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
