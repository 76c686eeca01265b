/** How much scratch the kernels use, from the records that they lay out in it. */
import { recordSize as gradientSize } from './gradient';
import { TABLE } from './mask';
import { RECORD as MOMENTS_RECORD, HEADER } from './moments-shift';
import { VECTORS } from './moments-rows';
import { RECORD as REDUCE_RECORD } from './reduce-planes';
import { recordSize as reduceSize } from './reduce-rows';
import { Plain, Rectified } from './tags';
import { WIDENED } from './wide';

/**
 * The bytes of scratch that any kernel may use on so many channels, whatever its element type and its other arguments.
 *
 * A walk over planes has a record per channel and the table of a mask. A walk over rows has the vectors of a record, where
 * rows are widened two totals, and in `moments` K besides. In f64, where they are the largest, that is 8 bytes of each per
 * column. Each of these four parts may end within a vector.
 */
export function scratchBytes(channels: i32, inner: i32): i32 {
  const planes = <i32>max(MOMENTS_RECORD, REDUCE_RECORD) * channels + TABLE;
  const columns = max(WIDENED, inner < 4 ? channels * inner : 0);
  const largest = max(gradientSize<Rectified>(), reduceSize<Rectified>());
  const rows = 8 * max(max(1 + VECTORS + 2, reduceSize<Plain>() + 2), largest) * columns + 4 * 16 * largest;
  return <i32>HEADER + max(planes, rows);
}
