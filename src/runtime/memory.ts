/**
 * Memory and its allocator. Kernels own no memory; it is handed out here, by address.
 *
 * Addresses are kept, views are made at use: when memory grows, every view made before reads undefined.
 */

/** What a WebAssembly.Memory offers; `BufferMemory` is the same without WebAssembly. */
export interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export const PAGE = 65536;

/** Every address is a multiple of this: one cache line, four vectors. */
export const ALIGNMENT = 64;

/** The allocator leaves the first 24 KiB alone: they are scratch for small calls. */
export const SMALL = ALIGNMENT;
export const SMALL_BYTES = 24 * 1024;

/** Cache lines added to a block of whole 4 KiB pages. */
const STAGGER = 5;

/** 4 GiB less one page, so that the end of a block is an address too. */
export const MAXIMUM_BYTES = 65535 * PAGE;

/** A memory made of an ArrayBuffer, for where there is no WebAssembly. */
export class BufferMemory implements Memory {
  #buffer: ArrayBuffer;

  constructor(pages: number) {
    this.#buffer = new ArrayBuffer(pages * PAGE);
  }

  get buffer(): ArrayBuffer {
    return this.#buffer;
  }

  /**
   * Moves everything into a larger buffer and detaches the old one, so that views of it become empty as those of a
   * WebAssembly.Memory do. A resizable buffer would keep them, but its elements take 2 (V8 11) to 3 times (V8 14) as long to read.
   */
  grow(pages: number): number {
    const before = this.#buffer.byteLength;
    this.#buffer = moved(this.#buffer, before + pages * PAGE);
    return before / PAGE;
  }
}

/** `ArrayBuffer.prototype.transfer`, also where an engine has none: Node has it from 21 on. */
function moved(buffer: ArrayBuffer & { transfer?(byteLength: number): ArrayBuffer }, byteLength: number): ArrayBuffer {
  if (buffer.transfer) return buffer.transfer(byteLength);
  const larger = new ArrayBuffer(byteLength);
  new Uint8Array(larger).set(new Uint8Array(buffer));
  globalThis.structuredClone?.(buffer, { transfer: [buffer] });
  return larger;
}

/** Hands out memory: our own allocator, or the one that already owns the memory (that of tfjs). */
export interface Allocator {
  readonly memory: Memory;
  /** Address of SMALL_BYTES bytes: scratch for calls on few channels, where an allocation would cost as much as the call. */
  readonly small: number;
  readonly bytesInUse: number;
  /**
   * An address aligned to 64, with arbitrary content.
   *
   * @param ahead - whether memory that has to grow grows for later ones too; default false
   * @throws {RangeError} out of memory.
   */
  allocate(bytes: number, ahead?: boolean): number;
  free(start: number): void;
}

interface Block {
  start: number;
  bytes: number;
}

/** First-fit allocator with a sorted free list over a memory that it alone hands out. Address 0 is never given. */
export class FirstFit implements Allocator {
  readonly memory: Memory;
  readonly small = SMALL;
  readonly maximumBytes: number;
  readonly #free: Block[];
  readonly #used = new Map<number, number>();
  #bytesInUse = 0;

  constructor(memory: Memory, maximumBytes: number) {
    this.memory = memory;
    this.maximumBytes = maximumBytes;
    const start = SMALL + SMALL_BYTES;
    this.#free = [{ start, bytes: memory.buffer.byteLength - start }];
  }

  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /**
   * The address of `bytes` bytes, aligned to 64, with arbitrary content.
   *
   * @throws {RangeError} where the maximum does not allow it; nothing has changed then.
   */
  allocate(bytes: number, ahead = false): number {
    const lines = Math.max(Math.ceil(bytes / ALIGNMENT), 1);
    // Tensors that start in the same place of a 4 KiB page meet in the same sets of an L1 cache: 3 to 7 % of the time.
    const wanted = (lines % 64 === 0 ? lines + STAGGER : lines) * ALIGNMENT;
    let index = this.#free.findIndex((block) => block.bytes >= wanted);
    if (index < 0) {
      this.#grow(wanted, lines * ALIGNMENT, ahead);
      index = this.#free.length - 1;
    }
    const block = this.#free[index]!;
    const { start } = block;
    if (block.bytes === wanted) {
      this.#free.splice(index, 1);
    } else {
      block.start += wanted;
      block.bytes -= wanted;
    }
    this.#used.set(start, wanted);
    this.#bytesInUse += wanted;
    return start;
  }

  free(start: number): void {
    const bytes = this.#used.get(start);
    if (bytes === undefined) throw new RangeError(`free() expected an allocated address, got ${start}`);
    this.#used.delete(start);
    this.#bytesInUse -= bytes;
    this.#release(start, bytes);
  }

  /** Puts a range on the free list, joined with its neighbours. */
  #release(start: number, bytes: number): void {
    const free = this.#free;
    let index = free.length;
    while (index > 0 && free[index - 1]!.start > start) index--;
    const before = free[index - 1], after = free[index];
    const joinsBefore = before !== undefined && before.start + before.bytes === start;
    const joinsAfter = after !== undefined && start + bytes === after.start;
    if (joinsBefore) {
      before.bytes += bytes;
      if (joinsAfter) {
        before.bytes += after.bytes;
        free.splice(index, 1);
      }
    } else if (joinsAfter) {
      after.start = start;
      after.bytes += bytes;
    } else {
      free.splice(index, 0, { start, bytes });
    }
  }

  /**
   * Makes the last free block at least `wanted` bytes long. Grows by 128 KiB at least, and `ahead` by a quarter of the memory
   * at least: 1,000 tensors of 128 KiB grow it 30 times, at 0.4 ms each in V8 11. What the maximum or the engine does
   * not allow beyond the need is left out.
   */
  #grow(wanted: number, asked: number, ahead: boolean): void {
    const size = this.memory.buffer.byteLength;
    const last = this.#free[this.#free.length - 1];
    const free = last && last.start + last.bytes === size ? last.bytes : 0;
    const needed = Math.ceil((wanted - free) / PAGE);
    const allowed = Math.floor((this.maximumBytes - size) / PAGE);
    const refuse = () => {
      throw new RangeError(
        `Out of memory: asked for ${asked} bytes with ${this.#bytesInUse} in use and ${this.maximumBytes} allowed`,
      );
    };
    if (needed > allowed) refuse();
    const quarter = ahead ? Math.ceil(size / PAGE / 4) : 0;
    const generous = Math.min(Math.max(needed, quarter, 2), allowed);
    if (!this.#tryGrow(generous) && !this.#tryGrow(needed)) refuse();
    this.#release(size, this.memory.buffer.byteLength - size);
  }

  #tryGrow(pages: number): boolean {
    try {
      this.memory.grow(pages);
      return true;
    } catch {
      return false;
    }
  }
}
