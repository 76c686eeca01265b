/** The settings of an experiment, their ranges, and the scenarios. */
import type { Activation } from './activation.js';

export interface Settings {
  readonly activation: Activation;
  /** Hidden layers. */
  readonly depth: number;
  /** Standard deviation of the initial weights. */
  readonly spread: number;
  readonly learningRate: number;
  readonly batchSize: number;
}

export type SliderName = Exclude<keyof Settings, 'activation'>;

/** The values a slider steps through. */
export const VALUES: Record<SliderName, readonly number[]> = {
  learningRate: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50],
  spread: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
  depth: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  batchSize: [2, 4, 8, 16, 32, 60, 128, 256],
};

export const ACTIVATIONS: readonly Activation[] = ['sigmoid', 'tanh', 'relu'];

export interface Scenario {
  /** As in the page's address. */
  readonly name: string;
  readonly question: string;
  readonly settings: Settings;
  /** What the visitor should look for. */
  readonly text: string;
}

const PAPER: Settings = { activation: 'sigmoid', depth: 3, spread: 0.1, learningRate: 0.1, batchSize: 60 };

/** The starkest contrast first. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'deep',
    question: 'What if the network is eight layers deep?',
    settings: { ...PAPER, depth: 8, learningRate: 0.5 },
    text: 'Each sigmoid removes three quarters or more of the gradient; almost none is left for the first layer. Batch norm scales it up again.',
  },
  {
    name: 'fast',
    question: 'What if the learning rate is 100 times too high?',
    settings: { ...PAPER, learningRate: 10 },
    text: 'The first steps push the inputs into the flat ends of the sigmoids, where hardly any gradient comes back. With batch norm, the gradient keeps its size.',
  },
  {
    name: 'wide',
    question: 'What if the weights start 20 times too wide?',
    settings: { ...PAPER, spread: 2, learningRate: 0.2 },
    text: 'Most sigmoids start in their flat ends. Batch norm removes the scale of the weights: BN((aW)u) = BN(Wu), section 3.3 of the paper.',
  },
  {
    name: 'paper',
    question: 'What if everything is as in the paper?',
    settings: PAPER,
    text: 'Section 4.1: three layers of 100 sigmoids. With batch norm, learning starts at once; without it, there is a long plateau first.',
  },
];

/** The scenario of these settings, if they are those of one. */
export function scenarioOf(settings: Settings): Scenario | undefined {
  const keys = Object.keys(settings) as (keyof Settings)[];
  return SCENARIOS.find((scenario) => keys.every((key) => scenario.settings[key] === settings[key]));
}
