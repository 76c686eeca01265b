/**
 * The protocol that a side of the benchmark speaks on standard input and output, one line per message. The Python and C++
 * sides implement it too.
 *
 *     (start)                                        -> hello NAME VERSION
 *     prepare OPERATION LAYOUT SHAPE DIRECTORY       -> ready [NOTE] | unsupported REASON
 *     write PATH                                     -> written      one call; y, or dx, dweight and dbias as raw float32
 *     sample UNTIMED TIMED                           -> MILLISECONDS per timed call; the untimed ones come first
 *     quit
 *
 * SHAPE is channels-first in either layout, such as 8x64x56x56. DIRECTORY holds x, dy, weight, bias, mean and variance as
 * raw float32 in `x.f32` and so on, with x and dy in LAYOUT. The answer to any failure is `error REASON`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export type Layout = 'channels-first' | 'channels-last';
export type Operation = 'eval' | 'train' | 'backward';

/** A case as a side sees it. */
export interface Task {
  readonly operation: Operation;
  readonly layout: Layout;
  /** In the order of the layout. */
  readonly shape: readonly number[];
  readonly channels: number;
  /** One of the arrays of the case. */
  read(name: 'x' | 'dy' | 'weight' | 'bias' | 'mean' | 'variance'): Float32Array;
}

/** A task that is ready to run. */
export interface Prepared {
  /** A remark for the reader of the table. */
  readonly note?: string;
  run(): unknown;
  /** The results of the latest run: y, or dx, dweight and dbias. */
  results(): readonly ArrayLike<number>[] | Promise<readonly ArrayLike<number>[]>;
  dispose?(): void;
}

export interface Implementation {
  readonly name: string;
  readonly version: string;
  prepare(task: Task): Prepared | Promise<Prepared>;
}

/** Thrown by `prepare` if an implementation does not support the task. */
export class Unsupported extends Error {}

/** Answers until `quit` or the end of input. */
export async function serve({ name, version, prepare }: Implementation): Promise<void> {
  const answer = (line: string) => process.stdout.write(`${line.replaceAll('\n', ' ')}\n`);
  // The output of libraries must not be mistaken for an answer.
  console.log = console.info = console.error;
  answer(`hello ${name} ${version}`);
  let prepared: Prepared | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(' ');
    if (command === 'quit') break;
    try {
      if (command === 'prepare') {
        prepared?.dispose?.();
        prepared = undefined;
        prepared = await prepare(parseTask(words));
        answer(`ready ${prepared.note ?? ''}`);
      } else if (!prepared) {
        throw new Error(`expected prepare first, got ${command}`);
      } else if (command === 'write') {
        await prepared.run();
        writeFileSync(words.join(' '), Buffer.concat((await prepared.results()).map(bytes)));
        answer('written');
      } else if (command === 'sample') {
        await repeat(prepared, Number(words[0]));
        answer(String((await repeat(prepared, Number(words[1]))) / Number(words[1])));
      } else {
        throw new Error(`expected prepare, write, sample or quit, got ${command}`);
      }
    } catch (error) {
      answer(`${error instanceof Unsupported ? 'unsupported' : 'error'} ${error instanceof Error ? error.message : error}`);
    }
  }
  process.exit(0);
}

function parseTask([operation, layout, dimensions, ...path]: string[]): Task {
  const [n = 0, channels = 0, ...positions] = dimensions!.split('x').map(Number);
  return {
    operation: operation as Operation,
    layout: layout as Layout,
    shape: layout === 'channels-first' ? [n, channels, ...positions] : [n, ...positions, channels],
    channels,
    read(name) {
      const { buffer } = new Uint8Array(readFileSync(`${path.join(' ')}/${name}.f32`));
      return new Float32Array(buffer);
    },
  };
}

/** Milliseconds for `times` calls. Awaits only calls that return a promise: awaiting costs a microsecond. */
async function repeat({ run }: Prepared, times: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < times; i++) {
    const pending = run();
    if (pending instanceof Promise) await pending;
  }
  return performance.now() - start;
}

function bytes(values: ArrayLike<number>): Uint8Array {
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
}
