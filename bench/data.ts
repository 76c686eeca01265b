/** Sums of four uniform numbers, which are roughly normal. The same for the same seed; fast enough for 25 million values. */
export function fill(length: number, seed: number, mean: number): Float32Array {
  const values = new Float32Array(length);
  let state = seed;
  // A scrambled counter (mulberry32). The low bits of a plain congruential generator repeat along a channel, and the
  // rounding errors of sums would repeat with them.
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32 - 0.5;
  };
  for (let i = 0; i < length; i++) values[i] = mean + 2 * (uniform() + uniform() + uniform() + uniform());
  return values;
}
