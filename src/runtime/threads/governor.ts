/** Decides whether sharing a call pays. On a machine whose cores are busy a thread waits for another that is not running. */

/** Of calls of one kernel and about one size. Times are in milliseconds. */
interface Experience {
  calls: number;
  /** Mean time per element on one thread, and of how many calls. */
  alone: number;
  samples: number;
  /** Of shared calls since the last comparison. */
  time: number;
  elements: number;
  /** Until when calls are not shared, and for how long the next time. */
  until: number;
  pause: number;
}

/** One call in so many is made alone, to know what that takes. */
const SAMPLE = 64;
/** Shared calls are compared once they have taken so long. */
const TIME = 4;
/** The first pause, and the longest: a comparison that lost costs 4 ms of a second. */
const PAUSE = 5, LONGEST_PAUSE = 1000;
/**
 * The next pause is so many times as long after a comparison that lost, or won. Beside a busy process, whose time slices are as long as a comparison,
 * some are won by chance: they must not outweigh those that are lost.
 */
const LENGTHEN = 4, SHORTEN = 0.8;

export class Governor {
  readonly #experiences: Experience[] = [];
  #current!: Experience;
  #elements = 0;
  #shared = false;
  #start = 0;

  /** Whether a call that starts now is worth sharing. */
  begin(kernel: number, elements: number, now: number, possible: boolean): boolean {
    const index = kernel * 32 + 31 - Math.clz32(elements);
    this.#experiences[index] ??= { calls: 1, alone: 0, samples: 0, time: 0, elements: 0, until: 0, pause: PAUSE };
    const experience = this.#experiences[index]!;
    this.#current = experience;
    this.#elements = elements;
    this.#start = now;
    this.#shared = possible && experience.samples >= 2 && now >= experience.until && experience.calls++ % SAMPLE !== 0;
    return this.#shared;
  }

  end(now: number): void {
    const experience = this.#current, time = now - this.#start;
    if (!this.#shared) learnAlone(experience, time / this.#elements);
    else learnShared(experience, time, this.#elements, now);
  }
}

/**
 * The first call is slow for other reasons, and counts until there is a second. One that another process has interrupted counts as twice the
 * mean: otherwise sharing would seem to pay just then.
 */
function learnAlone(experience: Experience, time: number): void {
  const samples = ++experience.samples, { alone } = experience;
  experience.alone += ((samples > 2 ? Math.min(time, 2 * alone) : time) - alone) / Math.min(Math.max(samples - 1, 1), 8);
}

function learnShared(experience: Experience, time: number, elements: number, now: number): void {
  experience.time += time;
  experience.elements += elements;
  if (experience.time < TIME) return;
  if (experience.time > experience.alone * experience.elements) {
    experience.until = now + experience.pause;
    experience.pause = Math.min(LENGTHEN * experience.pause, LONGEST_PAUSE);
  } else {
    experience.pause = Math.max(SHORTEN * experience.pause, PAUSE);
  }
  experience.time = experience.elements = 0;
}
