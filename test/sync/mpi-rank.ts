/** A rank of an MPI job: what it finds is one line of JSON, `{ rank, ... }`. mpirun -n SIZE node --import tsx test/sync/mpi-rank.ts WHAT */
import koffi from 'koffi';
import { BatchNorm, backwardParts, type Floats, forwardParts } from '../../src/index.js';
import { type Group, gatherNumbers, mpiGroup, sumOver, syncBackward, syncBackwardBlocking, syncForward, syncForwardBlocking, syncStep } from '../../src/sync/index.js';
import { arrayOf, DTYPES, LAYOUTS, maskOf, normal, shapeIn } from '../data.js';

const same = (a: unknown, b: unknown) => JSON.stringify(a, bits) === JSON.stringify(b, bits);
/** Arrays as their bytes, so that NaN and -0 count. */
function bits(_: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') : value;
}

/** How many steps have the bits of one machine, with and without promises. */
async function exact(group: Group): Promise<object> {
  let right = 0, all = 0;
  for (const dtype of DTYPES) for (const layout of LAYOUTS) for (const blocking of [false, true]) for (const options of [{}, { momentum: null, activation: 'relu' }, { renorm: { rMax: 3, dMax: 5 } }] as const) {
    const bn = new BatchNorm(5, { dtype, layout, ...options }), one = new BatchNorm(5, { dtype, layout, ...options });
    for (let step = 0; step < 3; step++) {
      // Unequal, masked, one of them empty; mean 1e4.
      const parts = Array.from({ length: group.size }, (_, rank) => {
        const n = (3 * rank + step) % 4 === 0 && rank > 0 ? 0 : rank + 2;
        return { x: arrayOf(dtype, normal(n * 35, 100 * step + rank, 1e4)), shape: shapeIn(layout, [n, 5, 7]), mask: maskOf(n * 7, rank), dy: arrayOf(dtype, normal(n * 35, 7 + rank)) };
      });
      const { x, shape, mask, dy } = parts[group.rank]!;
      const y = blocking ? syncForwardBlocking(bn, group, x, shape, { mask }) : await syncForward(bn, group, x, shape, { mask });
      const { dx, dweight, dbias } = blocking ? syncBackwardBlocking(bn, group, dy) : await syncBackward(bn, group, dy);
      const expected = forwardParts(one, parts), wanted = backwardParts(one, parts.map((part) => part.dy as Floats), expected.contexts);
      all++;
      if (same([y, dx, dweight, dbias, bn.stateDict()], [expected.y[group.rank], wanted.dx[group.rank], wanted.dweight, wanted.dbias, one.stateDict()])) right++;
    }
  }
  return { right, all };
}

const TASKS: Record<string, (group: Group) => Promise<object>> = {
  exact,
  /** Overlapping and long parts, numbers and sums. */
  async collectives(group) {
    const parts = await Promise.all(Array.from({ length: 20 }, (_, i) => group.allGather(new Uint8Array((group.rank * 37 + i * 5000) % 100_000).fill(i))));
    const right = parts.every((list, i) => list.every((part, rank) => part.length === (rank * 37 + i * 5000) % 100_000 && part.every((byte) => byte === i)));
    const sums = await sumOver(group, [Float64Array.of(1, group.rank), new Float32Array(3).fill(2)]);
    return { right, numbers: await gatherNumbers(group, group.rank), sums: sums.map((sum) => Array.from(sum)) };
  },
  /** A rank that fails, ranks that disagree, a step that is undone; then the group goes on. */
  async failures(group) {
    const messages: string[] = [], bn = new BatchNorm(3, { eps: group.rank === 1 ? 1e-3 : 1e-5 }), own = new BatchNorm(3), x = Float32Array.from(normal(6, group.rank));
    const record = (error: Error) => { messages.push(error.message); };
    await syncForward(own, group, x.subarray(group.rank === 1 ? 1 : 0), [2, 3]).catch(record);
    await syncForward(bn, group, x, [2, 3]).catch(record);
    await syncStep(group, [own], async () => {
      await syncForward(own, group, x, [2, 3]);
      if (group.rank === 0) throw new Error('disk full');
    }).catch(record);
    try {
      syncForwardBlocking(own, group, x, [group.rank === 1 ? 1 : 2, 3]);
    } catch (error) {
      record(error as Error);
    }
    const tracked = own.numBatchesTracked;
    await syncStep(group, [own], () => syncForward(own, group, x, [2, 3]));
    return { messages, tracked, after: own.numBatchesTracked };
  },
  /** Rank 1 leaves in the middle. */
  async leaves(group) {
    await group.allGather(new Uint8Array(3));
    if (group.rank === 1) await new Promise((resolve) => { setTimeout(resolve, 60_000); });
    return group.allGather(new Uint8Array(3)).then(() => ({}), (error: Error) => ({ message: error.message }));
  },
  /** Rank 1 is killed in the middle; nobody else may go on. */
  async killed(group) {
    for (let i = 0; ; i++) {
      if (group.rank === 1 && i === 100) process.kill(process.pid, 'SIGKILL');
      await group.allGather(new Uint8Array(3));
    }
  },
  async aborts(group) {
    if (group.rank === 1) group.abort(new Error('the loss is NaN'));
    await group.allGather(new Uint8Array(3));
    return {};
  },
};

const what = process.argv[2]!, group = mpiGroup(koffi, { timeout: what === 'leaves' ? 500 : 20_000 });
const found = await TASKS[what]!(group);
process.stdout.write(`${JSON.stringify({ rank: group.rank, size: group.size, ...found })}\n`);
if (what === 'leaves') process.exit(3);
group.close();
