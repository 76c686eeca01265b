import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Case, OPERATIONS, writeCase } from './cases.js';
import { Child } from './child.js';
import { type Effort, interleave, type Times } from './interleave.js';
import { type Errors, type Oracle, oracleOf } from './oracle.js';
import type { Layout, Operation } from './protocol.js';
import type { Side } from './sides.js';

/** The result of one side in one cell: its times, or the reason why there are none. */
export interface Outcome {
  readonly side: string;
  readonly times?: Times;
  /** Against the f64 oracle; absent for a copy. */
  readonly errors?: Errors;
  readonly note?: string;
  readonly missing?: string;
}

/** One row of the table. */
export interface Cell {
  readonly shape: string;
  readonly layout: Layout;
  readonly operation: Operation;
  readonly size: number;
  readonly outcomes: readonly Outcome[];
}

/** A side with its version, or with the reason why it does not take part. */
export interface Entry {
  readonly side: Side;
  readonly version?: string;
  readonly missing?: string;
}

/** Starts every side once to see which are installed. */
export async function rosterOf(sides: readonly Side[]): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const side of sides) {
    const child = new Child(side);
    try {
      entries.push({ side, version: (await child.hello()).version });
    } catch (error) {
      entries.push({ side, missing: (error as Error).message });
    }
    child.close();
  }
  return entries;
}

/** Measures all operations of a case, every side in a fresh process. */
export async function measureCase(
  roster: readonly Entry[], data: Case, directory: string, effort: Effort, progress: (what: string) => void,
): Promise<Cell[]> {
  writeCase(data, directory);
  const oracle = oracleOf(data);
  const children = new Map<string, Child>();
  for (const { side, missing } of roster) {
    if (missing) continue;
    const child = new Child(side);
    children.set(side.name, child);
    await child.hello();
  }
  const cells: Cell[] = [];
  for (const operation of OPERATIONS) {
    progress(`${data.name} ${data.layout} ${operation}`);
    const outcomes = await measureCell(roster, children, { data, oracle, directory, operation }, effort);
    cells.push({ shape: data.name, layout: data.layout, operation, size: data.size, outcomes });
  }
  for (const child of children.values()) child.close();
  return cells;
}

interface Question {
  readonly data: Case;
  readonly oracle: Oracle;
  readonly directory: string;
  readonly operation: Operation;
}

/** Verifies every side, then times the correct ones in turn. */
async function measureCell(
  roster: readonly Entry[], children: ReadonlyMap<string, Child>, question: Question, effort: Effort,
): Promise<Outcome[]> {
  const verified: Outcome[] = [];
  for (const { side, missing } of roster) {
    const child = children.get(side.name);
    verified.push(child ? await verify(side, child, question) : { side: side.name, missing: missing! });
  }
  const ready = verified.filter(({ missing }) => missing === undefined);
  const results = await interleave(
    ready.map(({ side }) => async (untimed, timed) => Number(await children.get(side)!.ask(`sample ${untimed} ${timed}`))),
    effort,
  );
  return verified.map((outcome) => {
    const result = results[ready.indexOf(outcome)];
    if (!result) return outcome;
    return result instanceof Error ? { side: outcome.side, missing: result.message } : { ...outcome, times: result };
  });
}

async function verify(side: Side, child: Child, { data, oracle, directory, operation }: Question): Promise<Outcome> {
  try {
    const answer = await child.ask(`prepare ${operation} ${data.layout} ${data.name} ${directory}`);
    if (answer.startsWith('unsupported ')) return { side: side.name, missing: answer.slice('unsupported '.length) };
    const note = answer.slice('ready '.length);
    const outcome = note ? { side: side.name, note } : { side: side.name };
    if (!side.bound) return outcome;
    const path = join(directory, 'result.f32');
    await child.ask(`write ${path}`);
    const errors = oracle.errors(operation, new Float32Array(new Uint8Array(readFileSync(path)).buffer));
    // Written so that NaN fails the comparison.
    const right = errors.values <= side.bound[operation] && errors.gradients <= side.bound.gradients;
    if (!right) return { side: side.name, missing: `wrong result (error ${Math.max(errors.values, errors.gradients).toExponential(0)})` };
    return { ...outcome, errors };
  } catch (error) {
    return { side: side.name, missing: (error as Error).message };
  }
}
