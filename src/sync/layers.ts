/** What sync remembers of layers: their numbers in a group, and which context is whose. */
import { isCount, wrongKind } from '../checks.js';
import type { BatchNorm, ForwardContext } from '../index.js';
import type { Group } from './group.js';
import type { Lasting, Values } from './operands.js';

/** A forward that all ranks made together. */
export interface Origin {
  readonly group: Group;
  readonly layer: string | number;
  /** How many such forwards the group had made before it: that of a backward must be the same on all ranks. */
  readonly number: number;
  /** What the context keeps by reference: the input, and the output, which a ReLU after a residual needs. */
  readonly x: Lasting<Values>;
  readonly y: Lasting<Values>;
}

interface Members {
  readonly numbers: WeakMap<BatchNorm, number>;
  layers: number;
  forwards: number;
}

const groups = new WeakMap<Group, Members>();
const origins = new WeakMap<ForwardContext, Origin>();

function membersOf(group: Group): Members {
  let members = groups.get(group);
  if (members === undefined) {
    members = { numbers: new WeakMap(), layers: 0, forwards: 0 };
    groups.set(group, members);
  }
  return members;
}

/**
 * The name that was given, or a number in the order in which layers first went through the group, from 0. A number is taken by
 * `remember`, when all ranks have gone through: a call that failed on one of them must not set their numbers apart.
 */
export function nameOfLayer(group: Group, bn: BatchNorm, given: unknown): string | number {
  const { numbers, layers } = membersOf(group);
  return isName(given) ? given : numbers.get(bn) ?? layers;
}

/** A forward has gone through on all ranks. */
export function remember(bn: BatchNorm, group: Group, layer: string | number, x: Lasting<Values>, y: Lasting<Values>): void {
  const members = membersOf(group);
  if (!members.numbers.has(bn)) members.numbers.set(bn, members.layers++);
  origins.set(bn.context!, { group, layer, number: members.forwards++, x, y });
}

export function originOf(context: ForwardContext): Origin | undefined {
  return origins.get(context);
}

function isName(value: unknown): value is string | number {
  return isCount(value) || (typeof value === 'string' && value !== '');
}

/** @throws {TypeError} a name that is given is neither a string nor a number. */
export function checkName(value: unknown): void {
  if (value !== undefined && !isName(value)) throw wrongKind('layer', 'a name or a number', value);
}
