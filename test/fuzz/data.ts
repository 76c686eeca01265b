/** The arrays of a scenario, made of its seeds once for all machines. */
import type { DType } from '../../src/index.js';
import { random } from '../random.js';
import { placesOf, shapeIn } from '../setup.js';
import { type Family, numbersOf } from './families.js';
import type { Forward, LayerScenario } from './scenario.js';

/** A shape, and where in an array of it the values of each channel are. */
export interface Sizes {
  readonly shape: readonly number[];
  readonly places: readonly (readonly number[])[];
  /** Values per channel. */
  readonly count: number;
}

/** What goes into a forward. */
export interface Batch {
  readonly sizes: Sizes;
  readonly x: Float64Array;
  readonly mask: Uint8Array | null;
  readonly residual: Float64Array | null;
  /** Per channel, the places that are not masked, and the values there. */
  readonly openPlaces: readonly (readonly number[])[];
  readonly open: readonly Float64Array[];
}

export function batchOf(layer: LayerScenario, step: Forward): Batch {
  const sizes = sizesOf(layer, step), { places, count } = sizes, uniform = random(step.seed + 1);
  const x = drawn(layer.dtype, step.family, step.seed, sizes), share = step.masked;
  const mask = share === null ? null : Uint8Array.from({ length: count }, () => (uniform() < share ? 0 : 1 + 6 * uniform()));
  if (step.stray && count > 0) x[places[step.stray.channel % places.length]![step.stray.place % count]!] = Number(step.stray.value);
  // What is masked may hold anything.
  mask?.forEach((open, m) => { if (open === 0 && m % 3 === 0) for (const own of places) x[own[m]!] = Number.NaN; });
  const openPlaces = mask === null ? places : places.map((own) => own.filter((_, m) => mask[m] !== 0));
  const open = openPlaces.map((own) => Float64Array.from(own, (place) => x[place]!));
  return { sizes, x, mask, openPlaces, open, residual: step.residual ? drawn(layer.dtype, 'normal', step.seed + 2, sizes) : null };
}

/** Where a sample has more elements than there may be, its positions are left out; otherwise there are as many samples as fit. */
function sizesOf({ channels, layout }: LayerScenario, { samples, positions, most }: Forward): Sizes {
  const kept = positions.reduce((product, size) => product * size, channels) > most ? [] : positions;
  const each = kept.reduce((product, size) => product * size, channels);
  const n = each === 0 ? samples : Math.min(samples, Math.max(Math.floor(most / each), 1)), first = [n, channels, ...kept];
  return { shape: shapeIn(layout, first), places: placesOf(first, layout), count: (n * each) / channels };
}

/** Values of a family in each channel, of a seed of its own, rounded to the dtype. */
export function drawn(dtype: DType, family: Family, seed: number, { places, count }: Sizes): Float64Array {
  const values = new Float64Array(places.length * count), round = dtype === 'float32' ? Math.fround : (value: number) => value;
  places.forEach((own, c) => {
    const numbers = numbersOf(family, count, random(seed + 7919 * c));
    for (let m = 0; m < count; m++) values[own[m]!] = round(numbers[m]!);
  });
  return values;
}
