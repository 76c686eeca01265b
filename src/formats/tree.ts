/** Nested objects, of arrays as a flat list. */
import { fromJson } from '../lists.js';

/** Levels of a file's objects: a stack has room for some thousand. */
export const MAXIMUM_DEPTH = 64;

/** @throws {RangeError} more levels than any file has. */
export function checkDepth(name: string, depth: number): void {
  if (depth > MAXIMUM_DEPTH) throw new RangeError(`"${name}" expected ${MAXIMUM_DEPTH} levels at most, got more`);
}

/** The arrays of nested objects or Maps by their paths, 'a/b/c'. */
export function leavesOf(tree: unknown): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  const visit = (value: unknown, path: string, depth: number) => {
    checkDepth('weights', depth);
    if (isLeaf(value)) {
      leaves.set(path, value);
      return;
    }
    const entries = value instanceof Map ? value : Object.entries(value as object);
    for (const [key, child] of entries) visit(child, path === '' ? key : `${path}/${key}`, depth + 1);
  };
  visit(tree, '', 0);
  return leaves;
}

/** An array of numbers, or what JSON makes of one; an object with keys 0, 1, ... may also be a branch of arrays. */
function isLeaf(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  const list = fromJson(value) as { length?: unknown; 0?: unknown };
  return typeof list.length === 'number' && (list === value || typeof list[0] !== 'object' || list[0] === null);
}
