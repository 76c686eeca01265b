/**
 * What a rank gives to a collective: terms that all ranks must agree on, and doubles of its own.
 *
 * u32 length of the text, u32 1 where the rank has failed, the text (JSON of the terms, padded with spaces to a multiple of 8
 * bytes), doubles; all little-endian. Texts that agree are equal byte by byte, so they are read only where they do not.
 */
import { messageOf, ranks } from './group.js';

/** What ranks must agree on, by the name that an error gives it; operation and layer first. */
export interface Terms {
  readonly operation: string;
  readonly layer?: string | number | undefined;
  readonly [name: string]: string | number | boolean | null | undefined;
}

const HEADER = 8;
const DOUBLE = 8;
const encoder = new TextEncoder();

export function encodeRecord(terms: Terms, body: readonly ArrayLike<number>[] = [], failed = false): Uint8Array {
  const text = encoder.encode(JSON.stringify(terms));
  const start = HEADER + DOUBLE * Math.ceil(text.length / DOUBLE);
  const bytes = new Uint8Array(start + DOUBLE * body.reduce((total, { length }) => total + length, 0)), view = new DataView(bytes.buffer);
  view.setUint32(0, start - HEADER, true);
  view.setUint32(4, failed ? 1 : 0, true);
  bytes.fill(0x20, HEADER, start);
  bytes.set(text, HEADER);
  let offset = start;
  for (const values of body) {
    for (let i = 0; i < values.length; i++, offset += DOUBLE) view.setFloat64(offset, values[i]!, true);
  }
  return bytes;
}

/** A rank that failed before it had anything to give. */
export function encodeFailure(terms: Terms, error: unknown): Uint8Array {
  return encodeRecord({ ...terms, error: messageOf(error) }, [], true);
}

/**
 * The doubles of each rank, once all ranks agree on the terms.
 *
 * @throws {Error} with the same message on all ranks: a rank has failed, or ranks disagree.
 */
export function bodiesOf(records: readonly Uint8Array[]): Float64Array[] {
  const views = records.map(viewOf), starts = views.map(startOf);
  const failed = views.flatMap((view, rank) => (view.getUint32(4, true) === 1 ? [rank] : []));
  if (failed.length > 0) {
    throw new Error(failed.map((rank) => {
      const { error, ...terms } = termsOf(records[rank]!);
      return `rank ${rank} has failed in ${nameOf(terms)}: ${error}`;
    }).join('; '));
  }
  if (records.some((record, rank) => !sameText(records[0]!, record, starts[0]!, starts[rank]!))) {
    throw new Error(disagreement(records.map(termsOf)));
  }
  return views.map((view, rank) => {
    const start = starts[rank]!, values = new Float64Array((view.byteLength - start) / DOUBLE);
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat64(start + DOUBLE * i, true);
    return values;
  });
}

/** Whether all ranks are in the same call of the same layer. */
export function areInStep(records: readonly Uint8Array[]): boolean {
  return new Set(records.map((record) => nameOf(termsOf(record)))).size === 1;
}

/** "forward of layer 3" */
export function nameOf({ operation, layer }: Terms): string {
  return layer === undefined ? operation : `${operation} of layer ${layer}`;
}

function sameText(one: Uint8Array, other: Uint8Array, end: number, otherEnd: number): boolean {
  if (end !== otherEnd) return false;
  for (let i = HEADER; i < end; i++) if (one[i] !== other[i]) return false;
  return true;
}

function viewOf(record: Uint8Array): DataView {
  return new DataView(record.buffer, record.byteOffset, record.byteLength);
}

/** Where the doubles of a rank start. @throws {Error} its bytes are not a record. */
function startOf(view: DataView, rank: number): number {
  const start = view.byteLength < HEADER ? Infinity : HEADER + view.getUint32(0, true);
  if (start > view.byteLength || start % DOUBLE > 0) throw new Error(`rank ${rank} has sent what is not a record of batchnorm-wasm/sync`);
  return start;
}

function termsOf(record: Uint8Array, rank = 0): Terms {
  return JSON.parse(new TextDecoder().decode(record.subarray(HEADER, startOf(viewOf(record), rank)))) as Terms;
}

/** Who has what, of the first thing that ranks disagree on. */
function disagreement(all: readonly Terms[]): string {
  const calls = sentence(all.map(nameOf), '');
  if (calls) return `ranks disagree on what comes next: ${calls}`;
  for (const name of new Set(all.flatMap(Object.keys))) {
    const values = sentence(all.map((terms) => JSON.stringify(terms[name] ?? null)), name);
    if (values) return `ranks disagree in ${nameOf(all[0]!)}: ${values}`;
  }
  return `ranks disagree in ${nameOf(all[0]!)}`;
}

/** "eps 0.001 on rank 2, 0.00001 on ranks 0 and 1"; empty where all are the same. */
function sentence(values: readonly string[], name: string): string {
  const distinct = [...new Set(values)];
  if (distinct.length === 1) return '';
  return `${name} ${distinct.map((value) =>
    `${value} on ${ranks(values.flatMap((each, rank) => (each === value ? [rank] : [])))}`).join(', ')}`.trim();
}
