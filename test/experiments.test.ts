import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HELP, readArguments } from '../examples/experiments/arguments.js';
import * as batchSize from '../examples/experiments/batch-size.js';
import * as bias from '../examples/experiments/bias.js';
import { chart } from '../examples/experiments/chart.js';
import * as depth from '../examples/experiments/depth.js';
import type { Conclusion } from '../examples/experiments/experiment.js';
import { EXPERIMENTS } from '../examples/experiments/index.js';
import * as initialSpread from '../examples/experiments/initial-spread.js';
import * as learningRate from '../examples/experiments/learning-rate.js';
import { numbers, page } from '../examples/experiments/report.js';
import * as scale from '../examples/experiments/scale.js';
import * as statistics from '../examples/experiments/statistics.js';
import type { SweepRow } from '../examples/experiments/sweep.js';
import * as synchronised from '../examples/experiments/synchronised.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'experiments-'));
afterAll(() => { rmSync(folder, { recursive: true }); });

/** What `npm run experiments` starts, into a folder of its own: what it prints, and the file of each experiment. */
function perform(seeds: string): { printed: string; read: (file: string) => string } {
  const out = join(folder, seeds), names = EXPERIMENTS.map(({ name }) => name);
  const printed = execFileSync(
    process.execPath,
    ['--import', 'tsx', 'examples/experiments/main.ts', ...names, '--quick', '--seeds', seeds, '--out', out],
    { cwd: root, encoding: 'utf8', stdio: 'pipe' },
  );
  return { printed, read: (file) => readFileSync(join(out, file), 'utf8') };
}

interface Numbers {
  readonly command: string;
  readonly conclusion: Conclusion;
  readonly rows: readonly { readonly seed: number }[];
}

describe('an experiment of a few steps', () => {
  let both: ReturnType<typeof perform>, second: ReturnType<typeof perform>;
  const numbersOf = ({ read }: ReturnType<typeof perform>, name: string) => JSON.parse(read(`${name}.json`)) as Numbers;
  beforeAll(() => {
    both = perform('1,2');
    second = perform('2');
  }, 300_000);

  it.each(EXPERIMENTS.map(({ name }) => name))('gives the same rows for the same seed, alone or after another: %s', (name) => {
    const { rows } = numbersOf(both, name), of = (seed: number) => rows.filter((row) => row.seed === seed);
    expect(numbersOf(second, name).rows).toEqual(of(2));
    expect(of(1)).toHaveLength(of(2).length);
    expect(of(1).map((row) => ({ ...row, seed: 2 }))).not.toEqual(of(2));
  });

  const titles = EXPERIMENTS.map(({ name, title }) => [name, title]);
  it.each(titles)('counts its steps to the end, prints its statement, and writes page and figure: %s', (name, title) => {
    const [, done, total] = new RegExp(`${name} \\S+ 100%  (\\d+) of (\\d+)`).exec(both.printed)!;
    expect(done).toBe(total);
    const { command, conclusion } = numbersOf(both, name), page = both.read(`${name}.md`);
    expect(command).toBe(`npm run experiments -- ${name} --seeds 1,2 --quick`);
    const statement = `**${conclusion.shows ? 'Shown' : 'Not shown'}.** ${conclusion.text}`;
    for (const part of [title!, command, `(${name}.svg)`, statement]) {
      expect(page).toContain(part);
    }
    expect(both.printed).toContain(conclusion.text);
    expect(page).not.toMatch(/undefined|NaN|Infinity/);
    for (const svg of [both.read(`${name}.svg`), both.read(`${name}.narrow.svg`)]) {
      expect(svg).toMatch(/^<svg[\s\S]*<\/svg>$/);
      expect(svg).not.toMatch(/NaN|undefined/);
    }
  });

  it('on scale: with eps = 0 that of the weights changes neither output nor gradients; eps does', () => {
    const { rows, conclusion } = numbersOf(both, 'scale');
    expect(conclusion.shows).toBe(true);
    for (const seed of [1, 2]) {
      const small = (rows as scale.ScaleRow[]).filter((row) => row.scale === 0.01 && row.seed === seed);
      const [none, some, more] = [0, 1e-5, 1e-3].map((eps) => small.find((row) => row.eps === eps)!.output);
      expect(none!).toBeLessThan(1e-12);
      expect(some!).toBeGreaterThan(0.05);
      expect(more!).toBeGreaterThan(some!);
    }
  });

  it('on the bias: a gradient that ignores the normalisation moves it on and on at the same loss; the full one does not', () => {
    const { rows, conclusion } = numbersOf(both, 'bias');
    expect(conclusion.shows).toBe(true);
    const alone = (rows as bias.BiasRow[]).filter(({ part }) => part === 'bias');
    expect(Math.max(...alone.filter(({ full }) => full).map(({ largest }) => largest))).toBeLessThan(1e-12);
    expect(alone.filter(({ full }) => !full).at(-1)!.largest).toBeGreaterThan(0.1);
  });
});

