/**
 * The numbers of each channel in one call, side by side as a table: a row of FIELDS numbers per channel, all in f64.
 * The row of channel c starts at FIELDS * c.
 */
import type { Floats } from '../runtime/kernels.js';

/** An ordinary array, since V8 makes one of 400 numbers in 0.3 us and a Float64Array in 0.9 us. */
export type ChannelTable = number[];

export const FIELDS = 5;
export const MEAN = 0;
/** Biased. */
export const VARIANCE = 1;
/** 1 / sqrt(variance + eps) */
export const RSTD = 2;
/** weight * rstd, with batch renormalization times r: the derivative of y by x at fixed statistics. */
export const SLOPE = 3;
/** y at x = mean: the bias, or with batch renormalization bias + weight * d. */
export const INTERCEPT = 4;

/** Consecutive channels. */
export interface ChannelRange {
  readonly channelStart: number;
  readonly channels: number;
}

/** A table to be filled. */
export function newTable(channels: number): ChannelTable {
  return new Array<number>(FIELDS * channels).fill(0);
}

/**
 * A table of NaN that lasts for many calls, and is made by doubling: V8 takes an array made by its length for one with holes, and
 * looks out for them at every read and write. Without, the coefficients of eval take 0.82 of the time; making it takes twice as long.
 */
export function lastingTable(channels: number): ChannelTable {
  let table: ChannelTable = [NaN, NaN, NaN, NaN, NaN];
  while (table.length < FIELDS * channels) table = table.concat(table);
  return table.slice(0, FIELDS * channels);
}

/** One field of every channel, [C], times a factor. */
export function column(table: ChannelTable, field: number, factor = 1): Float64Array {
  // A loop: Float64Array.from with a function takes six times as long (moments of 60x100: 15 us instead of 8).
  const values = new Float64Array(table.length / FIELDS);
  for (let c = 0, i = field; c < values.length; c++, i += FIELDS) values[c] = table[i]! * factor;
  return values;
}

/** Copies running statistics into a table, to normalise with. */
export function copyRunning(table: ChannelTable, runningMean: Floats, runningVar: Floats): void {
  for (let c = 0, i = 0; c < runningMean.length; c++, i += FIELDS) {
    table[i + MEAN] = runningMean[c]!;
    table[i + VARIANCE] = runningVar[c]!;
  }
}

/** Copies given statistics into a table, to normalise with: mean, and variance = m2 / count. */
export function copyMoments(table: ChannelTable, count: number, mean: Float64Array, m2: Float64Array): void {
  for (let c = 0, i = 0; c < mean.length; c++, i += FIELDS) {
    table[i + MEAN] = mean[c]!;
    table[i + VARIANCE] = m2[c]! / count;
  }
}

/** Whether every mean and variance is a finite number. */
export function areFinite(table: ChannelTable): boolean {
  for (let i = 0; i < table.length; i += FIELDS) {
    const mean = table[i + MEAN]!, variance = table[i + VARIANCE]!;
    // Number.isFinite takes three times as long.
    if (mean - mean !== 0 || variance - variance !== 0) return false;
  }
  return true;
}

/** @throws {RangeError} a mean or variance is not finite. */
export function checkFinite(table: ChannelTable): void {
  if (areFinite(table)) return;
  const c = Math.floor(table.findIndex((value, i) => i % FIELDS <= VARIANCE && !Number.isFinite(value)) / FIELDS);
  const mean = table[FIELDS * c + MEAN], variance = table[FIELDS * c + VARIANCE];
  throw new RangeError(`x expected finite batch statistics, got mean ${mean} and variance ${variance} in channel ${c}`);
}
