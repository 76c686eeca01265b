import { expect, it } from 'vitest';
import type { Measurement, NetworkMeasurement } from '../network/experiment.js';
import { verdict } from '../training/verdict.js';

const network = (accuracy: number, divergedAt: number | null = null) => ({ accuracy, divergedAt }) as NetworkMeasurement;
const sentence = (step: number, without: NetworkMeasurement, withNorm: NetworkMeasurement) =>
  verdict({ step, networks: [without, withNorm] } as unknown as Measurement);

it.each([
  [0, network(0.1), network(0.1), 'Both start from the same weights and will see the same images.'],
  [10, network(0.1), network(0.2), 'Both still guess.'],
  [1500, network(0.1), network(0.9), 'Still guessing without batch norm; reading 90.0\u00a0% of the digits with it.'],
  [1500, network(0.9), network(0.1), 'Reading 90.0\u00a0% of the digits without batch norm; still guessing with it.'],
  [20, network(0.1, 3), network(0.5), 'Diverged at step 3 without batch norm; reading 50.0\u00a0% of the digits with it.'],
  [20, network(0.1, 3), network(0.1, 5), 'Diverged at step 3 without batch norm; diverged at step 5 with it.'],
  [20, network(0.6), network(0.9), 'Both learn; the network with batch norm is 30 points ahead.'],
  [20, network(0.9), network(0.6), 'Both learn; the network without batch norm is 30 points ahead.'],
  [20, network(0.9), network(0.91), 'Both read about equally well: 90.0\u00a0% without batch norm, 91.0\u00a0% with it.'],
])('says after %i steps what the measurements say', (step, without, withNorm, expected) => {
  expect(sentence(step, without, withNorm)).toBe(expected);
});
