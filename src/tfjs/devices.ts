/** Where the tensors of a tfjs backend are, and how results become tensors of it. */
import type { DataId, KernelBackend, TensorInfo } from '@tensorflow/tfjs-core';
import { LastingWorkspace, Workspace } from '../passes/workspace.js';
import { Engine } from '../runtime/engine.js';
import { ALIGNMENT, type Allocator, type Memory, SMALL_BYTES } from '../runtime/memory.js';
import { reference } from '../runtime/reference.js';
import { sharedRuntime } from '../runtime/runtime.js';
import { elements } from '../runtime/shape.js';
import { isShared } from '../runtime/shared.js';
import { engineOver } from '../runtime/threads/threaded-runtime.js';
import { refusal, wasmKernels } from '../runtime/wasm.js';

/** The numbers of a tensor: a view, made at use, good until memory grows. */
export type Source = () => Float32Array;

/** Kernels for the tensors of one backend. */
export interface Device {
  readonly engine: Engine;
  readonly workspace: Workspace;
  /** The values of a tensor, as float32. May move it to the backend, which may grow memory. */
  locate(tensor: TensorInfo): Source;
  /** New float32 tensors, filled by `compute`; none are left if that throws. */
  produce(shapes: readonly (readonly number[])[], compute: (outputs: readonly Source[]) => void): TensorInfo[];
}

const devices = new WeakMap<object, Device>();

/**
 * The device of a backend: on its own memory if that is a WebAssembly one, otherwise on arrays that are read from it and written to it.
 * Those of the cpu backend are the live ones.
 */
export function deviceOf(backend: KernelBackend): Device {
  let device = devices.get(backend);
  if (device === undefined) {
    device = 'wasm' in backend ? onMemory(backend as WasmBackend) : new ArrayDevice(backend);
    devices.set(backend, device);
  }
  return device;
}

/** The parts of the wasm backend that are used. Internal to tfjs, and unchanged since 4.0. */
interface WasmBackend extends KernelBackend {
  readonly wasm: {
    readonly HEAPU8: Uint8Array;
    readonly asm?: { readonly memory?: WebAssembly.Memory };
    readonly wasmMemory?: WebAssembly.Memory;
    readonly tfjs?: { getThreadsCount?(): number };
    _malloc(bytes: number): number;
    _free(address: number): void;
  };
  readonly dataIdMap: { get(id: DataId): { readonly memoryOffset: number } };
  makeOutput(shape: number[], dtype: 'float32'): TensorInfo;
}

let warned = false;

function onMemory(backend: WasmBackend): Device {
  try {
    const device = new MemoryDevice(backend);
    const probe = Float32Array.of(1.5, -2, 3);
    const [tensor] = device.produce([[3]], ([out]) => { out!().set(probe); });
    const read = backend.readSync(tensor!.dataId);
    backend.disposeData(tensor!.dataId);
    if (probe.every((value, i) => value === read[i as never])) return device;
  } catch (error) {
    // Fall back to copying, whatever went wrong.
    if (error instanceof RangeError) throw error;
  }
  if (!warned) {
    warned = true;
    console.warn('batchnorm-wasm: the memory of this tfjs wasm backend is not where it is in 4.22; tensors are copied.');
  }
  return new ArrayDevice(backend);
}

/** Tensors in the memory of the wasm backend, read and written in place. */
class MemoryDevice implements Device {
  readonly engine: Engine;
  readonly workspace: Workspace;
  readonly #backend: WasmBackend;
  readonly #memory: WebAssembly.Memory;

  constructor(backend: WasmBackend) {
    const { wasm } = backend;
    // The threaded build does not export its memory, which is shared.
    const memory = [wasm.asm?.memory, wasm.wasmMemory].find((found) => found?.buffer === wasm.HEAPU8.buffer);
    if (memory === undefined) throw new TypeError('wasm backend expected a memory, got none');
    const allocator = new BackendAllocator(memory, wasm);
    if (refusal() !== undefined) this.engine = new Engine('javascript', allocator, reference(allocator.memory));
    // The threaded build alone has a shared memory, and a number of threads.
    else if (isShared(memory)) this.engine = engineOver(allocator, memory, wasm.tfjs?.getThreadsCount?.() ?? 1);
    else this.engine = new Engine('wasm-simd', allocator, wasmKernels(memory));
    this.workspace = new Workspace(this.engine, 'float32');
    this.#backend = backend;
    this.#memory = memory;
  }

  locate({ dataId, shape, dtype }: TensorInfo): Source {
    if (dtype !== 'float32') return converted(this.#backend, dataId);
    const { memoryOffset } = this.#backend.dataIdMap.get(dataId), length = elements(shape);
    return () => new Float32Array(this.#memory.buffer, memoryOffset, length);
  }

  produce(shapes: readonly (readonly number[])[], compute: (outputs: readonly Source[]) => void): TensorInfo[] {
    const tensors = shapes.map((shape) => this.#backend.makeOutput([...shape], 'float32'));
    try {
      compute(tensors.map((tensor) => this.locate(tensor)));
    } catch (error) {
      for (const { dataId } of tensors) this.#backend.disposeData(dataId);
      throw error;
    }
    return tensors;
  }
}

/** Memory from the allocator of the backend. */
class BackendAllocator implements Allocator {
  readonly memory: Memory;
  readonly small: number;
  readonly #wasm: WasmBackend['wasm'];
  readonly #blocks = new Map<number, { start: number; bytes: number }>();

  constructor(memory: WebAssembly.Memory, wasm: WasmBackend['wasm']) {
    this.memory = memory as unknown as Memory;
    this.#wasm = wasm;
    this.small = this.allocate(SMALL_BYTES);
  }

  get bytesInUse(): number {
    let total = 0;
    for (const { bytes } of this.#blocks.values()) total += bytes;
    return total;
  }

  allocate(bytes: number): number {
    const start = this.#wasm._malloc(bytes + ALIGNMENT) >>> 0;
    if (start === 0) throw new RangeError(`Out of memory: the tfjs wasm backend had no ${bytes} bytes left`);
    const aligned = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    this.#blocks.set(aligned, { start, bytes });
    return aligned;
  }

  free(aligned: number): void {
    this.#wasm._free(this.#blocks.get(aligned)!.start);
    this.#blocks.delete(aligned);
  }
}

/** Tensors as arrays outside, brought into the memory of the shared runtime block by block. */
class ArrayDevice implements Device {
  readonly #backend: KernelBackend;
  readonly #workspace = new LastingWorkspace('float32');

  constructor(backend: KernelBackend) {
    this.#backend = backend;
  }

  get engine(): Engine {
    return sharedRuntime();
  }

  get workspace(): Workspace {
    return this.#workspace.on(this.engine);
  }

  locate({ dataId, dtype }: TensorInfo): Source {
    if (dtype !== 'float32') return converted(this.#backend, dataId);
    const values = this.#backend.readSync(dataId) as Float32Array;
    return () => values;
  }

  produce(shapes: readonly (readonly number[])[], compute: (outputs: readonly Source[]) => void): TensorInfo[] {
    const arrays = shapes.map((shape) => new Float32Array(elements(shape)));
    compute(arrays.map((array) => () => array));
    return arrays.map((array, i) => {
      const shape = [...shapes[i]!];
      return { dataId: this.#backend.write(array, shape, 'float32') as DataId, shape, dtype: 'float32' };
    });
  }
}

/** Integers, which tf.batchNorm accepts. */
function converted(backend: KernelBackend, dataId: DataId): Source {
  const values = Float32Array.from(backend.readSync(dataId) as Int32Array);
  return () => values;
}
