/** Sums up the measurements in a sentence. */
import type { Measurement, NetworkMeasurement } from '../network/experiment.js';
import { percent } from '../page/numbers.js';

/** The smallest accuracy that counts as learning; guessing gets one digit in ten. */
const LEARNT = 0.25;
/** The smallest difference that is mentioned. */
const DIFFERENCE = 0.02;

export function verdict({ step, networks: [without, withNorm] }: Measurement): string {
  if (step === 0) return 'Both start from the same weights and will see the same images.';
  if (guesses(without) && guesses(withNorm)) return 'Both still guess.';
  if (!learns(without) || !learns(withNorm)) {
    return `${capitalised(describe(without))} without batch norm; ${describe(withNorm)} with it.`;
  }
  const ahead = withNorm.accuracy - without.accuracy;
  if (Math.abs(ahead) < DIFFERENCE) {
    return `Both read about equally well: ${percent(without.accuracy)} without batch norm, ${percent(withNorm.accuracy)} with it.`;
  }
  return `Both learn; the network ${ahead > 0 ? 'with' : 'without'} batch norm is ${Math.abs(ahead * 100).toFixed(0)} points ahead.`;
}

function learns({ accuracy, divergedAt }: NetworkMeasurement): boolean {
  return divergedAt === null && accuracy >= LEARNT;
}

function guesses({ accuracy, divergedAt }: NetworkMeasurement): boolean {
  return divergedAt === null && accuracy < LEARNT;
}

function describe(network: NetworkMeasurement): string {
  if (network.divergedAt !== null) return `diverged at step ${network.divergedAt}`;
  return learns(network) ? `reading ${percent(network.accuracy)} of the digits` : 'still guessing';
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
