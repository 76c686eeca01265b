/** Families of data: what real batches look like, and what is hard for sums. */
import { standardNormal } from '../random.js';

export const FAMILIES = [
  'normal', 'far', 'constant', 'two values', 'rare value', 'ramp', 'sparse', 'rectified', 'integers', 'tiny', 'huge', 'outlier', 'alternating',
] as const;
export type Family = (typeof FAMILIES)[number];

/** n numbers of a family for one channel. */
export function numbersOf(family: Family, n: number, uniform: () => number): Float64Array {
  const normal = standardNormal(uniform), level = uniform() * 4 - 2, numbers = new Float64Array(n);
  const fill = (value: (i: number) => number) => {
    for (let i = 0; i < n; i++) numbers[i] = value(i);
    return numbers;
  };
  switch (family) {
    case 'normal': return fill(() => level + normal());
    case 'far': {
      const mean = 10 ** (1 + 5 * uniform());
      return fill(() => mean + normal());
    }
    case 'constant': return fill(() => level);
    case 'two values': return fill(() => (uniform() < 0.5 ? level : 1));
    case 'rare value': return fill(() => (uniform() < 0.06 ? 1 + level : 0));
    case 'ramp': return fill((i) => level + i / 7);
    case 'sparse': return fill(() => (uniform() < 0.1 ? normal() : 0));
    case 'rectified': return fill(() => Math.max(level + normal(), 0));
    case 'integers': return fill(() => Math.floor(uniform() * 5) - 2);
    case 'tiny': return fill(() => 1e-12 * (level + normal()));
    case 'huge': return fill(() => 1e12 * (level + normal()));
    case 'outlier': return fill((i) => (i === 0 ? 1000 : normal()));
    case 'alternating': return fill((i) => (i % 2 ? level : -level));
  }
}
