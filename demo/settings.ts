/** The settings of an experiment, their ranges, and the presets. */
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

export interface Preset {
  readonly name: string;
  readonly settings: Settings;
  /** What the visitor should look for. */
  readonly text: string;
}

const PAPER: Settings = { activation: 'sigmoid', depth: 3, spread: 0.1, learningRate: 0.1, batchSize: 60 };

export const PRESETS: readonly Preset[] = [
  {
    name: 'The paper’s',
    settings: PAPER,
    text: 'Section 4.1: three layers of 100 sigmoid units, 60 images per step. With batch norm, learning starts at once; without it, there is a long plateau first.',
  },
  {
    name: 'High learning rate',
    settings: { ...PAPER, learningRate: 10 },
    text: 'A hundred times the rate. Section 3.3: with batch norm, the gradient that passes back through a layer does not depend on the scale of its weights, and larger weights get smaller gradients.',
  },
  {
    name: 'Bad initialisation',
    settings: { ...PAPER, spread: 2, learningRate: 0.2 },
    text: 'Weights start twenty times too wide, and most sigmoids are saturated: see section 2 of this page. Batch norm removes the scale: BN((aW)u) = BN(Wu) (section 3.3).',
  },
  {
    name: 'Deep sigmoid',
    settings: { ...PAPER, depth: 8, learningRate: 0.5 },
    text: 'Eight sigmoid layers. Each removes three quarters or more of the gradient, until none is left for the first; batch norm scales it up again.',
  },
];
