/**
 * What a process that has just started sees, as one line of JSON: `node --expose-gc bench/fresh.mjs first | memory
 * OPERATION LAYOUT SHAPE tensors | arrays`, SHAPE channels-first. Plain Node, for a loader would be timed with it.
 */
const [question, operation, layout, dimensions, kind] = process.argv.slice(2);
const [n, channels, ...positions] = dimensions.split('x').map(Number);
const shape = layout === 'channels-first' ? [n, channels, ...positions] : [n, ...positions, channels];

console.log(JSON.stringify(question === 'first' ? await firstCall() : await memory()));

/** Milliseconds of importing the package and of the first call of an operation. */
async function firstCall() {
  const begin = performance.now();
  const { BatchNorm, createRuntime } = await import('batchnorm-wasm');
  const imported = performance.now();
  const bn = new BatchNorm(channels, { layout, runtime: createRuntime() }).train(operation !== 'eval');
  const x = values(), out = new Float32Array(x.length).fill(0);
  if (operation === 'backward') bn.forward(x, shape, { out });
  const start = performance.now();
  if (operation === 'backward') bn.backward(x, { out });
  else bn.forward(x, shape, { out });
  return { load: imported - begin, call: performance.now() - start };
}

/**
 * Bytes that a module, a forward and a backward leave held beyond inputs, outputs and parameters: WebAssembly memory less
 * live tensors, and what JavaScript holds, its arrays among it.
 */
async function memory() {
  // A runtime keeps its memory to itself.
  const memories = [];
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor) {
      super(descriptor);
      memories.push(this);
    }
  };
  const { BatchNorm, createRuntime } = await import('batchnorm-wasm');
  const runtime = createRuntime({ kind: 'wasm-simd' });
  const make = () => (kind === 'tensors' ? runtime.tensor(shape, { data: values() }) : values());
  const x = make(), dy = make(), y = make(), dx = make();
  // Compiles the kernels and what else is there once, whatever the shape.
  new BatchNorm(1, { runtime }).forward(runtime.tensor([2, 1])).dispose();
  const before = await heldByJavaScript();
  const bn = new BatchNorm(channels, { layout, runtime });
  if (kind === 'tensors') bn.forward(x, { out: y });
  else bn.forward(x, shape, { out: y });
  const { dweight, dbias } = bn.backward(dy, { out: dx });
  const parameters = [bn.weight, bn.bias, bn.runningMean, bn.runningVar, dweight, dbias];
  const heap = (await heldByJavaScript()) - before - parameters.reduce((total, { byteLength }) => total + byteLength, 0);
  return { wasm: memories[0].buffer.byteLength - runtime.bytesInUse, heap };
}

/** Array buffers are swept beside the program: only a second collection counts what the first one found. */
async function heldByJavaScript() {
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function values() {
  const result = new Float32Array(shape.reduce((product, size) => product * size));
  for (let i = 0; i < result.length; i++) result[i] = ((i * 7919) % 1009) / 100;
  return result;
}
