/** Sums up the measurements in a sentence. */
import type { Measurement, NetworkMeasurement } from './experiment.js';
import { percent } from './page.js';

/** The smallest accuracy that counts as learning; guessing gets one digit in ten. */
const LEARNT = 0.25;
/** The smallest difference that is mentioned. */
const DIFFERENCE = 0.02;

export function verdict({ step, networks: [without, withNorm] }: Measurement): string {
  if (step === 0) return 'Both start from the same weights and will see the same images.';
  const after = `After ${step.toLocaleString('en')} steps,`;
  if (!learns(without) || !learns(withNorm)) {
    return `${after} the network without batch norm ${describe(without)}; the one with it ${describe(withNorm)}.`;
  }
  const ahead = withNorm.accuracy - without.accuracy;
  if (Math.abs(ahead) < DIFFERENCE) {
    return `${after} both read about equally well: ${percent(without.accuracy)} without batch norm, ${percent(withNorm.accuracy)} with it.`;
  }
  const points = Math.abs(ahead * 100).toFixed(0);
  return `${after} both learn; the one ${ahead > 0 ? 'with' : 'without'} batch norm is ahead by ${points} points.`;
}

function learns({ accuracy, divergedAt }: NetworkMeasurement): boolean {
  return divergedAt === null && accuracy >= LEARNT;
}

function describe(network: NetworkMeasurement): string {
  if (network.divergedAt !== null) return `has diverged (at step ${network.divergedAt})`;
  return learns(network) ? `reads ${percent(network.accuracy)} of the digits` : 'still guesses';
}
