import { expect, it } from 'vitest';
import type { Measurement, NetworkMeasurement } from '../experiment.js';
import { verdict } from '../verdict.js';

const network = (accuracy: number, divergedAt: number | null = null) => ({ accuracy, divergedAt }) as NetworkMeasurement;
const sentence = (step: number, without: NetworkMeasurement, withNorm: NetworkMeasurement) =>
  verdict({ step, networks: [without, withNorm] } as unknown as Measurement);

it.each([
  [0, network(0.1), network(0.1), 'Both start from the same weights and will see the same images.'],
  [1500, network(0.1), network(0.9), 'After 1,500 steps, the network without batch norm still guesses; the one with it reads 90.0 % of the digits.'],
  [20, network(0.1, 3), network(0.5), 'After 20 steps, the network without batch norm has diverged (at step 3); the one with it reads 50.0 % of the digits.'],
  [20, network(0.6), network(0.9), 'After 20 steps, both learn; the one with batch norm is ahead by 30 points.'],
  [20, network(0.9), network(0.6), 'After 20 steps, both learn; the one without batch norm is ahead by 30 points.'],
  [20, network(0.9), network(0.91), 'After 20 steps, both read about equally well: 90.0 % without batch norm, 91.0 % with it.'],
])('says after %i steps what the measurements say', (step, without, withNorm, expected) => {
  expect(sentence(step, without, withNorm)).toBe(expected);
});
