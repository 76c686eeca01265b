/** Every scenario that has broken a law, as the fuzzer printed it, with what was wrong. */
import type { Scenario } from './scenario.js';

export interface FoundScenario {
  readonly wrong: string;
  readonly scenario: Scenario;
}

const LAYER: Scenario['layer'] = {
  channels: 1, dtype: 'float32', layout: 'channels-first', eps: 1e-5, momentum: 0.1, runningVariance: 'unbiased', weight: false, bias: false,
  trackRunningStats: true, activation: 'none', onSingleValue: 'error', onNonFinite: 'propagate', renorm: null, seed: 0,
};

const FORWARD: Extract<Scenario['steps'][number], { call: 'forward' }> = {
  call: 'forward', samples: 2, positions: [], most: 20_000, family: 'normal', stray: null, masked: null, residual: false, out: 'new', updateStats: true,
  parts: false, offset: 0, seed: 0,
};

export const FOUND: readonly FoundScenario[] = [
  {
    wrong: 'a tensor of no elements that was out and x at once gave backward another answer than an array',
    scenario: { layer: LAYER, steps: [{ ...FORWARD, samples: 0, out: 'x' }, { call: 'backward', context: 0, family: 'normal', out: 'new', parameters: true, seed: 0 }] },
  },
  {
    wrong: 'dx of values 1e-14 apart was infinite for gradients of 1e12: a coefficient of the gradient left the range of float32',
    scenario: {
      layer: { ...LAYER, channels: 12, eps: 0, trackRunningStats: false },
      steps: [
        { ...FORWARD, samples: 1, positions: [2], family: 'tiny', most: 150 },
        { call: 'backward', context: 0, family: 'huge', out: 'new', parameters: false, seed: 2834255 },
      ],
    },
  },
];
