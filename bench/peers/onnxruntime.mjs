/** onnxruntime as a side: `onnxruntime.mjs web | node`. Arrays go in and out at each call: on a CPU there is no other way. */
import { serve, Unsupported } from '../protocol.ts';
import { batchNormalization } from './onnx.mjs';

const kind = `onnxruntime-${process.argv[2]}`;
const ort = await import(kind);
const threads = Number(process.env.OMP_NUM_THREADS);
if (ort.env.wasm) ort.env.wasm.numThreads = threads;
const options = { executionProviders: [kind === 'onnxruntime-web' ? 'wasm' : 'cpu'], intraOpNumThreads: threads, interOpNumThreads: 1 };

await serve({ name: kind, version: ort.env.versions.common, prepare });

async function prepare({ operation, layout, shape, read }) {
  if (operation === 'backward') throw new Unsupported('no backward');
  if (layout === 'channels-last' && shape.length > 2) throw new Unsupported('channels-first only');
  const parameters = { weight: read('weight'), bias: read('bias'), mean: read('mean'), variance: read('variance') };
  const session = await ort.InferenceSession.create(batchNormalization(shape, parameters, operation === 'train'), options);
  const x = read('x');
  const feeds = { x: new ort.Tensor('float32', x, shape) };
  const fetches = operation === 'train' ? { y: null, newMean: null, newVariance: null } : { y: null };
  // The web build computes into a copy of an output that is passed in and leaves the original unchanged.
  if (kind === 'onnxruntime-node') fetches.y = new ort.Tensor('float32', new Float32Array(x.length), shape);
  let latest;
  return {
    run: async () => { latest = await session.run(feeds, fetches); },
    results: () => [latest.y.data],
    dispose: () => session.release(),
  };
}
