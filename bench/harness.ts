/** A sample shorter than this is a mean over several calls. */
const SAMPLE_MS = 0.3;
const ROUNDS = { least: 7, most: 101 };

/** Times of one function, milliseconds a call. */
export interface Times {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/**
 * Times functions in turn, A B C A B C, so that a change of the machine's speed meets all of them; medians of as many
 * rounds as fit `budget` milliseconds.
 */
export function interleave(functions: readonly (() => void)[], budget: number): Times[] {
  const repeats = functions.map(calibrate);
  const samples = functions.map(() => [] as number[]);
  const start = performance.now();
  for (let round = 0; round < ROUNDS.most; round++) {
    if (round >= ROUNDS.least && performance.now() - start > budget) break;
    functions.forEach((run, i) => { samples[i]!.push(time(run, repeats[i]!)); });
  }
  return samples.map((values) => {
    const sorted = values.sort((a, b) => a - b);
    return { median: sorted[sorted.length >> 1]!, least: sorted[0]!, most: sorted[sorted.length - 1]! };
  });
}

/** Calls a sample, after enough of them for the engine to have compiled the function for good. */
function calibrate(run: () => void): number {
  let repeats = 1;
  for (const start = performance.now(); performance.now() - start < 100; ) {
    const elapsed = time(run, repeats);
    repeats = Math.max(1, Math.ceil(SAMPLE_MS / elapsed));
  }
  return repeats;
}

function time(run: () => void, repeats: number): number {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) run();
  return (performance.now() - start) / repeats;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((total, value) => total + Math.log(value), 0) / values.length);
}
