import { setTimeout } from 'node:timers/promises';

/** A sample lasts at least this long, if need be over several calls: the processes that ran before it leave caches cold. */
const SAMPLE_MS = 5;
/** Time for untimed calls before each sample, as many as fit; at least one call if the data may be cached. */
const UNTIMED_MS = 2;
/** Until engines have optimised the code and their heaps have stopped growing: a new page costs up to 20 us. */
const WARM_UP_MS = 1000;
/** A call longer than this needs no warm-up and fewer samples. */
const SLOW_MS = 1000;
/** A side that has used this many times its budget is done, however few samples it has. */
const MOST_BUDGETS = 8;
/** A shorter call may find its data in a cache: its samples then start with untimed calls. */
const CACHED_MS = 20;

/** Times of one side in milliseconds per call. */
export interface Times {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly samples: number;
}

/** Runs `untimed` calls, then `timed` ones, and returns the milliseconds per timed call. */
export type Sampler = (untimed: number, timed: number) => number | Promise<number>;

export interface Effort {
  /** Milliseconds for the samples of one side. */
  readonly budget: number;
  /** Minimum (a third of it if a call is slow) and maximum number of samples of a side. */
  readonly least: number;
  readonly most: number;
  /** Milliseconds before each sample, in which threads of the side before go to sleep; none by default. */
  readonly rest?: number;
}

export const FULL: Effort = { budget: 500, least: 9, most: 101 };
export const QUICK: Effort = { budget: 60, least: 6, most: 21 };

/**
 * Samples sides in turn, A B C A B C, so that a change of the machine's speed affects all of them. A side that has used
 * its budget drops out. A side that failed gives its error in place of times.
 */
export async function interleave(samplers: readonly Sampler[], effort: Effort): Promise<(Times | Error)[]> {
  const sides: Progress[] = [];
  for (const sampler of samplers) sides.push(await attempt(() => warmUp(sampler)));
  for (let active = sides.length; active > 0; ) {
    active = 0;
    for (const [i, side] of sides.entries()) {
      if (side.error || enough(side, effort)) continue;
      active++;
      if (effort.rest) await setTimeout(effort.rest);
      const start = performance.now();
      const next = await attempt(async () => {
        side.samples.push(await samplers[i]!(side.untimed, side.timed));
        return side;
      });
      side.error = next.error;
      side.spent += performance.now() - start;
    }
  }
  return sides.map(({ error, samples }) => error ?? summary(samples));
}

/** What is known about a side so far. */
interface Progress {
  untimed: number;
  timed: number;
  spent: number;
  slow: boolean;
  samples: number[];
  error?: Error | undefined;
}

/** Calls a side until its speed is steady, and derives from its time the number of calls per sample. */
async function warmUp(sampler: Sampler): Promise<Progress> {
  let elapsed = await sampler(0, 1);
  if (elapsed > SLOW_MS) return { untimed: 0, timed: 1, spent: elapsed, slow: true, samples: [elapsed] };
  let timed = 1;
  for (const start = performance.now(); performance.now() - start < WARM_UP_MS; ) {
    timed = Math.max(1, Math.ceil(SAMPLE_MS / elapsed));
    elapsed = await sampler(0, timed);
  }
  return { untimed: elapsed < CACHED_MS ? Math.ceil(UNTIMED_MS / elapsed) : 0, timed, spent: 0, slow: false, samples: [] };
}

function enough({ spent, samples, slow }: Progress, { budget, least, most }: Effort): boolean {
  if (samples.length >= most || spent > MOST_BUDGETS * budget) return true;
  return spent > budget && samples.length >= (slow ? Math.ceil(least / 3) : least);
}

async function attempt(step: () => Promise<Progress>): Promise<Progress> {
  try {
    return await step();
  } catch (error) {
    return { untimed: 0, timed: 0, spent: 0, slow: false, samples: [], error: error as Error };
  }
}

function summary(samples: number[]): Times {
  const sorted = samples.sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, least: sorted[0]!, most: sorted.at(-1)!, samples: sorted.length };
}
