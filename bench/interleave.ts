/** A sample shorter than this is a mean over several calls: other processes have run before it, and left caches cold. */
const SAMPLE_MS = 5;
/** Calls that are not timed before each sample, where they fit into this; one at least where data may be cached. */
const UNTIMED_MS = 2;
/** Until engines have compiled for good and their heaps have stopped growing: a page that is new costs up to 20 us. */
const WARM_UP_MS = 1000;
/** A call longer than this needs neither warming up nor many samples. */
const SLOW_MS = 1000;
/** A side that has taken this many times its budget is done, however few samples it has. */
const MOST_BUDGETS = 8;
/** Below this a call may find its data in a cache: a sample then starts with calls that are not timed. */
const CACHED_MS = 20;

/** Times of one side, milliseconds a call. */
export interface Times {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly samples: number;
}

/** Runs `untimed` calls, then `timed` ones, and gives the milliseconds of a timed one. */
export type Sampler = (untimed: number, timed: number) => number | Promise<number>;

export interface Effort {
  /** Milliseconds for sampling one side. */
  readonly budget: number;
  /** Samples of a side, at least (a third of it where a call is slow) and at most. */
  readonly least: number;
  readonly most: number;
}

export const FULL: Effort = { budget: 500, least: 9, most: 101 };
export const QUICK: Effort = { budget: 60, least: 6, most: 21 };

/**
 * Samples sides in turn, A B C A B C, so that a change of the machine's speed meets all of them. A side that has had its
 * share drops out. In place of times stands the error of a side that failed.
 */
export async function interleave(samplers: readonly Sampler[], effort: Effort): Promise<(Times | Error)[]> {
  const sides: Progress[] = [];
  for (const sampler of samplers) sides.push(await attempt(() => warmUp(sampler)));
  for (let active = sides.length; active > 0; ) {
    active = 0;
    for (const [i, side] of sides.entries()) {
      if (side.error || enough(side, effort)) continue;
      active++;
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

/** What has been found out about a side so far. */
interface Progress {
  untimed: number;
  timed: number;
  spent: number;
  slow: boolean;
  samples: number[];
  error?: Error | undefined;
}

/** Calls until a side has found its pace, and from their time the calls of a sample. */
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
