/** Experiments that train networks with and without batch norm while one condition changes. */
import {
  type Axis, type Conclusion, distinct, type Experiment, experiment, median, type Panel, percentRange, type Row, type Table,
} from './experiment.js';
import { type Conditions, FULL, type Outcome, QUICK, type Scale, train } from './training.js';

export interface SweepRow extends Row, Outcome {
  readonly net: string;
  readonly batchNorm: boolean;
  /** The condition that changes. */
  readonly at: number;
}

/** A network at one value of the condition that changes. */
export interface Case {
  readonly net: string;
  readonly at: number;
  readonly conditions: Conditions;
}

export const LABELS = { sigmoid: 'sigmoid', relu: 'ReLU' } as const;

/** A run with at least this test accuracy counts as trained. */
export const TRAINED = 0.8;

interface Sweep {
  readonly name: string;
  readonly title: string;
  readonly claim: string;
  readonly method: string;
  readonly axis: Axis;
  cases(quick: boolean): readonly Case[];
  conclude(rows: readonly SweepRow[]): Conclusion;
}

interface SweepSettings extends Scale {
  readonly cases: readonly Case[];
}

export function sweep({ axis, cases, ...definition }: Sweep): Experiment {
  return experiment<SweepSettings, SweepRow>({
    ...definition,
    settings: (quick) => ({ ...(quick ? QUICK : FULL), cases: cases(quick) }),
    ticks: (settings) => settings.cases.reduce((total, { conditions }) => total + 2 * conditions.steps, 0),
    run: (settings, seed, tick) => settings.cases.flatMap(({ net, at, conditions }) =>
      [false, true].map((batchNorm) => {
        const outcome = train(conditions, batchNorm ? 'batch' : 'none', seed, settings, tick);
        return { seed, net, batchNorm, at, ...outcome };
      })),
    table: (rows) => tableOf(rows, axis),
    panels: (rows) => panelsOf(rows, axis),
  });
}

export function nameOf(batchNorm: boolean): string {
  return batchNorm ? 'with batch norm' : 'without batch norm';
}

function tableOf(rows: readonly SweepRow[], axis: Axis): Table {
  const columns = distinct(rows.map(({ net }) => net)).flatMap((net) => [false, true].map((batchNorm) => ({ net, batchNorm })));
  return [
    [axis.name, ...columns.map(({ net, batchNorm }) => `${net}, ${nameOf(batchNorm)}`)],
    ...distinct(rows.map(({ at }) => at)).map((at) => [
      String(at), ...columns.map(({ net, batchNorm }) => cellOf(pick(rows, net, batchNorm).filter((row) => row.at === at))),
    ]),
  ];
}

function cellOf(rows: readonly SweepRow[]): string {
  const diverged = rows.filter(({ finite }) => !finite).length;
  if (rows.length > 0 && diverged === rows.length) return 'diverged';
  const range = percentRange(rows.map(({ accuracy }) => accuracy));
  return diverged > 0 ? `${range}, ${diverged} diverged` : range;
}

function panelsOf(rows: readonly SweepRow[], x: Axis): readonly Panel[] {
  return distinct(rows.map(({ net }) => net)).map((net) => ({
    title: net,
    x,
    y: { name: 'test accuracy', min: 0, max: 1 },
    series: [false, true].map((batchNorm) => {
      const own = pick(rows, net, batchNorm);
      return {
        name: nameOf(batchNorm),
        line: distinct(own.map(({ at }) => at)).map((at) => [at, medianAccuracy(own, at)] as const),
        dots: own.map(({ at, accuracy }) => [at, accuracy] as const),
      };
    }),
  }));
}

export function pick(rows: readonly SweepRow[], net: string, batchNorm: boolean): SweepRow[] {
  return rows.filter((row) => row.net === net && row.batchNorm === batchNorm);
}

export function medianAccuracy(rows: readonly SweepRow[], at: number): number {
  return median(rows.filter((row) => row.at === at).map(({ accuracy }) => accuracy));
}

/** The values of the condition, ascending, at which a network trains with every seed. */
export function trainedAt(rows: readonly SweepRow[], net: string, batchNorm: boolean): number[] {
  const own = pick(rows, net, batchNorm);
  const failed = new Set(own.filter(({ accuracy }) => accuracy < TRAINED).map(({ at }) => at));
  return distinct(own.map(({ at }) => at)).filter((at) => !failed.has(at)).sort((a, b) => a - b);
}
