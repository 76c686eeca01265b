/** Calls with valid arguments, and what looks like arguments and is not. */
import {
  BatchNorm, type BatchNormOptions, backwardGhost, backwardParts, decodeMoments, diagnose, encodeMoments, foldInto, foldingError, forwardGhost,
  forwardParts, moments, type Runtime, readSafetensors, recalibrate,
} from '../../src/index.js';

export const SHAPE = [3, 2], floats = (...values: number[]) => Float32Array.from(values);
export const six = () => floats(1, 2, 4, 8, 16, 33), doubles = (...values: number[]) => Float64Array.from(values);

export function layer(runtime: Runtime, options: BatchNormOptions = {}): BatchNorm {
  const bn = new BatchNorm(2, { runtime, ...options });
  bn.forward(six(), SHAPE);
  return bn;
}

type Name = 'x' | 'dy' | 'mask' | 'weight' | 'bias' | 'inputs' | 'bytes' | `statistics.${'mean' | 'm2'}` | `sums.${'total' | 'dot'}`;

/** A call with valid arguments by name, those of `options` by theirs, and what they may be called in errors. */
export interface Call {
  readonly given: (runtime: Runtime) => Record<string, unknown>;
  readonly options?: (runtime: Runtime) => Record<string, unknown>;
  /** Typed as what fits everywhere, since the tests give what types refuse. */
  readonly run: (given: Record<Name, never>, options: never, bn: BatchNorm) => unknown;
}

export const statistics = () => ({ count: 3, mean: doubles(7, 14), m2: doubles(120, 500) });
export const sums = () => ({ total: doubles(1, 2), dot: doubles(3, 4) });

export const CALLS: Record<string, Call> = {
  forward: {
    given: () => ({ x: six() }),
    options: () => ({ out: six(), residual: six(), mask: Uint8Array.of(1, 1, 1), updateStats: false }),
    run: ({ x }, options, bn) => bn.forward(x, SHAPE, options),
  },
  forwardWith: {
    given: () => ({ x: six(), 'statistics.mean': doubles(7, 14), 'statistics.m2': doubles(120, 500) }),
    options: () => ({ out: six(), residual: six(), mask: Uint8Array.of(1, 1, 1), updateStats: false }),
    run: (given, options, bn) => bn.forwardWith(
      { count: 3, mean: given['statistics.mean'], m2: given['statistics.m2'] }, given.x, SHAPE, options,
    ),
  },
  backward: {
    given: () => ({ dy: six() }), options: () => ({ out: six(), parameters: true, context: undefined }),
    run: ({ dy }, options, bn) => bn.backward(dy, options),
  },
  backwardWith: {
    given: () => ({ dy: six(), 'sums.total': doubles(1, 2), 'sums.dot': doubles(3, 4) }),
    options: () => ({ out: six(), parameters: true, context: undefined }),
    run: (given, options, bn) => bn.backwardWith({ total: given['sums.total'], dot: given['sums.dot'] }, given.dy, options),
  },
  backwardSums: {
    given: () => ({ dy: six() }), options: () => ({ context: undefined }), run: ({ dy }, options, bn) => bn.backwardSums(dy, options),
  },
  moments: {
    given: () => ({ x: six() }), options: (runtime) => ({ layout: 'channels-last', mask: Uint8Array.of(1, 1, 1), runtime }),
    run: ({ x }, options) => moments(x, SHAPE, options),
  },
  diagnose: {
    given: () => ({ x: six() }), options: (runtime) => ({ mask: Uint8Array.of(1, 1, 1), runtime }),
    run: ({ x }, options, bn) => diagnose(bn, x, SHAPE, options),
  },
  recalibrate: {
    given: () => ({ x: six(), mask: Uint8Array.of(1, 1, 1) }), options: (runtime) => ({ estimator: 'population', runtime }),
    run: ({ x, mask }, options, bn) => recalibrate(bn, [{ x, mask, shape: SHAPE }], options),
  },
  forwardParts: {
    given: () => ({ x: six(), mask: Uint8Array.of(1, 1, 1) }), run: ({ x, mask }, _, bn) => forwardParts(bn, [{ x, mask, shape: SHAPE }]),
  },
  forwardGhost: { given: () => ({ x: six() }), run: ({ x }, _, bn) => forwardGhost(bn, x, SHAPE, 3) },
  backwardParts: { given: () => ({ dy: six() }), run: ({ dy }, _, bn) => backwardParts(bn, [dy], [bn.context!]) },
  backwardGhost: { given: () => ({ dy: six() }), run: ({ dy }, _, bn) => backwardGhost(bn, dy, [bn.context!]) },
  foldInto: {
    given: () => ({ weight: six(), bias: floats(1, 2) }),
    options: () => ({ format: 'OIHW', shape: [2, 3], groups: 1, position: 'before', padding: 0 }),
    run: ({ weight, bias }, options, bn) => foldInto(bn, { weight, bias }, options),
  },
  foldingError: {
    given: () => ({ weight: six(), bias: floats(1, 2), inputs: six() }),
    options: () => ({ format: 'OIHW', shape: [2, 3], groups: 1, position: 'before', padding: 0 }),
    run: ({ weight, bias, inputs }, options, bn) => foldingError(bn, { weight, bias }, { weight: six(), bias: null }, inputs, options),
  },
  decodeMoments: { given: () => ({ bytes: encodeMoments([[statistics()]]) }), run: ({ bytes }) => decodeMoments(bytes) },
  readSafetensors: { given: () => ({ bytes: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 123, 125) }), run: ({ bytes }) => readSafetensors(bytes) },
};

/** What is no typed array, though much of it looks like one. */
export const IMPOSTORS: Record<string, (array: Float32Array) => unknown> = {
  'a proxy of it': (array) => new Proxy(array, {}),
  'a revoked proxy': (array) => {
    const { proxy, revoke } = Proxy.revocable(array, {});
    revoke();
    return proxy;
  },
  'an object with its prototype': (array) => Object.create(Object.getPrototypeOf(array)),
  'bytes that are tagged as it': (array) =>
    Object.defineProperty(new Int8Array(array.length), Symbol.toStringTag, { value: array[Symbol.toStringTag] }),
  'an object that throws when it is read': (array) => ({
    get [Symbol.toStringTag]() { throw new Error('mine'); }, get length() { throw new Error('mine'); }, array,
  }),
};

export const arraysOf = (given: Record<string, unknown>) => Object.entries(given).filter(([, value]) => ArrayBuffer.isView(value)) as [string, Float32Array][];
