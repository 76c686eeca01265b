/** Arguments that lie, change while they are read, or cannot be read: a TypeError that names them, and nothing has changed. */
import { describe, expect, it } from 'vitest';
import type { BatchNorm } from '../../src/index.js';
import { everything, KINDS, RUNTIMES } from '../setup.js';
import { arraysOf, CALLS, IMPOSTORS, layer } from './calls.js';

type Run = (given: Record<string, unknown>, options: Record<string, unknown>, bn: BatchNorm) => unknown;

const NONE = (): Record<string, unknown> => ({});

/** The same elements in an array that says something else of itself wherever it can. */
function lying(array: Float32Array): Float32Array {
  const Type = array.constructor as Float32ArrayConstructor;
  const Subclass = class extends Type {
    static get [Symbol.species](): never { throw new Error('species'); }
    override get length() { return 1e6; }
    override get byteOffset() { return 8; }
    override get byteLength() { return 4e6; }
    override get buffer() { return new ArrayBuffer(4e6) as never; }
    override subarray(): never { throw new Error('subarray'); }
    override slice(): never { throw new Error('slice'); }
    override set(): never { throw new Error('set'); }
    override fill(): never { throw new Error('fill'); }
    override [Symbol.iterator](): never { throw new Error('iterator'); }
  };
  return new Subclass(Type.from(array).buffer);
}

/** What is in an array, whatever it says of itself. */
function elementsOf(array: Float32Array): number[] {
  const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'buffer')!;
  return Array.from(new Float32Array(get!.call(array)));
}

describe.each(KINDS)('on %s', (kind) => {
  const runtime = RUNTIMES[kind];

  describe.each(Object.entries(CALLS))('%s()', (_, { given, options = NONE, run: loosely }) => {
    const run = loosely as Run;
    const names = [...arraysOf(given(runtime)), ...arraysOf(options(runtime))].map(([name]) => name);

    it.each(names.flatMap((name) => Object.keys(IMPOSTORS).map((impostor) => [name, impostor] as const)))('refuses for %s %s', (name, impostor) => {
      const bn = layer(runtime), valid = given(runtime), chosen = options(runtime), owner = name in valid ? valid : chosen;
      const arrays = [...arraysOf(valid), ...arraysOf(chosen)].map(([, array]) => array);
      const all = () => ({ ...everything(bn), memory: runtime.bytesInUse, arrays: arrays.map((array) => Array.from(array)) });
      const before = all(), call = () => run(valid, chosen, bn);
      owner[name] = IMPOSTORS[impostor]!(owner[name] as Float32Array);
      expect(call).toThrow(TypeError);
      expect(call).toThrow(`"${name.split('.')[0]}`);
      expect(all()).toEqual(before);
    });

    it('reads every option once', () => {
      const bn = layer(runtime), chosen = options(runtime), reads: Record<string, number> = {};
      for (const [name, value] of Object.entries(chosen)) {
        Object.defineProperty(chosen, name, { enumerable: true, get: () => {
          reads[name] = (reads[name] ?? 0) + 1;
          return value;
        } });
      }
      run(given(runtime), chosen, bn);
      expect(reads).toEqual(Object.fromEntries(Object.keys(chosen).map((name) => [name, 1])));
    });

    it('refuses options that cannot be read', () => {
      if (Object.keys(options(runtime)).length === 0) return;
      const bn = layer(runtime), before = everything(bn), { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      expect(() => run(given(runtime), proxy, bn)).toThrow(/\(\) expected an object of options, got an object that cannot be read$/);
      expect(everything(bn)).toEqual(before);
    });

    it.each(Object.keys(options(runtime)))('refuses what is detached when %s is read', (name) => {
      const bn = layer(runtime), valid = given(runtime), chosen = options(runtime), value = chosen[name];
      const [of, array] = arraysOf(valid)[0]!, before = everything(bn);
      Object.defineProperty(chosen, name, { enumerable: true, get: () => {
        // Browsers refuse to transfer what has been transferred.
        if (array.buffer.byteLength > 0) structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
        return value;
      } });
      const call = () => run(valid, chosen, bn);
      expect(call).toThrow(/expected/);
      expect(call).toThrow(of);
      expect(everything(bn)).toEqual(before);
      expect(runtime.bytesInUse).toBe(0);
    });

    it('takes a subclass by its elements, whatever it says of itself', () => {
      const results = [false, true].map((lies) => {
        const bn = layer(runtime), valid = given(runtime), chosen = options(runtime);
        if (lies) for (const some of [valid, chosen]) for (const [name, array] of arraysOf(some)) some[name] = lying(array);
        const result = run(valid, chosen, bn) as object, out = chosen.out as Float32Array | undefined;
        if (out) expect(result === out || (result as { dx: unknown }).dx === out).toBe(true);
        return [bn.stateDict(), out ? elementsOf(out) : result];
      });
      expect(results[1]).toEqual(results[0]);
    });
  });
});
