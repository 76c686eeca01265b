/**
 * Masks in memory: a byte for every vector of T along a plane, 16 times a number whose bit i is 1 where position i of the
 * vector does not count. That is the place of the vector of all bits or none in a table of them: a sixteenth of the
 * memory of f32 elements, so that the mask of a plane stays in the L1 cache until the next channel needs it. In words,
 * one instruction away from a vector, 32x64x112x112 took up to 1.4 times the plain call; it is 1.03 now.
 */
import { is, Masked, Rectified } from './tags';
import { above, lanes } from './vec';

/**
 * mask[o, v] = 16 * sum of 2^i over the positions i of vector v whose byte is 0
 *
 *   mask   [outer, ceil(inner / lanes)]  u8   written; may be bytes itself
 *   bytes  [outer, inner]                u8
 */
export function packMask<T>(mask: usize, bytes: usize, outer: i32, inner: i32): void {
  if (inner == 1) {
    packRows(mask, bytes, outer);
    return;
  }
  for (; outer > 0; --outer) {
    const end = bytes + inner, full = end - 15;
    while (bytes < full) {
      packSixteen<T>(mask, v128.load(bytes));
      mask += 16 / lanes<T>();
      bytes += 16;
    }
    while (bytes < end) {
      const n = min(<i32>(end - bytes), lanes<T>());
      let bits = 0;
      for (let i = 0; i < n; ++i) bits |= i32(load<u8>(bytes + i) == 0) << i;
      store<u8>(mask, bits << 4);
      mask += 1;
      bytes += n;
    }
  }
}

/** A position a row: one bit a byte. */
function packRows(mask: usize, bytes: usize, n: i32): void {
  const end = bytes + n, full = end - 15;
  while (bytes < full) {
    v128.store(mask, v128.and(v128.eq<i8>(v128.load(bytes), v128.splat<i8>(0)), v128.splat<i8>(16)));
    mask += 16; bytes += 16;
  }
  while (bytes < end) {
    store<u8>(mask, load<u8>(bytes) ? 0 : 16);
    mask += 1; bytes += 1;
  }
}

/** Sixteen positions: the bit of each in its byte, then sums of neighbours. */
// @ts-ignore: decorator
@inline function packSixteen<T>(mask: usize, bytes: v128): void {
  const bits = sizeof<T>() == 4 ? v128.splat<i32>(0x80402010) : v128.splat<i16>(0x2010);
  const pairs = i16x8.extadd_pairwise_i8x16_u(v128.and(v128.eq<i8>(bytes, v128.splat<i8>(0)), bits));
  if (sizeof<T>() == 8) {
    v128.store64_lane(mask, v128.narrow<i16>(pairs, pairs), 0);
  } else {
    const fours = v128.narrow<i32>(i32x4.extadd_pairwise_i16x8_u(pairs), pairs);
    v128.store32_lane(mask, i8x16.narrow_i16x8_u(fours, fours), 0);
  }
}

/** Bytes of the largest table, that of f32: a vector for each of 2^4 combinations of positions. */
export const TABLE: i32 = 16 << 4;

/** Writes the table for vectors of T. */
export function writeTable<T>(table: usize): void {
  const bit = sizeof<T>() == 4 ? i32x4(1, 2, 4, 8) : i64x2(1, 2);
  for (let i = 0; i < 1 << lanes<T>(); ++i) {
    const bits = v128.and(sizeof<T>() == 4 ? v128.splat<i32>(i) : v128.splat<i64>(i), bit);
    v128.store(table, sizeof<T>() == 4 ? v128.eq<i32>(bits, bit) : v128.eq<i64>(bits, bit));
    table += 16;
  }
}

/** All bits of the elements that do not count, from the byte of the mask at p. None without a mask. */
// @ts-ignore: decorator
@inline export function closedAt<M>(p: usize, table: usize): v128 {
  return is<M, Masked>() ? v128.load(table + <usize>load<u8>(p)) : v128.splat<i8>(0);
}

/** All bits where a whole row does not count: a position a byte. None without a mask. */
// @ts-ignore: decorator
@inline export function closedRow<M>(p: usize): v128 {
  return is<M, Masked>() ? v128.gt<i8>(v128.load_splat<i8>(p), v128.splat<i8>(0)) : v128.splat<i8>(0);
}

/** Whether position i of a row of the mask does not count. */
// @ts-ignore: decorator
@inline export function isClosed<T>(row: usize, i: u32): bool {
  const n = <u32>lanes<T>();
  return (<u32>load<u8>(row + i / n) >> (4 + i % n) & 1) == 1;
}

/** v, or 0 where the position does not count. */
// @ts-ignore: decorator
@inline export function kept<M>(v: v128, m: v128): v128 {
  return is<M, Masked>() ? v128.andnot(v, m) : v;
}

/** x - shift, or 0 where the position does not count. */
// @ts-ignore: decorator
@inline export function deviation<T, M>(x: v128, shift: v128, m: v128): v128 {
  return kept<M>(v128.sub<T>(x, shift), m);
}

/** dy where mask and ReLU let it pass; d is x - shift, a the scale and b minus the offset. */
// @ts-ignore: decorator
@inline export function passing<T, R, M>(dy: v128, d: v128, a: v128, b: v128, m: v128): v128 {
  return kept<M>(is<R, Rectified>() ? above<T>(dy, v128.mul<T>(d, a), b) : dy, m);
}
