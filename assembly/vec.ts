/**
 * v128 as a short vector of T (f32 or f64).
 *
 * Lane numbers and memory offsets must be literals in WebAssembly, so a few cases are spelled out.
 */

import { is, Whole } from './tags';

/** Elements of T in one v128. */
// @ts-ignore: decorator
@inline export function lanes<T>(): i32 {
  return 16 / sizeof<T>();
}

/** The n elements at p, 0 < n < lanes, followed by zeros. Reads nothing after them. */
// @ts-ignore: decorator
@inline export function loadTail<T>(p: usize, n: i32): v128 {
  if (sizeof<T>() == 8 || n == 1) return v128.load_zero<T>(p);
  const v = v128.load64_zero(p);
  return n == 2 ? v : v128.load_lane<f32>(p, v, 2, 8);
}

/** Writes the first n lanes, 0 < n < lanes, and nothing after them. */
// @ts-ignore: decorator
@inline export function storeTail<T>(p: usize, v: v128, n: i32): void {
  if (sizeof<T>() == 8 || n == 1) {
    v128.store_lane<T>(p, v, 0);
  } else {
    v128.store64_lane(p, v, 0);
    if (n == 3) v128.store_lane<f32>(p, v, 2, 8);
  }
}

/** `loadTail` as a call, for walks over rows, which use it often: inlined, it would make the module a tenth larger. */
export function loadEnd<T>(p: usize, n: i32): v128 {
  return loadTail<T>(p, n);
}

/** `storeTail` as a call, for the same reason. */
export function storeEnd<T>(p: usize, v: v128, n: i32): void {
  storeTail<T>(p, v, n);
}

/** The vector at p (V: Whole), or the n elements there (V: End). */
// @ts-ignore: decorator
@inline export function loadPart<T, V>(p: usize, n: i32): v128 {
  return is<V, Whole>() ? v128.load(p) : loadEnd<T>(p, n);
}

/** Writes v (V: Whole), or its first n lanes (V: End). */
// @ts-ignore: decorator
@inline export function storePart<T, V>(p: usize, v: v128, n: i32): void {
  if (is<V, Whole>()) v128.store(p, v);
  else storeEnd<T>(p, v, n);
}

/** The sum of all lanes, in f64. */
// @ts-ignore: decorator
@inline export function sum<T>(v: v128): f64 {
  let pair = v;
  if (sizeof<T>() == 4) {
    const high = v128.shuffle<i64>(v, v, 1, 0);
    pair = f64x2.add(f64x2.promote_low_f32x4(v), f64x2.promote_low_f32x4(high));
  }
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

/** Additions per lane in T before the sum goes into f64, in `reduce`. */
export const CHAIN = 60;

/** The sum of four vectors. */
// @ts-ignore: decorator
@inline export function four<T>(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.add<T>(v128.add<T>(a, b), v128.add<T>(c, d));
}

/** The sum of the squares of four vectors. */
// @ts-ignore: decorator
@inline export function fourSquares<T>(a: v128, b: v128, c: v128, d: v128): v128 {
  return four<T>(v128.mul<T>(a, a), v128.mul<T>(b, b), v128.mul<T>(c, c), v128.mul<T>(d, d));
}

/** Adds the lane sums of one channel, the first two vectors of its record, to two f64, and clears them. */
export function spill<T>(first: usize, second: usize, record: usize): void {
  spillOne<T>(first, record);
  spillOne<T>(second, record + 16);
}

/** Adds the lane sums at `from` to one f64, and clears them. */
// @ts-ignore: decorator
@inline function spillOne<T>(total: usize, from: usize): void {
  const value = sum<T>(v128.load(from));
  v128.store(from, v128.splat<T>(0));
  addTotal<T>(total, value, from);
}

/** Adds value to the f64 at total. In f64, what that loses is added to the lane sums at `rest` (Kahan 1965). */
// @ts-ignore: decorator
@inline export function addTotal<T>(total: usize, value: f64, rest: usize): void {
  const before = load<f64>(total), after = before + value;
  store<f64>(total, after);
  if (sizeof<T>() == 8) store<f64>(rest, load<f64>(rest) + finite(value - (after - before)));
}

/** v, or 0 if it is not finite. */
// @ts-ignore: decorator
@inline function finite(v: f64): f64 {
  return v - v == 0 ? v : 0;
}

/** Adds lane i of v to the f64 at total + 8 i. Returns what is left of v: 0, or in f64 what the additions have lost. */
// @ts-ignore: decorator
@inline function addTo<T>(total: usize, v: v128): v128 {
  if (sizeof<T>() == 8) {
    const before = v128.load(total), after = f64x2.add(before, v), lost = f64x2.sub(v, f64x2.sub(after, before));
    v128.store(total, after);
    return v128.and(lost, f64x2.eq(f64x2.sub(lost, lost), f64x2.splat(0)));
  } else {
    const high = v128.shuffle<i64>(v, v, 1, 0);
    v128.store(total, f64x2.add(v128.load(total), f64x2.promote_low_f32x4(v)));
    v128.store(total, f64x2.add(v128.load(total, 16), f64x2.promote_low_f32x4(high)), 16);
    return v128.splat<T>(0);
  }
}

/** Adds the first n lanes of v to the f64s at total, 0 < n < lanes. Returns what `addTo` does. */
// @ts-ignore: decorator
@inline function addTailTo<T>(total: usize, v: v128, n: i32): v128 {
  if (sizeof<T>() == 8) {
    const value = f64x2.extract_lane(v, 0), before = load<f64>(total), after = before + value;
    store<f64>(total, after);
    return f64x2.replace_lane(f64x2.splat(0), 0, finite(value - (after - before)));
  } else {
    store<f64>(total, load<f64>(total) + <f64>f32x4.extract_lane(v, 0));
    if (n > 1) store<f64>(total, load<f64>(total, 8) + <f64>f32x4.extract_lane(v, 1), 8);
    if (n > 2) store<f64>(total, load<f64>(total, 16) + <f64>f32x4.extract_lane(v, 2), 16);
    return f32x4.splat(0);
  }
}

/**
 * g where v is above limit or one of them is NaN, else 0. For the sign of a ReLU's input, v is (x - shift) * scale and limit
 * is minus the offset. It compares instead of adding: rounding cannot change the sign, and adders are the bottleneck (a
 * backward through a ReLU takes 1.2 times as long as the plain one instead of 1.4).
 */
// @ts-ignore: decorator
@inline export function above<T>(g: v128, v: v128, limit: v128): v128 {
  return v128.andnot(g, v128.le<T>(v, limit));
}

/** g where y is above 0 or is NaN, else 0. */
// @ts-ignore: decorator
@inline export function rectified<T>(g: v128, y: v128): v128 {
  return v128.andnot(g, v128.le<T>(y, v128.splat<T>(0)));
}

/**
 * Adds the lane sums, the first two vectors of every record, to two rows of f64, and clears them. A record has `size`
 * vectors. There is one per vector of columns, `full` bytes of them, and one for the `rest` of the columns, if any.
 */
export function spillRow<T>(first: usize, second: usize, record: usize, size: i32, full: usize, rest: i32): void {
  for (; full; full -= 16) {
    v128.store(record, addTo<T>(first, v128.load(record)));
    v128.store(record, addTo<T>(second, v128.load(record, 16)), 16);
    first += 8 * lanes<T>();
    second += 8 * lanes<T>();
    record += 16 * size;
  }
  if (rest) {
    v128.store(record, addTailTo<T>(first, v128.load(record), rest));
    v128.store(record, addTailTo<T>(second, v128.load(record, 16), rest), 16);
  }
}
