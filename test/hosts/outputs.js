/**
 * Hashes of outputs for a fixed set of inputs. Equal hashes: equal bits.
 *
 * Inputs are made by integer arithmetic, so that no engine's Math enters them.
 */
const SHAPES = [[7, 3], [241, 13], [2, 300], [2, 1, 9], [5, 4, 49], [3, 17, 5, 5], [2, 2, 1201]];     // [N, C, ...]
const VARIANTS = {
  plain: {}, 'with relu': { relu: true }, 'with residual': { residual: true }, 'with a mask': { mask: true },
  'with all three': { relu: true, residual: true, mask: true },
};

/** Multiples of 2^-16 from -8 to 8, exact in either dtype. */
function inputs(dtype, length, seed) {
  const Type = dtype === 'float32' ? Float32Array : Float64Array;
  let state = seed | 0;
  return Type.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >> 12) / 65536;
  });
}

/** FNV-1a over bytes, twice with other starts: 64 bits. */
class Hash {
  #low = 0x811c9dc5;
  #high = 0x1b873593;

  add(array) {
    if (!array) return;
    for (const byte of new Uint8Array(array.buffer, array.byteOffset, array.byteLength)) {
      this.#low = Math.imul(this.#low ^ byte, 0x01000193);
      this.#high = Math.imul(this.#high ^ byte, 0x01000193) + (this.#low >>> 24);
    }
  }

  toString() {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

/** Forward in training, backward and forward in eval, of every shape. */
function hashOf({ BatchNorm, moments }, runtime, dtype, layout, { relu = false, residual = false, mask = false }, nudge) {
  const hash = new Hash();
  for (const [n, channels, ...positions] of SHAPES) {
    const shape = layout === 'channels-first' ? [n, channels, ...positions] : [n, ...positions, channels];
    const places = positions.reduce((product, size) => product * size, n), length = places * channels;
    const [x, z, dy] = [1, 2, 3].map((seed) => inputs(dtype, length, seed));
    x[0] += nudge;
    const options = {
      ...(residual && { residual: z }),
      ...(mask && { mask: Uint8Array.from(inputs('float32', places, 4), (value) => (value < 4 ? 1 : 0)) }),
    };
    const bn = new BatchNorm(channels, { dtype, layout, runtime, activation: relu ? 'relu' : 'none' });
    bn.weight.set(inputs(dtype, channels, 5));
    bn.bias.set(inputs(dtype, channels, 6));
    hash.add(bn.forward(x, shape, options));
    const { mean, variance } = bn.context, { dx, dweight, dbias, dresidual } = bn.backward(dy);
    for (const array of [mean, variance, dx, dweight, dbias, dresidual, bn.runningMean, bn.runningVar]) hash.add(array);
    hash.add(bn.eval().forward(x, shape, options));
    hash.add(bn.backward(dy).dx);
    hash.add(moments(x, shape, { layout, runtime }).m2);
  }
  return hash.toString();
}

/** A hash for each dtype, layout and variant. `nudge` is added to one input of each: for the test of this file. */
export function hashes(library, kind, nudge = 0) {
  const runtime = library.createRuntime(kind ? { kind } : {}), result = {};
  for (const dtype of ['float32', 'float64']) {
    for (const layout of ['channels-first', 'channels-last']) {
      for (const [name, variant] of Object.entries(VARIANTS)) {
        result[`${dtype} ${layout} ${name}`] = hashOf(library, runtime, dtype, layout, variant, nudge);
      }
    }
  }
  runtime.dispose();
  return result;
}

/** Shapes whose sums are cut into slices: rows, planes, one channel. */
const LARGE = [[4100, 65], [9, 40, 31, 29], [1, 1, 300001]];

/** A hash of some steps in each dtype and layout, on tensors, after threads have started. */
async function threadedHash({ BatchNorm, createThreadedRuntime }, threads, options) {
  const runtime = createThreadedRuntime({ threads, ...options }), hash = new Hash();
  await runtime.ready;
  for (const dtype of ['float32', 'float64']) {
    for (const layout of ['channels-first', 'channels-last']) {
      for (const [n, channels, ...positions] of LARGE) {
        const shape = layout === 'channels-first' ? [n, channels, ...positions] : [n, ...positions, channels];
        const length = shape.reduce((product, size) => product * size), data = [1, 2].map((seed) => inputs(dtype, length, seed));
        const [x, dy] = data.map((values) => runtime.tensor(shape, { dtype, data: values })), y = runtime.tensor(shape, { dtype });
        const bn = new BatchNorm(channels, { dtype, layout, runtime }), dx = runtime.tensor(shape, { dtype });
        // Enough calls for some of them to be shared.
        for (let step = 0; step < 6; step++) {
          bn.forward(x, { out: y });
          bn.backward(dy, { out: dx });
        }
        const { dweight } = bn.backward(dy, { out: dx });
        for (const array of [y.data, dx.data, dweight, bn.runningMean, bn.runningVar]) hash.add(array);
        for (const tensor of [x, dy, y, dx]) tensor.dispose();
      }
    }
  }
  const working = runtime.threads;
  runtime.dispose();
  return { threads: working, hash: hash.toString() };
}

/** How many threads are at work where 1, 2, 3 and 8 are asked for, and the hashes of what they compute. */
export async function threadedReport(library, options) {
  const result = [];
  for (const threads of [1, 2, 3, 8]) result.push(await threadedHash(library, threads, options));
  return JSON.stringify(result);
}

/** What a host has to say: the kind of kernels that it runs without being asked, and hashes of these and of the plain ones. */
export function report(library) {
  const { kind } = library.createRuntime();
  return JSON.stringify({ kind, hashes: hashes(library), plain: hashes(library, 'javascript') });
}
