/** The bytes of a safetensors file of tensors of any dtype. */

/** A tensor: its dtype, its shape (a list of its length if not given), and its values. */
export type Entry = readonly [dtype: string, values: readonly number[], shape?: readonly number[]];

const SIZES: Record<string, number> = {
  F64: 8, I64: 8, U64: 8, F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2, I16: 2, U16: 2, I8: 1, U8: 1, BOOL: 1,
};

export function safetensorsOf(entries: Readonly<Record<string, Entry>>): Uint8Array {
  const header: Record<string, object> = {};
  let size = 0;
  for (const [name, [dtype, values, shape = [values.length]]] of Object.entries(entries)) {
    const end = size + values.length * SIZES[dtype]!;
    header[name] = { dtype, shape, data_offsets: [size, end] };
    size = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header)), bytes = new Uint8Array(8 + text.length + size);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const [dtype, values] of Object.values(entries)) {
    for (const value of values) {
      put(view, at, dtype, value);
      at += SIZES[dtype]!;
    }
  }
  return bytes;
}

function put(view: DataView, at: number, dtype: string, value: number): void {
  switch (dtype) {
    case 'F64': view.setFloat64(at, value, true); break;
    case 'F32': view.setFloat32(at, value, true); break;
    case 'F16': view.setUint16(at, halfOf(value), true); break;
    case 'BF16': view.setUint16(at, upperHalfOf(value), true); break;
    case 'I64': view.setBigInt64(at, BigInt(value), true); break;
    case 'U64': view.setBigUint64(at, BigInt(value), true); break;
    case 'I32': view.setInt32(at, value, true); break;
    case 'U32': view.setUint32(at, value, true); break;
    case 'I16': view.setInt16(at, value, true); break;
    case 'U16': view.setUint16(at, value, true); break;
    case 'I8': view.setInt8(at, value); break;
    default: view.setUint8(at, value);
  }
}

/** The bits of the nearest binary16, from the largest down: for a few values that is fast enough. */
export function halfOf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0, size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size || 2 ** -24)), -14), fraction = size / 2 ** (exponent - 10);
  const rounded = Math.round(fraction) - (fraction % 1 === 0.5 && Math.round(fraction) % 2 === 1 ? 1 : 0);
  return sign | (rounded < 1024 ? rounded : ((exponent + 15) << 10) + (rounded - 1024));
}

/** The upper half of a float32: bfloat16 without rounding. */
function upperHalfOf(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint16(0);
}
