/** The numbers and the sentence on the first screen, and the same for screen readers. */
import type { Measurement } from '../network/experiment.js';
import { element, setText } from '../page/dom.js';
import { percent } from '../page/numbers.js';
import { NETWORK_NAMES } from './names.js';
import { verdict } from './verdict.js';

/** Milliseconds between two announcements. */
const EVERY = 10_000;

let announcedAt = 0;

export function showNumbers(history: readonly Measurement[], training: boolean): void {
  const latest = history.at(-1)!;
  setText('step', latest.step.toLocaleString('en'));
  NETWORK_NAMES.forEach((name, i) => {
    const { accuracy, divergedAt } = latest.networks[i]!;
    setText(`accuracy-${name}`, divergedAt === null ? percent(accuracy) : 'diverged');
  });
  setText('verdict', verdict(latest));
  if (!training || history.length <= 2 || performance.now() - announcedAt > EVERY) announce(history);
}

/** Screen readers read each announcement to its end: the visible sentence changes too often for them. */
export function announce(history: readonly Measurement[]): void {
  const latest = history.at(-1)!, text = `After ${latest.step.toLocaleString('en')} steps: ${verdict(latest)}`;
  announcedAt = performance.now();
  setText('announcement', text);
  element('accuracy-plot').setAttribute('aria-label', `Test accuracy against steps. ${text}`);
}

export function forgetAnnouncement(): void {
  announcedAt = 0;
}
