/**
 * Measures a process that has just started; prints one line of JSON: `node --expose-gc bench/fresh.mjs first | memory
 * OPERATION LAYOUT SHAPE tensors | arrays`, SHAPE channels-first. Runs in plain Node: a loader would be timed as well.
 */
const [question, operation, layout, dimensions, kind] = process.argv.slice(2);
const [n, channels, ...positions] = dimensions.split('x').map(Number);
const shape = layout === 'channels-first' ? [n, channels, ...positions] : [n, ...positions, channels];

console.log(JSON.stringify(question === 'first' ? await firstCall() : await memory()));

/** Milliseconds for importing the package and for the first call of an operation. */
async function firstCall() {
  const begin = performance.now();
  const { BatchNorm, createRuntime } = await import('batchnorm-wasm');
  const imported = performance.now();
  const bn = new BatchNorm(channels, { layout, runtime: createRuntime() }).train(operation !== 'eval');
  const x = values(shape), out = new Float32Array(x.length).fill(0);
  if (operation === 'backward') bn.forward(x, shape, { out });
  const start = performance.now();
  if (operation === 'backward') bn.backward(x, { out });
  else bn.forward(x, shape, { out });
  return { load: imported - begin, call: performance.now() - start };
}

/**
 * Bytes that stay allocated after a module, a forward and a backward, beyond inputs, outputs and parameters: WebAssembly
 * memory minus live tensors, and JavaScript memory including its arrays.
 */
async function memory() {
  // A runtime does not expose its memory.
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
  const step = (dimensions, x, y, dy, dx) => {
    const bn = new BatchNorm(dimensions[layout === 'channels-first' ? 1 : dimensions.length - 1], { layout, runtime });
    if (kind === 'tensors') bn.forward(x, { out: y });
    else bn.forward(x, dimensions, { out: y });
    return { bn, ...bn.backward(dy, { out: dx }) };
  };
  const make = (dimensions) => (kind === 'tensors' ? runtime.tensor(dimensions, { data: values(dimensions) }) : values(dimensions));
  // Compiled code and caches of the first calls exist once, whatever the shape: warm up to exclude them.
  const small = shape.map(() => 2), four = [0, 1, 2, 3].map(() => make(small));
  for (let i = 0; i < 100; i++) step(small, ...four);
  // V8's cache of numbers as strings too: it grows once, by 262,160 bytes, at whichever conversion finds a place taken.
  for (let i = 0; i < 10_000; i++) String(i + 0.5);
  const tensors = [0, 1, 2, 3].map(() => make(shape));
  const before = await heldByJavaScript();
  const { bn, dweight, dbias } = step(shape, ...tensors);
  const parameters = [bn.weight, bn.bias, bn.runningMean, bn.runningVar, dweight, dbias];
  const heap = (await heldByJavaScript()) - before - parameters.reduce((total, { byteLength }) => total + byteLength, 0);
  return { wasm: memories[0].buffer.byteLength - runtime.bytesInUse, heap };
}

/**
 * Array buffers are freed concurrently: only a later collection accounts for those that the first one found. So is code that has been
 * compiled meanwhile, of 200 kB now and then: the least of several counts.
 */
async function heldByJavaScript() {
  let least = Infinity;
  for (let i = 0; i < 10; i++) {
    globalThis.gc();
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    if (i > 1) least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

function values(dimensions) {
  const result = new Float32Array(dimensions.reduce((product, size) => product * size));
  for (let i = 0; i < result.length; i++) result[i] = ((i * 7919) % 1009) / 100;
  return result;
}
