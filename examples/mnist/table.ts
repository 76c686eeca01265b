/** The comparison in numbers. */
import type { Run } from './experiment.js';

const FRACTIONS = [0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1];
const THRESHOLDS = [0.8, 0.9, 0.95];

/** One column per network: accuracies during the run, steps until some accuracies, time. */
export function table(runs: readonly Run[]): string {
  const evaluated = runs[0]!.measurements.map(({ step }) => step);
  const steps = evaluated.at(-1)!;
  const shown = new Set(FRACTIONS.map((fraction) => Math.round(fraction * (evaluated.length - 1))));
  const rows = [
    ['', ...runs.map(({ name }) => name)],
    ...[...shown].map((i) => [
      `test accuracy after ${evaluated[i]} steps`,
      ...runs.map(({ measurements }) => percent(measurements[i]!.accuracy)),
    ]),
    ...THRESHOLDS.map((threshold) => [
      `steps until the measured accuracy is ${100 * threshold} % or more`, ...runs.map((run) => firstStep(run, threshold)),
    ]),
    ['time per training step', ...runs.map(({ trainingTime }) => `${(trainingTime / steps).toFixed(2)} ms`)],
    ['training time', ...runs.map(({ trainingTime }) => `${(trainingTime / 1000).toFixed(1)} s`)],
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n');
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

function firstStep({ measurements }: Run, threshold: number): string {
  return String(measurements.find(({ accuracy }) => accuracy >= threshold)?.step ?? 'not reached');
}
