/** Sums of four uniform numbers, roughly normal: the same for the same seed, and fast enough for 25 million. */
export function fill(length: number, seed: number, mean: number): Float32Array {
  const values = new Float32Array(length);
  let state = seed;
  // A counter scrambled (mulberry32): the low bits of a plain congruential generator repeat along a channel, and then so
  // do the rounding errors of sums.
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32 - 0.5;
  };
  for (let i = 0; i < length; i++) values[i] = mean + 2 * (uniform() + uniform() + uniform() + uniform());
  return values;
}
