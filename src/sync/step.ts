/** A training step, all or nothing. */
import { wrongKind } from '../checks.js';
import { BatchNorm } from '../index.js';
import { digestsOf } from './digest.js';
import { type Call, exchange, failure, isShared } from './exchange.js';
import { checkGroup, type Group } from './group.js';
import { encodeRecord } from './record.js';

/**
 * Runs a step on all ranks, and ends when all have got through it with the same running statistics. Where anything throws on
 * any rank, it throws on all, and running statistics and counters of all layers are those of before. Optimiser steps belong
 * after it.
 *
 * One window remains that no protocol over a network can close: a rank that dies while its last message is on its way may
 * leave some ranks with the step and some without. The next `syncForward`, or the first one after a restart, names them by
 * their counters; go on from the last checkpoint.
 *
 * @param modules - the layers whose running statistics the step may change
 * @param body - forwards, backwards and sums of the step
 * @returns what body returns
 * @throws {Error} (rejects) what body throws on this rank, or that another rank has failed or is missing.
 */
export async function syncStep<T>(group: Group, modules: readonly BatchNorm[], body: () => T | Promise<T>): Promise<T> {
  checkGroup('syncStep', group);
  if (!Array.isArray(modules) || !modules.every((module) => module instanceof BatchNorm)) {
    throw wrongKind('modules', 'an array of BatchNorm', modules);
  }
  const before = modules.map((module) => module.snapshot());
  try {
    const result = await body();
    await exchange(group, end(modules));
    return result;
  } catch (error) {
    modules.forEach((module, i) => { module.restore(before[i]!); });
    // The others wait in their next collective. What comes of telling them is known: everybody throws.
    if (!isShared(error)) await exchange(group, failure({ operation: 'step' }, error)).catch(() => {});
    throw error;
  }
}

function end(modules: readonly BatchNorm[]): Call<void> {
  const states = Object.fromEntries(modules.map((module, i) => [`layer ${i}`, Object.values(digestsOf(module)).join(' ')]));
  return { record: encodeRecord({ operation: 'step', ...states }), finish: () => {} };
}
