/** The results as Markdown. */
import { BYTES, OPERATIONS } from './cases.js';
import type { FirstCall, Held } from './fresh.js';
import type { Cell, Outcome } from './measure.js';
import type { Operation } from './protocol.js';
import { type Machine, outcomeOf, type Results, ratio, type Summary } from './results.js';
import { OURS } from './sides.js';

const TITLES: Record<Operation, string> = { eval: 'Eval', train: 'Training forward', backward: 'Backward' };

export function markdown({ machine, threads, sides, cells, firstCalls, memory }: Results): string {
  const present = sides.filter(({ missing }) => !missing);
  return [
    '# Benchmark', machineLine(machine),
    `${inThreads(threads)}, float32, the same data for all. Every result is checked against float64 before it is timed. Ratios are ` +
    `times as multiples of those of ${OURS} with tensors in the same run: above 1 is slower. Errors are those of y per unit ` +
    'of weight, and of dx relative to max(1, |dx|).',
    summaryTable(sides, cells.length),
    ...OPERATIONS.flatMap((operation) => [
      `## ${TITLES[operation]}`,
      'Median ms, ratio; least – most ms; error.',
      operationTable(cells.filter((cell) => cell.operation === operation), present),
    ]),
    '## First call', 'Typed arrays in a fresh process, ms; medians of five.', firstCallTable(firstCalls),
    '## Memory', 'Bytes that stay allocated after a forward and a backward, beyond inputs, outputs and parameters.', memoryTable(memory),
  ].join('\n\n').concat('\n');
}

/** How many threads, at the start of a sentence. Typed arrays and plain TypeScript always have one. */
export function inThreads(threads: number): string {
  return threads === 1 ? 'One thread' : `${threads} threads (typed arrays and plain TypeScript: one)`;
}

export function machineLine({ cpu, cores, system, node, date }: Machine): string {
  return `${cpu}, ${cores} cores, ${system}, Node ${node}, ${date}.`;
}

/** One line per side: its name, and its speed and accuracy over all cells. */
export function summaryTable(sides: readonly Summary[], cells: number): string {
  return table(
    ['', 'what', 'version', ...OPERATIONS.map((operation) => `${operation}, ratio`), 'cells', 'largest error'],
    sides.map(({ name, about, version, missing, ratios, cells: done, error }) => [
      name, about, ...(missing
        ? [missing, '', '', '', '', '']
        : [
          version ?? '', ...OPERATIONS.map((operation) => ratios[operation]?.toFixed(2) ?? 'none'), `${done} of ${cells}`,
          error?.toExponential(0) ?? '',
        ]),
    ]),
  );
}

function operationTable(cells: readonly Cell[], sides: readonly Summary[]): string {
  return table(
    ['shape', 'layout', 'GB/s', ...sides.map(({ name }) => name)],
    cells.map((cell) => [
      cell.shape, cell.layout, gigabytesPerSecond(cell),
      ...sides.map(({ name }) => described(cell, outcomeOf(cell, name)!)),
    ]),
  );
}

/** Throughput of this package with tensors. */
export function gigabytesPerSecond({ size, operation, outcomes }: Cell): string {
  const times = outcomes.find(({ side }) => side === OURS)?.times;
  return times ? ((size * BYTES[operation]) / times.median / 1e6).toFixed(1) : '';
}

function described(cell: Cell, outcome: Outcome): string {
  const { times, errors, note, missing } = outcome;
  if (!times) return missing!;
  const lines = [`**${digits(times.median)}** ${ratio(cell, outcome)?.toFixed(2) ?? ''}`, `${digits(times.least)} – ${digits(times.most)}`];
  if (errors) lines.push(errors.values.toExponential(0));
  if (note) lines.push(note);
  return lines.join('<br>');
}

function firstCallTable(calls: readonly FirstCall[]): string {
  return table(
    ['shape', 'operation', 'import', 'first call'],
    calls.map(({ shape, operation, load, call }) => [shape, operation, digits(load), digits(call)]),
  );
}

function memoryTable(memory: readonly Held[]): string {
  return table(
    ['shape', 'layout', 'values', 'WebAssembly memory', 'JavaScript', 'together', 'allowed'],
    memory.map(({ shape, layout, kind, wasm, heap, limit }) => [
      shape, layout, kind, ...[wasm, heap, wasm + heap].map(kilobytes), `${kilobytes(limit)}${wasm + heap > limit ? ', **exceeded**' : ''}`,
    ]),
  );
}

const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(0)} kB`;

export function digits(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(2) : ms.toPrecision(2);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
