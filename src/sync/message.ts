/** Messages of a group whose engine carries nothing but messages. */
import { digest } from './digest.js';

/**
 * hello: who I am and whom I have heard. welcome: the same of a rank that has heard enough, so that nobody answers it. part: what
 * a rank gives to a collective, or a fragment of it. abort: why the group is over. leave: no part from this sequence number on.
 */
export const KINDS = ['hello', 'welcome', 'part', 'abort', 'leave'] as const;
export type Kind = (typeof KINDS)[number];

export interface Message {
  readonly kind: Kind;
  readonly rank: number;
  readonly size: number;
  /** A random number of the process that sends. */
  readonly incarnation: number;
  /** A digest of all incarnations, so that messages of an earlier run are known as such; 0 before. */
  readonly session: number;
  /** Of the collective, from 0. */
  readonly sequence: number;
  readonly fragment: number;
  readonly fragments: number;
  readonly payload: Uint8Array;
}

/** "BNS" and the version, in the order of the bytes. */
const MAGIC = 0x01534e42;
/** Bytes of a message without its payload. */
export const OVERHEAD = 48;

export function encodeMessage({ kind, rank, size, incarnation, session, sequence, fragment, fragments, payload }: Message): Uint8Array {
  const bytes = new Uint8Array(OVERHEAD + payload.length), view = new DataView(bytes.buffer);
  [MAGIC, KINDS.indexOf(kind), rank, size, fragment, fragments].forEach((value, i) => { view.setUint32(4 * i, value, true); });
  [incarnation, session, sequence].forEach((value, i) => { view.setFloat64(24 + 8 * i, value, true); });
  bytes.set(payload, OVERHEAD);
  return bytes;
}

/** null for what is not a message of this package and version. The payload is a view. */
export function decodeMessage(bytes: Uint8Array): Message | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < OVERHEAD || view.getUint32(0, true) !== MAGIC) return null;
  const u32 = (at: number) => view.getUint32(at, true), f64 = (at: number) => view.getFloat64(at, true);
  const kind = KINDS[u32(4)], rank = u32(8), size = u32(12), fragment = u32(16), fragments = u32(20);
  if (kind === undefined || rank >= size || fragment >= fragments) return null;
  const payload = bytes.subarray(OVERHEAD);
  return { kind, rank, size, incarnation: f64(24), session: f64(32), sequence: f64(40), fragment, fragments, payload };
}

export function newIncarnation(): number {
  // Never 0, which stands for a rank that nobody has heard.
  return digest(crypto.getRandomValues(new Uint32Array(4))) + 1;
}

export function doublesOf(payload: Uint8Array): Float64Array {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return Float64Array.from({ length: payload.length >>> 3 }, (_, i) => view.getFloat64(8 * i, true));
}

export function bytesOf(doubles: Float64Array): Uint8Array {
  const bytes = new Uint8Array(8 * doubles.length), view = new DataView(bytes.buffer);
  doubles.forEach((value, i) => { view.setFloat64(8 * i, value, true); });
  return bytes;
}
