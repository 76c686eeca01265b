/** The scale of the weights before batch norm, section 3.3. */
import { BatchNorm } from 'batchnorm-wasm';
import { random, standardNormal } from '../../test/random.js';
import { type Conclusion, distinct, experiment, median, type Panel, type Row, type Table } from './experiment.js';
import { imagesOf, type Matrix, matrix, product, relativeDistance, transpose } from './linear.js';
import { mnist, PAPER_BATCH, UNITS } from './training.js';

export interface ScaleRow extends Row {
  readonly eps: number;
  /** The factor a of the weights. */
  readonly scale: number;
  /** Distance of BN((a W) u) from BN(W u), relative to its largest value. */
  readonly output: number;
  /** Distance of the gradient with respect to u from that at scale 1. */
  readonly du: number;
  /** Distance of a times the gradient with respect to a W from the gradient with respect to W. */
  readonly dW: number;
  /** Whether the float32 output has the same bits as at scale 1; null if the scale is not a power of two. */
  readonly sameBits: boolean | null;
}

interface Settings {
  readonly units: number;
  readonly scales: readonly number[];
  readonly epsilons: readonly number[];
}

/** Powers of two and other numbers, from 1e-4 to 1e4. */
const SCALES = [1e-4, 1e-3, 2 ** -7, 0.03, 2 ** -4, 0.1, 0.3, 0.5, 2, 3, 8, 30, 128, 300, 1024, 1e4];
/** Allows for float64 rounding in sums of 784 products. */
const ROUNDING = 1e-10;

export const scaleInvariance = experiment<Settings, ScaleRow>({
  name: 'scale',
  title: 'The scale of the weights before batch norm, and eps',
  claim: 'BN(W u) = BN((a W) u). The gradient with respect to u does not depend on a, and the gradient with respect to the weights ' +
    'is 1 / a times as large (section 3.3). This leaves out the eps of Alg. 1.',
  method: `A linear layer of ${UNITS} units on ${PAPER_BATCH} MNIST images, Gaussian weights with standard deviation 0.1 times a, random ` +
    'gradients dy, in float64. Each change is the largest difference, relative to the largest value at a = 1. With eps = 0 and a ' +
    'power of two for a, the bits of the float32 output are compared too.',
  settings: (quick) => ({ units: UNITS, scales: quick ? [0.01, 2, 1024] : SCALES, epsilons: [0, 1e-5, 1e-3] }),
  ticks: ({ scales, epsilons }) => scales.length * epsilons.length,
  run({ units, scales, epsilons }, seed, tick) {
    const next = standardNormal(random(seed));
    const u = imagesOf(mnist().train, seed * PAPER_BATCH, PAPER_BATCH);
    const weights = matrix(u.columns, units, () => 0.1 * next());
    const dy = matrix(u.rows, units, next);
    const x32 = Float32Array.from(product(u, weights).values);
    return epsilons.flatMap((eps) => {
      const expected = layer(u, weights, dy, eps), y32 = normalised(x32, units, eps);
      return scales.map((scale) => {
        const { y, du, dW } = layer(u, scaled(weights, scale), dy, eps);
        const bits = Number.isInteger(Math.log2(scale)) ? normalised(x32.map((value) => scale * value), units, eps) : null;
        tick();
        return {
          seed, eps, scale, output: relativeDistance(y, expected.y), du: relativeDistance(du, expected.du),
          dW: relativeDistance(dW.map((value) => scale * value), expected.dW),
          sameBits: bits === null ? null : bits.every((value, i) => Object.is(value, y32[i])),
        };
      });
    });
  },
  conclude,
  table,
  panels,
});

function scaled({ rows, columns, values }: Matrix, scale: number): Matrix {
  return matrix(rows, columns, (i) => scale * values[i]!);
}

/** y = BN(u W), and the gradients du and dW for a gradient dy. */
function layer(u: Matrix, weights: Matrix, dy: Matrix, eps: number): { y: Float64Array; du: Float64Array; dW: Float64Array } {
  const x = product(u, weights), shape = [x.rows, x.columns];
  const bn = new BatchNorm(x.columns, { dtype: 'float64', eps });
  const y = bn.forward(x.values, shape);
  const dx = { ...x, values: bn.backward(dy.values).dx };
  return { y, du: product(dx, transpose(weights)).values, dW: product(transpose(u), dx).values };
}

function normalised(x: Float32Array, units: number, eps: number): Float32Array {
  return new BatchNorm(units, { eps }).forward(x, [x.length / units, units]);
}

export function conclude(rows: readonly ScaleRow[]): Conclusion {
  const exact = rows.filter(({ eps }) => eps === 0);
  const worst = Math.max(...exact.flatMap(({ output, du, dW }) => [output, du, dW]));
  const powers = exact.filter(({ sameBits }) => sameBits !== null);
  const equal = powers.filter(({ sameBits }) => sameBits).length;
  const others = distinct(rows.map(({ eps }) => eps)).filter((eps) => eps > 0).map((eps) => {
    const own = rows.filter((row) => row.eps === eps);
    const off = own.filter(({ output }) => output > 0.01).map(({ scale }) => scale);
    const most = Math.max(...own.map(({ output }) => output));
    return `eps ${eps.toExponential(0)}: ${off.length === 0 ? 'never more than 1 % off' :
      `more than 1 % off for a of ${shortest(Math.max(...off))} and less`}, at most ${(100 * most).toFixed(0)} %`;
  });
  return {
    shows: worst < ROUNDING && powers.length > 0 && equal === powers.length,
    text: `With eps = 0, output and gradients are those of a = 1 up to ${worst.toExponential(0)}; the float32 output has the same bits ` +
      `for ${equal} of ${powers.length} powers of two. With eps, the output is invariant for large weights only. ${others.join('; ')}.`,
  };
}

/** 2 ** -7 as 0.007813. */
function shortest(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function medianOf(rows: readonly ScaleRow[], eps: number, scale: number, field: 'output' | 'du' | 'dW'): number {
  return median(rows.filter((row) => row.eps === eps && row.scale === scale).map((row) => row[field]));
}

function table(rows: readonly ScaleRow[]): Table {
  const epsilons = distinct(rows.map(({ eps }) => eps));
  const cell = (value: number) => (value === 0 ? '0' : value < 0.05 ? value.toExponential(0) : value.toFixed(2));
  return [
    ['a', ...epsilons.flatMap((eps) => ['y', 'du', 'a dW'].map((of) => `${of}, eps ${eps === 0 ? '0' : eps.toExponential(0)}`))],
    ...distinct(rows.map(({ scale }) => scale)).map((scale) => [
      shortest(scale),
      ...epsilons.flatMap((eps) => (['output', 'du', 'dW'] as const).map((field) => cell(medianOf(rows, eps, scale, field)))),
    ]),
  ];
}

function panels(rows: readonly ScaleRow[]): readonly Panel[] {
  const scales = distinct(rows.map(({ scale }) => scale)).sort((a, b) => a - b);
  return ([['output', 'y'], ['dW', 'a times the gradient of a W']] as const).map(([field, title]) => ({
    title,
    x: { name: 'a', log: true },
    y: { name: 'relative change', log: true },
    // A logarithmic axis has no 0: equal bits are drawn as the smallest rounding error.
    series: distinct(rows.map(({ eps }) => eps)).map((eps) => ({
      name: `eps ${eps === 0 ? '0' : eps.toExponential(0)}`,
      line: scales.map((scale) => [scale, Math.max(medianOf(rows, eps, scale, field), 1e-17)] as const),
    })),
  }));
}
