/**
 * Random calls on views of the memory, on tensors and on arrays outside, while tensors come and go. Every array has a mirror
 * outside of any memory, on which a second layer does the same; both are compared to the last bit after each call.
 */
import { describe, expect, it } from 'vitest';
import { BatchNorm, type ForwardContext, type Tensor } from '../../src/index.js';
import { expectSame } from '../growth.js';
import { arrayOf, COMBINATIONS, makeRuntime, maskOf, normal, RUNTIMES, random, shapeIn, sizeOf } from '../setup.js';

/** An array in memory, and its mirror. `uses`: contexts that hold it. */
interface Slot {
  readonly tensor: Tensor;
  readonly mirror: Float32Array;
  uses: number;
}

/** A forward whose backward is still to come. */
interface Pending {
  readonly actual: ForwardContext;
  readonly expected: ForwardContext;
  readonly ofTensors: boolean;
  readonly holds: readonly Slot[];
}

const CASES = COMBINATIONS.flatMap((combination) =>
  [[30, 5, 20], [3, 400, 2], [80, 31]].map((dimensions, i) => ({ ...combination, dimensions, seed: i + 1 })));

describe.each(CASES)('views at random in $kind $dtype $layout on $dimensions', ({ kind, dtype, layout, dimensions, seed }) => {
  const shape = shapeIn(layout, dimensions), size = sizeOf(shape), channels = dimensions[1]!, positions = size / channels;

  it.each(['none', 'relu'] as const)('are as good as arrays outside, activation %s', (activation) => {
    const runtime = makeRuntime(kind), uniform = random(seed), chance = (part: number) => uniform() < part;
    const oneOf = <T>(list: readonly T[]): T => list[Math.floor(uniform() * list.length)]!;
    const layer = (on: typeof runtime) => new BatchNorm(channels, { dtype, layout, activation, runtime: on });
    const bn = layer(runtime), plain = layer(RUNTIMES[kind]);
    const numbers = [1, 2, 3, 4].map((n) => normal(size, n + 4 * seed, 1, 2));
    const slots: Slot[] = [], pending: Pending[] = [], crowd: Tensor[] = [], buffers = new Set<ArrayBufferLike>();
    const place = runtime.tensor([positions]), masks = [1, 2].map((n) => maskOf(positions, n).fill(1, 0, 2));

    const add = (tensor: Tensor, mirror: Float32Array) => {
      const slot = { tensor, mirror, uses: 0 };
      slots.push(slot);
      return slot;
    };
    const fresh = () => arrayOf(dtype, oneOf(numbers)) as Float32Array;
    const make = () => {
      if (slots.length === 0 || chance(0.4)) {
        const data = fresh();
        return add(runtime.tensor(shape, { dtype, data }), data);
      }
      const { tensor, mirror } = oneOf(slots);
      return add(runtime.tensor(shape, { dtype, data: tensor.data }), mirror.slice());
    };
    /** An input: a view of a slot, or an array outside, each with its mirror. */
    const input = (): { slot?: Slot; actual: Float32Array; expected: Float32Array } => {
      if (chance(0.3)) {
        const values = fresh();
        return { actual: values, expected: values };
      }
      const slot = oneOf(slots);
      return { slot, actual: slot.tensor.data as Float32Array, expected: slot.mirror };
    };
    /** A slot to be written: none that a context holds, or that the call reads. */
    const output = (...read: (Slot | undefined)[]) => {
      const free = slots.filter((slot) => slot.uses === 0 && !read.includes(slot));
      return free.length > 0 && chance(0.7) ? oneOf(free) : undefined;
    };
    const maskOptions = () => {
      if (chance(0.6)) return [{}, {}];
      const mask = oneOf(masks);
      if (chance(0.3)) return [{ mask }, { mask }];
      const view = new Uint8Array(place.data.buffer, place.data.byteOffset, positions);
      view.set(mask);
      return [{ mask: view }, { mask }];
    };
    const remember = (ofTensors: boolean, ...held: (Slot | undefined)[]) => {
      const holds = held.filter((slot) => slot !== undefined);
      for (const slot of holds) slot.uses++;
      pending.push({ actual: bn.context!, expected: plain.context!, ofTensors, holds });
      if (pending.length > 5) forget(pending[0]!);
    };
    const forget = (call: Pending) => {
      pending.splice(pending.indexOf(call), 1);
      for (const slot of call.holds) slot.uses--;
    };

    const calls = {
      make,
      /** Takes memory away, or gives some back, so that any allocation may be the one for which it grows. */
      crowd() {
        if (crowd.length < 8) crowd.push(runtime.tensor([Math.floor(uniform() * 30_000)]));
        else for (const tensor of crowd.splice(0, 5)) tensor.dispose();
      },
      dispose() {
        const free = slots.filter(({ uses }) => uses === 0);
        if (free.length < 3) return;
        const slot = oneOf(free);
        slots.splice(slots.indexOf(slot), 1);
        slot.tensor.dispose();
      },
      forwardOfArrays() {
        const x = input(), residual = chance(0.4) ? input() : undefined, out = output(x.slot, residual?.slot), [mask, sameMask] = maskOptions();
        const given = out?.tensor.data as Float32Array | undefined;
        const y = bn.forward(x.actual, shape, { ...mask, ...(residual && { residual: residual.actual }), ...(given && { out: given }) });
        const expected = plain.forward(x.expected, shape, {
          ...sameMask, ...(residual && { residual: residual.expected }), ...(out && { out: out.mirror }),
        });
        expectSame(y, expected);
        remember(false, x.slot, out);
      },
      forwardOfTensors() {
        const x = oneOf(slots), residual = chance(0.4) ? oneOf(slots) : undefined, out = output(x, residual), [mask, sameMask] = maskOptions();
        const y = bn.forward(x.tensor, { ...mask, ...(residual && { residual: residual.tensor }), ...(out && { out: out.tensor }) });
        const expected = plain.forward(x.mirror, shape, {
          ...sameMask, ...(residual && { residual: residual.mirror }), ...(out && { out: out.mirror }),
        });
        remember(true, x, out ?? add(y, expected));
      },
      backward() {
        if (pending.length === 0) return;
        const call = oneOf(pending);
        if (call.ofTensors) {
          const dy = oneOf(slots), out = output(dy);
          const actual = bn.backward(dy.tensor, { context: call.actual, ...(out && { out: out.tensor }) });
          const expected = plain.backward(dy.mirror, { context: call.expected, ...(out && { out: out.mirror }) });
          expectSame({ ...actual, dx: actual.dx.data, dresidual: actual.dresidual?.data ?? null }, expected);
          if (out === undefined) add(actual.dx, expected.dx);
          if (actual.dresidual) add(actual.dresidual, expected.dresidual!);
        } else {
          const dy = input(), out = output(dy.slot), given = out?.tensor.data as Float32Array | undefined;
          const actual = bn.backward(dy.actual, { context: call.actual, ...(given && { out: given }) });
          expectSame(actual, plain.backward(dy.expected, { context: call.expected, ...(out && { out: out.mirror }) }));
        }
        if (chance(0.7)) forget(call);
      },
    };

    for (let i = 0; i < 3; i++) make();
    const names = ['make', 'crowd', 'crowd', 'dispose', 'forwardOfArrays', 'forwardOfArrays', 'forwardOfTensors', 'backward', 'backward'] as const;
    for (let step = 0; step < 150; step++) {
      calls[oneOf(names)]();
      while (slots.filter(({ uses }) => uses === 0).length > 12) calls.dispose();
      buffers.add(place.data.buffer);
      expectSame(bn.stateDict(), plain.stateDict());
      for (const { tensor, mirror } of slots) expectSame(tensor.data, mirror);
    }
    expect(buffers.size).toBeGreaterThan(3);
  });
});
