/** Numbers of other kinds, by the same collective. */
import { isTypedArray } from '../arrays.js';
import { checkNumber, wrongKind } from '../checks.js';
import type { Floats } from '../index.js';
import { exchange, prepared } from './exchange.js';
import { checkGroup, type Group } from './group.js';
import { encodeRecord } from './record.js';

/**
 * The sums of arrays over ranks, added up in rank order and in f64, so that all ranks have the same bits: gradients of the other
 * parameters. Everybody sends everything to everybody, which is for tens of ranks, not for hundreds.
 *
 * @param arrays - as many on every rank, and of the same lengths
 * @returns new arrays
 * @throws {Error} (rejects) as `syncForward`.
 */
export async function sumOver(group: Group, arrays: readonly Floats[]): Promise<Float64Array[]> {
  checkGroup('sumOver', group);
  return exchange(group, prepared({ operation: 'sum' }, () => {
    if (!Array.isArray(arrays) || !arrays.every(isFloats)) throw wrongKind('arrays', 'an array of Float32Array or Float64Array', arrays);
    return {
      record: encodeRecord({ operation: 'sum', lengths: arrays.map(({ length }) => length).join(' ') }, arrays),
      finish(bodies) {
        let start = 0;
        return arrays.map(({ length }) => {
          const sum = bodies[0]!.slice(start, start + length);
          for (const body of bodies.slice(1)) for (let i = 0; i < length; i++) sum[i]! += body[start + i]!;
          start += length;
          return sum;
        });
      },
    };
  }));
}

/**
 * A number of each rank, in rank order: samples of a batch, steps of an epoch.
 *
 * @throws {Error} (rejects) as `syncForward`.
 */
export async function gatherNumbers(group: Group, value: number): Promise<number[]> {
  checkGroup('gatherNumbers', group);
  return exchange(group, prepared({ operation: 'numbers' }, () => {
    checkNumber('value', value, -Infinity, Infinity);
    return { record: encodeRecord({ operation: 'numbers' }, [[value]]), finish: (bodies) => bodies.map(([first]) => first!) };
  }));
}

function isFloats(value: unknown): value is Floats {
  return isTypedArray(value, 'Float32Array') || isTypedArray(value, 'Float64Array');
}
