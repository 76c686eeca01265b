import { describe, expect, it } from 'vitest';
import { ALIGNMENT, BufferMemory, FirstFit, type Memory, PAGE, SMALL, SMALL_BYTES } from '../../src/runtime/memory.js';
import { random } from '../setup.js';

const START = SMALL + SMALL_BYTES;

/** Memories of both kinds, with an upper bound in pages that only the first enforces by itself. */
const MEMORIES: Record<string, (maximum: number) => Memory> = {
  WebAssembly: (maximum) => new WebAssembly.Memory({ initial: 1, maximum }),
  heap: () => new BufferMemory(1),
};

describe.each(Object.keys(MEMORIES))('allocator over %s memory', (name) => {
  const make = (pages = 100) => new FirstFit(MEMORIES[name]!(pages), pages * PAGE);

  it('hands out aligned addresses, and never 0', () => {
    const allocator = make();
    for (const bytes of [0, 1, 63, 64, 65, 1000]) {
      const at = allocator.allocate(bytes);
      expect(at).toBeGreaterThan(0);
      expect(at % ALIGNMENT).toBe(0);
    }
  });

  it('uses freed blocks again and joins neighbours', () => {
    const allocator = make();
    const [a, b, c] = [allocator.allocate(128), allocator.allocate(128), allocator.allocate(128)] as const;
    allocator.allocate(64);
    allocator.free(a);
    allocator.free(c);
    allocator.free(b);
    expect(allocator.allocate(384)).toBe(a);
  });

  it('keeps blocks apart and content in place through random use and growth', () => {
    const allocator = make(), uniform = random(1), live = new Map<number, { bytes: number; mark: number }>();
    for (let step = 0; step < 3000; step++) {
      if (uniform() < 0.55 || live.size === 0) {
        const bytes = 1 + Math.floor(uniform() * 8000), mark = step % 251;
        const at = allocator.allocate(bytes);
        new Uint8Array(allocator.memory.buffer, at, bytes).fill(mark);
        live.set(at, { bytes, mark });
        if (live.size < 200) continue;
      }
      const [at, { bytes, mark }] = [...live][Math.floor(uniform() * live.size)]!;
      expect(new Uint8Array(allocator.memory.buffer, at, bytes).every((byte) => byte === mark)).toBe(true);
      allocator.free(at);
      live.delete(at);
    }
    for (const at of live.keys()) allocator.free(at);
    expect(allocator.bytesInUse).toBe(0);
    const pages = allocator.memory.buffer.byteLength / PAGE;
    expect(allocator.allocate(pages * PAGE - START)).toBe(START);
    expect(allocator.memory.buffer.byteLength / PAGE).toBe(pages);
  });

  it('grows up to its maximum, to the last byte', () => {
    const allocator = make(4);
    expect(allocator.allocate(4 * PAGE - START)).toBe(START);
    expect(allocator.memory.buffer.byteLength).toBe(4 * PAGE);
  });

  it('grows where nothing is free, and goes on in what it has grown by', () => {
    const allocator = make();
    expect(allocator.allocate(PAGE - START)).toBe(START);
    expect(allocator.allocate(64)).toBe(PAGE);
    const { byteLength } = allocator.memory.buffer;
    expect(allocator.allocate(byteLength - PAGE - 64)).toBe(PAGE + 64);
    expect(allocator.memory.buffer.byteLength).toBe(byteLength);
  });

  it('does not count a hole between blocks as the beginning of what it grows by', () => {
    const allocator = make(), hole = allocator.allocate(PAGE / 2 - 64), wall = allocator.allocate(PAGE - START - (PAGE / 2 - 64));
    allocator.free(hole);
    const size = 3 * PAGE - 64, at = allocator.allocate(size);
    expect(wall).toBeLessThan(at);
    expect(at + size).toBeLessThanOrEqual(allocator.memory.buffer.byteLength);
    expect(allocator.allocate(PAGE / 2 - 64)).toBe(hole);
    const next = allocator.allocate(64);
    expect(next).toBeGreaterThanOrEqual(at + size);
    expect(next + 64).toBeLessThanOrEqual(allocator.memory.buffer.byteLength);
  });

  it('refuses more than its maximum and has changed nothing', () => {
    const allocator = make(4);
    allocator.allocate(PAGE);
    const before = [allocator.bytesInUse, allocator.memory.buffer.byteLength];
    expect(() => allocator.allocate(4 * PAGE)).toThrow(
      new RangeError(`Out of memory: asked for ${4 * PAGE} bytes with ${before[0]} in use and ${4 * PAGE} allowed`),
    );
    expect([allocator.bytesInUse, allocator.memory.buffer.byteLength]).toEqual(before);
    allocator.allocate(2 * PAGE);
  });

  it('empties views of its memory when that grows, so that none is read that is no longer current', () => {
    const allocator = make(), at = allocator.allocate(64), view = new Uint8Array(allocator.memory.buffer, at, 64).fill(7);
    allocator.allocate(2 * PAGE);
    expect(view.length).toBe(0);
    expect(new Uint8Array(allocator.memory.buffer, at, 64)).toEqual(new Uint8Array(64).fill(7));
  });

  it('grows by a quarter where more is to come, and as needed otherwise', () => {
    const growths = (blocks: number, ahead: boolean) => {
      const allocator = make(3000), sizes = new Set<number>();
      for (let i = 0; i < blocks; i++) {
        allocator.allocate(2 * PAGE, ahead);
        sizes.add(allocator.memory.buffer.byteLength);
      }
      return sizes.size;
    };
    expect(growths(1000, true)).toBeLessThan(40);
    expect(growths(50, false)).toBe(50);
  });

  it('grows by no more than is needed, or a quarter of what there is', () => {
    const allocator = make(3000);
    let before = PAGE;
    for (const pages of [100, 30, 30, 40]) {
      allocator.allocate(pages * PAGE - 64, true);
      const { byteLength } = allocator.memory.buffer;
      expect(byteLength).toBeLessThanOrEqual(before + Math.max(pages + 1, before / PAGE / 4 + 1) * PAGE);
      before = byteLength;
    }
  });

  it('grows by what is needed where its maximum does not allow more', () => {
    const allocator = make(12);
    allocator.allocate(9 * PAGE, true);
    allocator.allocate(PAGE, true);
    expect(allocator.memory.buffer.byteLength).toBe(12 * PAGE);
    allocator.allocate(PAGE, true);
    expect(() => allocator.allocate(PAGE, true)).toThrow('Out of memory');
  });

  it('never starts blocks of whole 4 KiB pages in the same place of a page', () => {
    const allocator = make();
    const starts = [1, 2, 3].map(() => allocator.allocate(2 * PAGE) % 4096);
    expect(new Set(starts).size).toBe(3);
  });

  it('refuses to free what it has not handed out', () => {
    const allocator = make(), at = allocator.allocate(64);
    allocator.free(at);
    expect(() => allocator.free(at)).toThrow(RangeError);
    expect(() => allocator.free(12345)).toThrow(RangeError);
  });
});

it('an allocator grows by what is needed where the engine refuses more', () => {
  const memory = new BufferMemory(100), grown: number[] = [];
  const reluctant: Memory = {
    get buffer() { return memory.buffer; },
    grow(pages) {
      if (pages > 20) throw new RangeError('no');
      grown.push(pages);
      return memory.grow(pages);
    },
  };
  const allocator = new FirstFit(reluctant, 1000 * PAGE);
  allocator.allocate(100 * PAGE - START);
  allocator.allocate(20 * PAGE - 64, true);
  expect(grown).toEqual([20]);
});

it('an allocator says it is out of memory where the engine refuses to grow', () => {
  const stubborn: Memory = { buffer: new ArrayBuffer(PAGE), grow: () => { throw new RangeError('no'); } };
  const allocator = new FirstFit(stubborn, 100 * PAGE);
  expect(() => allocator.allocate(2 * PAGE)).toThrow('Out of memory');
  expect(allocator.allocate(PAGE - START)).toBe(START);
});
