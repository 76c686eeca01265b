/** Decides whether sharing a call pays. On a machine whose cores are busy a thread waits for another that is not running. */

/** Of calls of one kernel and about one size. Times are in milliseconds. */
interface Experience {
  calls: number;
  /** What an element takes on one thread without interruption, and of how many calls that is known. */
  alone: number;
  samples: number;
  /** What sharing has gained since calls are shared, at most MOST_GAIN. */
  gain: number;
  /** Until when calls are not shared, and for how long the next time. */
  until: number;
  pause: number;
}

/** One call in so many is made alone, to know what that takes; fewer while sharing clearly gains. */
const SAMPLE = 64, RARE_SAMPLE = 128;
/** Sharing ends where it has lost so much more than it gained: a call that was interrupted for a time slice. */
const LOSS = 2;
/** What sharing has gained lets it lose as much later, up to this: two time slices, which another process takes now and then. */
const MOST_GAIN = 8;
/** The first pause, and the longest: a trial that loses costs about a time slice, some 4 ms of a second. */
const PAUSE = 5, LONGEST_PAUSE = 1000;
/**
 * The next pause is so many times as long. It becomes shorter by so much of what sharing gains beyond MOST_GAIN: beside a busy process,
 * which takes its time slice first, it never comes so far.
 */
const LENGTHEN = 4, SHORTEN = 4;

export class Governor {
  readonly #experiences: Experience[] = [];
  #current!: Experience;
  #elements = 0;
  #shared = false;
  #start = 0;

  /** Whether a call that starts now is worth sharing. */
  begin(kernel: number, elements: number, now: number, possible: boolean): boolean {
    const index = kernel * 32 + 31 - Math.clz32(elements);
    this.#experiences[index] ??= { calls: 1, alone: 0, samples: 0, gain: 0, until: 0, pause: PAUSE };
    const experience = this.#experiences[index]!;
    this.#current = experience;
    this.#elements = elements;
    this.#start = now;
    const sample = experience.gain < MOST_GAIN ? SAMPLE : RARE_SAMPLE;
    this.#shared = possible && experience.samples >= 2 && now >= experience.until && experience.calls++ % sample !== 0;
    return this.#shared;
  }

  end(now: number): void {
    const experience = this.#current, time = now - this.#start;
    if (!this.#shared) learnAlone(experience, time / this.#elements);
    else learnShared(experience, experience.alone * this.#elements - time, now);
  }
}

/**
 * The first call is slow for other reasons, and counts until there is a second. One that another process has interrupted counts as twice the
 * estimate, and longer times count less than shorter ones: otherwise sharing would seem to pay just then, and for long.
 */
function learnAlone(experience: Experience, time: number): void {
  const samples = ++experience.samples, { alone } = experience;
  if (samples <= 2) experience.alone = time;
  else experience.alone += time < alone ? (time - alone) / 2 : Math.min(time - alone, alone) / 8;
}

function learnShared(experience: Experience, gained: number, now: number): void {
  const gain = experience.gain + gained;
  experience.gain = Math.min(gain, MOST_GAIN);
  if (gain > MOST_GAIN) experience.pause = Math.max(experience.pause - SHORTEN * (gain - MOST_GAIN), PAUSE);
  if (gain >= -LOSS) return;
  experience.gain = 0;
  experience.until = now + experience.pause;
  experience.pause = Math.min(LENGTHEN * experience.pause, LONGEST_PAUSE);
}
