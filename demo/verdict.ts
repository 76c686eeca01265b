/** What the measurements say, in a sentence. */
import type { Measurement, NetworkMeasurement } from './experiment.js';
import { percent } from './page.js';

/** Ten digits: one in ten is right by guessing. */
const GUESSING = 0.25;
/** The difference that is worth a word. */
const CLOSE = 0.02;

export function verdict({ step, networks: [without, withNorm] }: Measurement): string {
  if (step === 0) return 'Both start from the same weights and will see the same images.';
  const reads = ({ accuracy }: NetworkMeasurement) => accuracy >= GUESSING;
  const names = [describe(without), describe(withNorm)];
  if (reads(without) && reads(withNorm) && without.divergedAt === null && withNorm.divergedAt === null) {
    const ahead = withNorm.accuracy - without.accuracy;
    if (Math.abs(ahead) < CLOSE) return `After ${steps(step)} both read about as well: ${names[0]} without batch norm, ${names[1]} with it.`;
    return `After ${steps(step)} both learn; the one ${ahead > 0 ? 'with' : 'without'} batch norm is ahead by ${(Math.abs(ahead) * 100).toFixed(0)} points.`;
  }
  return `After ${steps(step)} the network without batch norm ${names[0]}, the one with it ${names[1]}.`;

  function describe(network: NetworkMeasurement): string {
    if (network.divergedAt !== null) return `has diverged (at step ${network.divergedAt})`;
    const both = reads(without) && reads(withNorm);
    if (both && without.divergedAt === null && withNorm.divergedAt === null) return percent(network.accuracy);
    return reads(network) ? `reads ${percent(network.accuracy)} of the digits` : 'still guesses';
  }
}

function steps(count: number): string {
  return `${count.toLocaleString('en')} step${count === 1 ? '' : 's'}`;
}
