/** How much scratch the kernels use, by the records that they keep in it. */
import { recordSize as gradientSize } from './gradient';
import { TABLE } from './mask';
import { VECTORS } from './moments-rows';
import { HEADER, RECORD as MOMENTS_RECORD } from './moments-shift';
import { RECORD as REDUCE_RECORD } from './reduce-planes';
import { recordSize as reduceSize } from './reduce-rows';
import { Plain, Rectified } from './tags';
import { WIDENED } from './wide';

/**
 * The bytes of scratch that a call of any kernel may use, whatever its element type and its other arguments.
 *
 * A walk over planes keeps one record per channel and the table of a mask. A walk over rows keeps up to four parts: K in
 * `moments`, the records, and two totals if rows are widened. In f64, the larger type, K, each vector of a record and each
 * total take 8 bytes per column. Each part may end within a vector, so each has room for one more record.
 */
export function scratchBytes(channels: i32, inner: i32): i32 {
  const planes = <i32>max(MOMENTS_RECORD, REDUCE_RECORD) * channels + TABLE;
  const columns = max(WIDENED, inner < 4 ? channels * inner : 0);
  const largest = max(gradientSize<Rectified>(), reduceSize<Rectified>());
  const rows = 8 * max(max(1 + VECTORS + 2, reduceSize<Plain>() + 2), largest) * columns + 4 * 16 * largest;
  return <i32>HEADER + max(planes, rows);
}
