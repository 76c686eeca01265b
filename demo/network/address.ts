/** Settings and seed in the query of the page's address, so that a link shows what its sender saw. */
import { ACTIVATIONS, SCENARIOS, type Settings, type SliderName, scenarioOf, VALUES } from './settings.js';

export interface Start {
  readonly settings: Settings;
  readonly seed: number;
}

/** The query of an address, without its question mark. Empty for the first scenario and seed 1. */
export function queryOf({ settings, seed }: Start): string {
  const scenario = scenarioOf(settings);
  const query = new URLSearchParams();
  if (!scenario) for (const [name, value] of Object.entries(settings)) query.set(name, String(value));
  else if (scenario !== SCENARIOS[0]) query.set('scenario', scenario.name);
  if (seed !== 1) query.set('seed', String(seed));
  return query.toString();
}

/** What a query says; a name or value that the page does not have counts as not given. */
export function startOf(search: string): Start {
  const query = new URLSearchParams(search);
  const { settings } = SCENARIOS.find(({ name }) => name === query.get('scenario')) ?? SCENARIOS[0]!;
  const numbers = Object.fromEntries((Object.keys(VALUES) as SliderName[]).flatMap((name) => {
    const value = VALUES[name].find((value) => String(value) === query.get(name));
    return value === undefined ? [] : [[name, value]];
  }));
  const activation = ACTIVATIONS.find((name) => name === query.get('activation'));
  const seed = /^[1-9]\d{0,5}$/.exec(query.get('seed') ?? '');
  return { settings: { ...settings, ...numbers, ...(activation && { activation }) }, seed: seed ? Number(seed[0]) : 1 };
}
