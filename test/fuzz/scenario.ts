/** What the fuzzer draws: a layer, and calls on it. Plain data, so that a failure can be shrunk, printed and kept. */
import fc from 'fast-check';
import type { Settings } from '../../src/batchnorm/options.js';
import { FAMILIES, type Family } from './families.js';
import { MISTAKES, type Mistake } from './mistakes.js';

/** The constructor's options as JSON. */
export interface LayerScenario extends Readonly<Omit<Settings, 'debias' | 'renorm'>> {
  readonly channels: number;
  readonly renorm: { readonly rMax: number; readonly dMax: number } | null;
  /** Of weight, bias and running statistics. */
  readonly seed: number;
}

export interface Forward {
  readonly call: 'forward';
  readonly samples: number;
  readonly positions: readonly number[];
  /** How many elements there are at most, unless one position of all channels has more; see `sizesOf`. */
  readonly most: number;
  readonly family: Family;
  /** Channel and place of a NaN or an infinity, by its text since JSON has none, or null. */
  readonly stray: { readonly channel: number; readonly place: number; readonly value: 'NaN' | 'Infinity' | '-Infinity' } | null;
  /** Share of positions that are masked; null: no mask. */
  readonly masked: number | null;
  readonly residual: boolean;
  readonly out: 'new' | 'given' | 'x' | 'residual';
  readonly updateStats: boolean;
  /** Whether the batch is cut in two, and the parts are normalised with the statistics of both. */
  readonly parts: boolean;
  /** Elements before an array in its buffer. */
  readonly offset: number;
  readonly seed: number;
}

export interface Backward {
  readonly call: 'backward';
  /** Which of the contexts so far, from the latest. */
  readonly context: number;
  readonly family: Family;
  readonly out: 'new' | 'given' | 'dy';
  readonly parameters: boolean;
  readonly seed: number;
}

export interface Wrong {
  readonly call: 'wrong';
  readonly mistake: Mistake;
}

export const CHANGES = ['train', 'eval', 'freeze', 'unfreeze', 'reset', 'reload', 'undo'] as const;

export interface Change {
  readonly call: (typeof CHANGES)[number];
}

export type Step = Forward | Backward | Wrong | Change;

export interface Scenario {
  readonly layer: LayerScenario;
  readonly steps: readonly Step[];
}

const often = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary });

/** Sizes at the edges of vectors, of chains of additions and of widened rows, and some between. Large ones are rare. */
const channels = fc.oneof(
  often(24, fc.integer({ min: 1, max: 9 })),
  often(4, fc.constantFrom(12, 15, 16, 17, 31, 32, 33, 63, 64, 65)),
  often(1, fc.constantFrom(100, 129, 190, 322, 400)),
);
const samples = fc.oneof(
  often(24, fc.integer({ min: 1, max: 8 })),
  often(4, fc.constantFrom(16, 17, 31, 59, 60, 61, 64, 65)),
  often(1, fc.constantFrom(0, 120, 239, 240, 241, 481)),
);
const positions = fc.oneof(
  often(12, fc.constant<number[]>([])),
  often(12, fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 })),
  often(2, fc.constantFrom([7, 7], [59], [60], [61], [64], [15, 3], [0])),
  often(1, fc.constantFrom([196], [239], [241], [480], [483], [16, 15], [961])),
);

/** Most mistakes show with few elements, and a case of a hundred takes a fraction of a millisecond: large ones are rare. */
const most = fc.oneof(often(80, fc.constant(150)), often(12, fc.constant(600)), often(3, fc.constant(3000)), often(1, fc.constant(20_000)));

const layer: fc.Arbitrary<LayerScenario> = fc.record({
  channels,
  dtype: fc.constantFrom('float32', 'float64'),
  layout: fc.constantFrom('channels-first', 'channels-last'),
  eps: fc.constantFrom(1e-5, 1e-3, 0, 1e-12, 1),
  momentum: fc.constantFrom(0.1, 0, 1, null, 0.01, 0.37),
  runningVariance: fc.constantFrom('unbiased', 'biased'),
  weight: fc.boolean(),
  bias: fc.boolean(),
  trackRunningStats: fc.oneof(often(4, fc.constant(true)), often(1, fc.constant(false))),
  activation: fc.constantFrom('none', 'relu'),
  onSingleValue: fc.constantFrom('error', 'running', 'zero'),
  onNonFinite: fc.constantFrom('propagate', 'skip', 'error'),
  renorm: fc.oneof(often(4, fc.constant(null)), often(1, fc.record({ rMax: fc.constantFrom(1, 1.5, 3), dMax: fc.constantFrom(0, 0.5, 5) }))),
  seed: fc.nat(),
});

const family = fc.constantFrom(...FAMILIES);

const forward: fc.Arbitrary<Forward> = fc.record({
  call: fc.constant('forward'),
  samples, positions, family, most,
  stray: fc.oneof(often(12, fc.constant(null)), often(1, fc.record({
    channel: fc.nat(9), place: fc.nat(1000), value: fc.constantFrom('NaN', 'Infinity', '-Infinity'),
  }))),
  masked: fc.oneof(often(3, fc.constant(null)), often(1, fc.constantFrom(0, 0.1, 0.5, 0.9, 1))),
  residual: fc.boolean(),
  out: fc.constantFrom('new', 'given', 'x', 'residual'),
  updateStats: fc.oneof(often(4, fc.constant(true)), often(1, fc.constant(false))),
  parts: fc.oneof(often(5, fc.constant(false)), often(1, fc.constant(true))),
  offset: fc.nat(5),
  seed: fc.nat(),
});

const backward: fc.Arbitrary<Backward> = fc.record({
  call: fc.constant('backward'),
  context: fc.constantFrom(0, 0, 0, 1, 2),
  family,
  out: fc.constantFrom('new', 'given', 'dy'),
  parameters: fc.boolean(),
  seed: fc.nat(),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  often(5, forward),
  often(5, backward),
  often(2, fc.record({ call: fc.constant('wrong' as const), mistake: fc.constantFrom(...MISTAKES) })),
  often(2, fc.record({ call: fc.constantFrom(...CHANGES) })),
);

/** A forward comes first, so that most calls have something to work on. */
export const scenario: fc.Arbitrary<Scenario> = fc
  .tuple(layer, forward, fc.array(step, { maxLength: 4 }))
  .map(([drawn, first, steps]) => ({
    layer: drawn.trackRunningStats ? drawn : { ...drawn, renorm: null },
    steps: [first, ...steps],
  }));
