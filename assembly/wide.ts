/**
 * What walks over rows share: short rows and tiny planes as wide rows, records of per-channel numbers, rows by the block.
 *
 * Memory holds a row of three channels followed by the next: taken four at a time they are one row of twelve columns,
 * three whole vectors. Planes of two or three values are columns likewise. Per-channel numbers are repeated to match,
 * and sums of columns that belong to one channel are added up in the end.
 */

import { lanes, loadTail } from './vec';

/** Columns that make a row worth a walk of its own: shorter rows are taken several at a time. See bench/NOTES.md. */
const WIDTH: i32 = 64;

/** A bound of what rows are widened to: `repeatOf` passes WIDTH by less than four rows, of less than WIDTH columns each. */
export const WIDENED: i32 = 5 * WIDTH;

/** Columns a channel in the walk over rows; 0: the tensor is to be walked plane by plane. */
// @ts-ignore: decorator
@inline export function repeatOf(outer: i32, channels: i32, inner: i32, pitch: i32): i32 {
  if (inner != 1) return inner < 4 ? inner : 0;
  if (channels >= WIDTH || pitch != channels) return 1;
  // A multiple of four where that is what fills whole vectors.
  const unit = channels & 1 ? 4 : channels & 2 ? 2 : 1;
  const repeat = (WIDTH + unit * channels - 1) / (unit * channels) * unit;
  return outer >= repeat ? repeat : 1;
}

/** Vectors that hold so many columns. */
// @ts-ignore: decorator
@inline export function vectors<T>(columns: i32): i32 {
  return (columns + lanes<T>() - 1) / lanes<T>();
}

/** Clears records of `size` vectors, one for every vector of columns. */
// @ts-ignore: decorator
@inline export function clear<T>(records: usize, size: i32, columns: i32): void {
  memory.fill(records, 0, <usize>(16 * size) * vectors<T>(columns));
}

/** total[c] = the sum of the columns of channel c. */
export function narrow(total: usize, columns: usize, channels: i32, repeat: i32, inner: i32): void {
  const next: usize = inner == 1 ? <usize>channels * 8 : 8, first: usize = inner == 1 ? 8 : <usize>inner * 8;
  for (let c = 0; c < channels; ++c) {
    let value: f64 = 0;
    for (let i = 0, p = columns; i < repeat; ++i, p += next) value += load<f64>(p);
    store<f64>(total, value);
    total += 8;
    columns += first;
  }
}

/**
 * Writes per-channel numbers once for every column, as vector `index` of records of `size` vectors, so that a walk needs
 * one pointer for all of them: with one for each, a walk over two rows has more than there are registers for, and the
 * gradient takes twice the time.
 */
export function interleave<T>(
  records: usize, size: i32, index: i32, from: usize, channels: i32, repeat: i32, inner: i32,
): void {
  let to = records + 16 * index;
  const next: usize = 16 * size;
  if (repeat == 1) {
    const full = channels & ~(lanes<T>() - 1);
    for (let c = 0; c < full; c += lanes<T>()) {
      v128.store(to, v128.load(from));
      to += next; from += 16;
    }
    if (full < channels) v128.store(to, loadTail<T>(from, channels - full));
    return;
  }
  const columns = channels * repeat;
  for (let column = 0, c = 0, i = 0, lane = 0; column < columns; ++column) {
    store<T>(to + <usize>lane * sizeof<T>(), load<T>(from + <usize>c * sizeof<T>()));
    if (++lane == lanes<T>()) { lane = 0; to += next; }
    if (++i < inner) continue;
    i = 0;
    if (++c == channels) c = 0;
  }
}

/** Changes the sign of vector `index` of all records. */
export function negate<T>(records: usize, size: i32, index: i32, columns: i32): void {
  let p = records + 16 * index;
  for (let i = vectors<T>(columns); i > 0; --i) {
    v128.store(p, v128.neg<T>(v128.load(p)));
    p += 16 * size;
  }
}

/**
 * Rows per call of an inner walk: some 64 KiB of them. V8 does not replace code that runs, so a first call stays slow
 * until the walk ends; shorter blocks cost time on narrow rows.
 */
// @ts-ignore: decorator
@inline export function rowsPerBlock(step: usize): i32 {
  return max(<i32>(<usize>(64 << 10) / step), 1);
}