describe('the results that are kept', () => {
  const kept = (file: string) => readFileSync(join(root, 'examples/experiments/results', file), 'utf8');

  const byName = EXPERIMENTS.map((experiment) => [experiment.name, experiment] as const);
  it.each(byName)('are of three seeds, and say and draw what their rows say: %s', (name, experiment) => {
    const { command, settings, rows, conclusion } = JSON.parse(kept(`${name}.json`)) as Numbers & { settings: object };
    expect(command).toBe(`npm run experiments -- ${name} --seeds 1,2,3`);
    expect(new Set(rows.map(({ seed }) => seed))).toEqual(new Set([1, 2, 3]));
    const report = { settings, rows, ...experiment.summary(rows) };
    expect(report.conclusion).toEqual(conclusion);
    expect(kept(`${name}.json`)).toBe(numbers(report, command));
    expect(kept(`${name}.md`)).toBe(page(experiment, report, command));
    expect(kept(`${name}.svg`)).toBe(chart(experiment.title, report.panels));
    expect(kept(`${name}.narrow.svg`)).toBe(chart(experiment.title, report.panels, true));
  });
});

describe('the command', () => {
  it('lists the experiments without a name, and refuses names and seeds that it does not know', () => {
    expect(readArguments([])).toBe('help');
    for (const { name, title } of EXPERIMENTS) expect(HELP).toMatch(new RegExp(`${name} +${title}`));
    expect(readArguments(['scale', 'depth']))
      .toMatchObject({ seeds: [1, 2, 3], quick: false, experiments: [{ name: 'scale' }, { name: 'depth' }] });
    expect(() => readArguments(['nothing'])).toThrow('got "nothing"');
    expect(() => readArguments(['scale', '--seeds', '1,x'])).toThrow('got "1,x"');
    expect(() => readArguments(['scale', '--seeds='])).toThrow('got ""');
    expect(() => readArguments(['scale', '--fast'])).toThrow("'--fast'");
  });
});

/** Rows of a sweep over three seeds, from the accuracies at each value without and with batch norm. */
function sweepRows(net: string, accuracies: Record<number, readonly [without: number, withNorm: number]>): SweepRow[] {
  return Object.entries(accuracies).flatMap(([at, pair]) => [1, 2, 3].flatMap((seed) => pair.map((accuracy, i) =>
    ({ seed, net, batchNorm: i === 1, at: Number(at), accuracy, finite: accuracy > 0 }))));
}

