import { isTypedArray } from '../arrays.js';
import { Context, type ForwardContext } from '../batchnorm/context.js';
import { checkOneOf, checkOptions, wrongKind, wrongValue } from '../checks.js';
import { type ChannelTable, column, FIELDS, MEAN, newTable, VARIANCE } from '../passes/channel-table.js';
import { measure } from '../passes/forward.js';
import { countValid, maskFrom } from '../passes/mask.js';
import type { Moments } from '../passes/statistics.js';
import { valuesOf } from '../passes/values.js';
import { Workspace } from '../passes/workspace.js';
import { checkRuntime, MemoryTensor, type Runtime, type Tensor } from '../runtime/engine.js';
import type { DType, Floats } from '../runtime/kernels.js';
import { sharedRuntime } from '../runtime/runtime.js';
import { geometryOf, type Layout, readShape } from '../runtime/shape.js';
import { kept } from '../runtime/views.js';

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
  const { layout = 'channels-first', mask = null, runtime } = options, dimensions = readShape(shape);
  checkOneOf('layout', layout, ['channels-first', 'channels-last']);
  checkRuntime(runtime);
  const engine = runtime ?? (MemoryTensor.is(x) ? x.engine : sharedRuntime());
  engine.checkAlive();
  const channels = dimensions[layout === 'channels-first' ? 1 : dimensions.length - 1] ?? 0;
  const geometry = geometryOf(dimensions, layout, channels), dtype = dtypeOf(x);
  const values = valuesOf('x', x, dtype, dimensions, engine), bytes = mask === null ? null : kept(maskFrom(mask, geometry));

  const count = bytes === null ? geometry.outer * geometry.inner : countValid(bytes);
  const table = newTable(channels), counted = bytes && { bytes, total: count };
  if (count > 0 && channels > 0) {
    new Workspace(engine, dtype).use(geometry, { x: values }, counted, (memory, operands) => { measure(memory, operands.x, table); });
  }
  return { count, ...meanAndM2(table, count) };
}

/**
 * The statistics that a forward normalised with, as `moments` gives them: of its batch, or of the whole batch of which it was
 * a part. With `updateStats: false` in training, one pass over a data set gives those of every layer, for `recalibrateFrom`.
 *
 * @param context - of a forward of mode 'batch'
 * @throws {TypeError} not a context. @throws {RangeError} a context of mode 'running'.
 */
export function momentsOf(context: ForwardContext): Moments {
  if (!Context.is(context)) throw wrongKind('context', 'that of a forward()', context);
  const { mode, count, normalisation: { table } } = context;
  if (mode !== 'batch') throw wrongValue('context', "one of mode 'batch'", `'${mode}'`);
  // The table of a batch without values holds NaN.
  if (count === 0) return { count, mean: new Float64Array(table.length / FIELDS), m2: new Float64Array(table.length / FIELDS) };
  return { count, ...meanAndM2(table, count) };
}

/** The dtype of an input; of what is none, 'float32', as which it is then refused. */
export function dtypeOf(x: Floats | Tensor): DType {
  return MemoryTensor.is(x) ? x.dtype : isTypedArray(x, 'Float64Array') ? 'float64' : 'float32';
}

function meanAndM2(table: ChannelTable, count: number): { mean: Float64Array; m2: Float64Array } {
  return { mean: column(table, MEAN), m2: column(table, VARIANCE, count) };
}
