import { checkOneOf, checkOptions, isTypedArray } from './checks.js';
import { checkRuntime, MemoryTensor, type Runtime, type Tensor } from './engine.js';
import { FIELDS, MEAN, VARIANCE } from './formulas.js';
import type { Floats } from './kernels.js';
import { checkMask, countValid, keptFrom } from './mask.js';
import { measure } from './passes.js';
import { Runner } from './run.js';
import { sharedRuntime } from './runtime.js';
import { checkShape, geometryOf, type Layout } from './shape.js';
import type { Moments } from './statistics.js';
import { checkValues } from './values.js';

/**
 * Statistics of each channel: count, mean and sum of squared deviations, in f64. Parts of a batch merge by `mergeMoments`.
 *
 * @param x - [N, C, ...] or [N, ..., C], row-major
 * @param options - `layout`: default 'channels-first'; `mask`: [N, ...positions], 0 where a position does not count;
 *   `runtime`: default the shared one, or the tensor's own
 * @throws {TypeError} x or an option of the wrong kind. @throws {RangeError} a length or shape that does not fit.
 */
export function moments(
  x: Floats | Tensor, shape: readonly number[], options: { layout?: Layout; mask?: Uint8Array; runtime?: Runtime } = {},
): Moments {
  checkOptions('moments', options, ['layout', 'mask', 'runtime']);
  const { layout = 'channels-first', mask = null, runtime } = options;
  checkOneOf('layout', layout, ['channels-first', 'channels-last']);
  checkRuntime(runtime);
  const engine = runtime ?? (x instanceof MemoryTensor ? x.engine : sharedRuntime());
  engine.checkAlive();
  checkShape(shape);
  const channels = shape[layout === 'channels-first' ? 1 : shape.length - 1] ?? 0;
  const geometry = geometryOf(shape, layout, channels);
  const dtype = x instanceof MemoryTensor ? x.dtype : isTypedArray(x, 'Float64Array') ? 'float64' : 'float32';
  checkValues('x', x, dtype, shape, engine);
  if (mask !== null) checkMask(mask, geometry);

  const count = mask === null ? geometry.outer * geometry.inner : countValid(mask);
  const result = { count, mean: new Float64Array(channels), m2: new Float64Array(channels) };
  if (count === 0 || channels === 0) return result;
  const numbers = new Array<number>(FIELDS * channels).fill(0);
  new Runner(engine, dtype).run(geometry, [x], [0], mask && { bytes: keptFrom(engine, mask), total: count }, ([x], surroundings) => {
    measure({ ...surroundings, numbers, x: x! });
  });
  for (let c = 0; c < channels; c++) {
    result.mean[c] = numbers[FIELDS * c + MEAN]!;
    result.m2[c] = numbers[FIELDS * c + VARIANCE]! * count;
  }
  return result;
}
