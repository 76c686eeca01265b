/** The axes of a linear or convolution layer's weight, in the orders of the frameworks. */
import { elements } from '../runtime/shape.js';

/** A weight as [out] sums over [in * taps] inputs; `visit` meets every element with its output and its input. */
export interface Sums {
  readonly out: number;
  readonly in: number;
  readonly taps: number;
  visit(use: (index: number, out: number, channel: number, tap: number) => void): void;
}

/** The two channel axes of a weight, in order: the first two of its shape, or the last two in the formats of Keras. */
export function channelAxes(format: string, shape: readonly number[]): [number, number] {
  return (format === 'OIHW' || format === 'IOHW' ? shape.slice(0, 2) : shape.slice(-2)) as [number, number];
}

/** What each element of a weight joins, by format. One channel axis holds all channels of its side, the other those of one group. */
export function readAxes(format: string, shape: readonly number[], groups: number): Sums {
  const [a, b] = channelAxes(format, shape), taps = elements(shape) / (a * b);
  const groupOf = (channel: number, all: number) => Math.floor(channel / (all / groups));
  switch (format) {
    case 'OIHW':
      return {
        out: a, in: b * groups, taps,
        visit: (use) => eachElement(a, b, taps, (o, i, tap, index) => use(index, o, groupOf(o, a) * b + i, tap)),
      };
    case 'IOHW':
      return {
        out: b * groups, in: a, taps,
        visit: (use) => eachElement(a, b, taps, (i, o, tap, index) => use(index, groupOf(i, a) * b + o, i, tap)),
      };
    case 'HWIO':
      return {
        out: b, in: a * groups, taps,
        visit: (use) => eachElement(taps, a, b, (tap, i, o, index) => use(index, o, groupOf(o, b) * a + i, tap)),
      };
    default:
      return {
        out: a * b, in: a, taps,
        visit: (use) => eachElement(taps, a, b, (tap, i, m, index) => use(index, i * b + m, i, tap)),
      };
  }
}

/** Calls `use` for every element of a row-major array of three axes, with its place on each and its index. */
function eachElement(
  sizeX: number, sizeY: number, sizeZ: number, use: (x: number, y: number, z: number, index: number) => void,
): void {
  let index = 0;
  for (let x = 0; x < sizeX; x++) {
    for (let y = 0; y < sizeY; y++) {
      for (let z = 0; z < sizeZ; z++) use(x, y, z, index++);
    }
  }
}
