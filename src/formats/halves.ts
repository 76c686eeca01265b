/** Floats of 16 bits, as float32, which holds them exactly. */

/** IEEE 754 binary16: a sign, five bits of exponent, ten of fraction. */
export function halves(bits: ArrayLike<number>): Float32Array {
  return Float32Array.from(bits, half);
}

/** bfloat16: the upper half of a float32. */
export function brains(bits: ArrayLike<number>): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (value) => value << 16).buffer);
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}
