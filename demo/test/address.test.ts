import { expect, it } from 'vitest';
import { queryOf, startOf } from '../network/address.js';
import { SCENARIOS } from '../network/settings.js';

it.each([
  ...SCENARIOS.map(({ settings }) => ({ settings, seed: 1 })),
  { settings: SCENARIOS[1]!.settings, seed: 12 },
  { settings: { activation: 'relu', depth: 10, spread: 0.001, learningRate: 50, batchSize: 2 } as const, seed: 3 },
])('an address brings back its settings and seed: $settings, $seed', (start) => {
  expect(startOf(queryOf(start))).toEqual(start);
  expect(startOf(`?${queryOf(start)}`)).toEqual(start);
});

it('is empty for what the page starts with', () => {
  expect(queryOf({ settings: SCENARIOS[0]!.settings, seed: 1 })).toBe('');
});

it.each([
  '?depth=99', '?depth=-1', '?depth=8.5', '?spread=NaN', '?learningRate=', '?batchSize=1e9', '?activation=constructor', '?scenario=none', '?seed=0',
  '?seed=-3', '?seed=9999999', '?seed=x', '?unknown=1', '?depth=%00',
])('%s changes nothing', (search) => {
  expect(startOf(search)).toEqual({ settings: SCENARIOS[0]!.settings, seed: 1 });
});
