/** A few steps of training that any kind of rank can make: what it ends with is the same text on all ranks, or it is wrong. */
import { BatchNorm, backwardParts, forwardParts } from '../../src/index.js';
import { type Group, gatherNumbers, sumOver, syncBackward, syncForward, syncStep } from '../../src/sync/index.js';
import { arrayOf, DTYPES, LAYOUTS, maskOf, normal, shapeIn } from '../data.js';

/** Bits as text. */
const text = (values: ArrayLike<number>) => Array.from(values, (value) => (Object.is(value, -0) ? '-0' : String(value))).join(' ');

/** The bits that all ranks share, and whether this rank's own are those of one machine. */
export async function train(group: Group): Promise<{ shared: string; right: boolean }> {
  const shared: string[] = [];
  let right = true;
  for (const dtype of DTYPES) for (const layout of LAYOUTS) for (const options of [{}, { activation: 'relu', momentum: null }] as const) {
    const bn = new BatchNorm(5, { dtype, layout, ...options }), one = new BatchNorm(5, { dtype, layout, ...options });
    for (let step = 0; step < 2; step++) {
      const parts = Array.from({ length: group.size }, (_, rank) => {
        const n = rank > 0 && step === 1 ? 0 : rank + 2;
        return { x: arrayOf(dtype, normal(n * 35, 100 * step + rank, 1e4)), shape: shapeIn(layout, [n, 5, 7]), mask: maskOf(n * 7, rank) };
      });
      const { x, shape, mask } = parts[group.rank]!;
      const [y, { dx, dweight }] = await syncStep(group, [bn], async () => [await syncForward(bn, group, x, shape, { mask }), await syncBackward(bn, group, x)] as const);
      const expected = forwardParts(one, parts), wanted = backwardParts(one, parts.map((part) => part.x), expected.contexts);
      right &&= text(y) === text(expected.y[group.rank]!) && text(dx) === text(wanted.dx[group.rank]!);
      shared.push(text(bn.runningMean!), text(bn.runningVar!), text(dweight!));
      right &&= text(bn.runningVar!) === text(one.runningVar!) && text(dweight!) === text(wanted.dweight!);
    }
  }
  const [sum] = await sumOver(group, [Float64Array.from(normal(1000, group.rank))]);
  shared.push(text(sum!), text(await gatherNumbers(group, group.rank)));
  return { shared: shared.join('\n'), right };
}
