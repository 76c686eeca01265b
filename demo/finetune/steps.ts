/** What both the page and the worker know of a run. */

/** Enough for the loss to fall below a tenth of what it was. */
export const STEPS = 10;
