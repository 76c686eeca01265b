/**
 * What walks over rows share: short rows and tiny planes as wide rows, records of per-channel numbers, blocks of rows.
 *
 * Rows of three channels follow each other in memory: four of them together are one row of twelve columns, three whole
 * vectors. Planes of two or three values become columns in the same way. Per-channel numbers are repeated to match, and
 * sums of columns that belong to one channel are added up at the end.
 */

import { lanes, loadTail } from './vec';

/** Columns from which a row is walked by itself; several shorter rows are walked as one. See bench/NOTES.md. */
const WIDTH: i32 = 64;

/** Upper bound of the columns of a widened row: it exceeds WIDTH by less than four rows, of fewer than WIDTH columns each. */
export const WIDENED: i32 = 5 * WIDTH;

/** Columns per channel in the walk over rows; 0: the tensor is walked plane by plane. */
// @ts-ignore: decorator
@inline export function repeatOf(outer: i32, channels: i32, inner: i32, pitch: i32): i32 {
  if (inner != 1) return inner < 4 ? inner : 0;
  if (channels >= WIDTH || pitch != channels) return 1;
  // The fewest rows that fill whole vectors.
  const unit = channels & 1 ? 4 : channels & 2 ? 2 : 1;
  const repeat = (WIDTH + unit * channels - 1) / (unit * channels) * unit;
  return outer >= repeat ? repeat : 1;
}

/** Vectors that hold this many columns. */
// @ts-ignore: decorator
@inline export function vectors<T>(columns: i32): i32 {
  return (columns + lanes<T>() - 1) / lanes<T>();
}

/** Clears the records, of `size` vectors each, one per vector of columns. */
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
 * Writes per-channel numbers once per column, as vector `index` of records of `size` vectors. A walk then needs one pointer
 * for all coefficients: with one for each, a walk over two rows runs out of registers, and the gradient takes twice the time.
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
 * Rows per call of an inner walk, about 64 KiB. V8 does not replace running code, so a first call stays slow until its walk
 * ends; smaller blocks would cost time on narrow rows.
 */
// @ts-ignore: decorator
@inline export function rowsPerBlock(step: usize): i32 {
  return max(<i32>(<usize>(64 << 10) / step), 1);
}