describe('the statement', () => {
  it('on small batches is shown where synchronising is ahead in every network at every size, and not otherwise', () => {
    const rows = (gain: number) => ['a', 'b'].flatMap((net) => [2, 4].flatMap((at) => [1, 2, 3].flatMap((seed) =>
      [false, true].map((together) => ({ seed, net, at, synchronised: together, accuracy: together ? 0.5 + (net === 'b' && at === 4 ? gain : 0.25) : 0.5 })))));
    expect(synchronised.conclude(rows(0.125))).toEqual({
      shows: true,
      text: 'a: synchronising changes the accuracy by +25.0 points with 2 images a rank, +25.0 points with 4 images a rank; ' +
        'b: synchronising changes the accuracy by +25.0 points with 2 images a rank, +12.5 points with 4 images a rank.',
    });
    expect(synchronised.conclude(rows(-0.125)).shows).toBe(false);
    expect(synchronised.conclude(rows(0)).shows).toBe(false);
  });

  it('on learning rates is shown where batch norm trains at a higher rate in every network, and not otherwise', () => {
    const higher = sweepRows('a', { 0.1: [0.9, 0.9], 1: [0.9, 0.9], 10: [0, 0.9] });
    expect(learningRate.conclude(higher)).toEqual({
      shows: true, text: 'a: up to 1 without batch norm, up to 10 (the largest tried) with it (10 times).',
    });
    const equal = sweepRows('b', { 0.1: [0.9, 0.9], 1: [0.9, 0.9], 10: [0.1, 0.1] });
    expect(learningRate.conclude([...higher, ...equal]).shows).toBe(false);
    const oneSeedFails = higher.map((row) => (row.at === 10 && row.seed === 2 ? { ...row, accuracy: 0.79 } : row));
    expect(learningRate.conclude(oneSeedFails).shows).toBe(false);
    expect(learningRate.conclude(sweepRows('c', { 1: [0.1, 0.1] })).text).toContain('c: none without');
  });

  it('on the initial spread is shown where batch norm trains from more spreads, and not otherwise', () => {
    const wider = sweepRows('a', { 0.01: [0.1, 0.9], 0.1: [0.9, 0.9], 1: [0, 0.9] });
    expect(initialSpread.conclude(wider)).toEqual({
      shows: true, text: 'Spreads that train, of 3 tried: a: 0.1 without batch norm, 3 from 0.01 to 1 with it.',
    });
    expect(initialSpread.conclude(sweepRows('a', { 0.01: [0.1, 0.9], 0.1: [0.9, 0.1] })).shows).toBe(false);
  });

  it('on depth is shown where batch norm trains deeper networks at the better rate, and not otherwise', () => {
    const deeper = [
      ...sweepRows('learning rate 1', { 3: [0.9, 0.9], 10: [0.1, 0.1] }),
      ...sweepRows('learning rate 2', { 3: [0.1, 0.9], 10: [0.1, 0.9] }),
    ];
    expect(depth.conclude(deeper).shows).toBe(true);
    expect(depth.conclude(deeper).text).toContain(
      'Without batch norm, networks of up to 3 hidden layers train; with it, networks of up to 10 hidden layers do',
    );
    expect(depth.conclude(deeper.map((row) => (row.at === 10 ? { ...row, accuracy: 0.5 } : row))).shows).toBe(false);
  });

  it('on batch sizes is shown where batch norm is behind with few images and ahead with many, and not otherwise', () => {
    const crossing = sweepRows('a', { 2: [0.8, 0.7], 60: [0.8, 0.9] });
    expect(batchSize.conclude(crossing)).toEqual({
      shows: true,
      text: 'a: batch norm is ahead with 60 images; ' +
        'it changes the accuracy by -10.0 points with 2 images and +10.0 with 60.',
    });
    expect(batchSize.conclude(sweepRows('a', { 2: [0.8, 0.9], 60: [0.8, 0.9] })).shows).toBe(false);
    expect(batchSize.conclude(sweepRows('a', { 2: [0.8, 0.7], 60: [0.8, 0.7] })).shows).toBe(false);
  });

  it('on scale is shown where eps = 0 leaves rounding errors alone and powers of two the bits, and not otherwise', () => {
    const row = { seed: 1, eps: 0, scale: 2, output: 1e-15, du: 1e-15, dW: 1e-15, sameBits: true };
    const withEps = { ...row, eps: 1e-5, scale: 0.01, output: 0.11, sameBits: null };
    expect(scale.conclude([row, withEps]).shows).toBe(true);
    expect(scale.conclude([row, withEps]).text).toContain('more than 1 % off for a of 0.01 and less, at most 11 %');
    for (const broken of [{ output: 1e-9 }, { du: 1e-9 }, { dW: 1e-9 }, { sameBits: false }, { sameBits: null }]) {
      expect(scale.conclude([{ ...row, ...broken }, withEps]).shows).toBe(false);
    }
  });

  it('on the bias is shown where it grows by the same step each time at the same loss, and not otherwise', () => {
    const rows: bias.BiasRow[] = [true, false].flatMap((full) => [0, 1, 2].flatMap((step) => [
      { seed: 1, part: 'bias' as const, full, step, largest: full ? 0 : 5 * step, loss: 2 },
      { seed: 1, part: 'network' as const, full, step: step + 1, largest: full ? 1 : step + 1, loss: 2 - step / 2 },
    ]));
    expect(bias.conclude(rows).shows).toBe(true);
    expect(bias.conclude(rows).text).toContain('The network does not blow up in that time');
    const change = (of: Partial<bias.BiasRow>, to: Partial<bias.BiasRow>) => rows.map((row) =>
      (Object.entries(of).every(([key, value]) => row[key as keyof bias.BiasRow] === value) ? { ...row, ...to } : row));
    expect(bias.conclude(change({ part: 'bias', full: false, step: 2 }, { loss: 1.9 })).shows).toBe(false);
    expect(bias.conclude(change({ part: 'bias', full: false, step: 1 }, { largest: 4 })).shows).toBe(false);
    expect(bias.conclude(change({ part: 'bias', full: true, step: 2 }, { largest: 10 })).shows).toBe(false);
    expect(bias.conclude(change({ part: 'network', full: false, step: 3 }, { loss: 9 })).text)
      .toContain('blows up with 1 of 1 seeds');
    expect(bias.conclude(rows.filter(({ part, full, step }) => part === 'bias' || full || step < 3)).text)
      .toContain('blows up with 1 of 1 seeds');
  });

  it('on statistics is shown where a moving average ends within a point of Alg. 2 with every seed, and not otherwise', () => {
    const rows = (last: number): statistics.StatisticsRow[] => [1, 2].flatMap((seed) => [
      ['momentum 0.1', 0.2, last], ['Alg. 2', 0.9, 0.95], ['population', 0.9, 0.95],
    ].flatMap(([name, ...accuracies]) => accuracies.map((accuracy, i) =>
      ({ seed, step: 10 * (i + 1), statistics: String(name), accuracy: Number(accuracy), loss: 1 }))));
    expect(statistics.conclude(rows(0.945))).toEqual({
      shows: true,
      text: 'Test accuracy after 20 steps in per cent: Alg. 2 95.0, momentum 0.1 94.5. ' +
        'Within 1 point of Alg. 2 with every seed: ' +
        'momentum 0.1 from step 20 on. Population statistics change the accuracy of Alg. 2 by at most 0.0 points.',
    });
    expect(statistics.conclude(rows(0.9)).shows).toBe(false);
    expect(statistics.conclude(rows(0.9)).text).toContain('momentum 0.1 never');
    const better = rows(0.945).map((row) => (
      row.seed === 2 && row.step === 20 && row.statistics === 'Alg. 2' ? { ...row, accuracy: 1 } : row
    ));
    expect(statistics.conclude(better).shows).toBe(false);
  });
});
