/** The MobileNet v2 of nsfwjs, a Keras model with 52 batch norms whose weights are in its npm package. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { tf } from './backend.js';

/** Height and width of its images. */
export const SIDE = 224;

const require = createRequire(new URL('nsfw/package.json', import.meta.url));

/** The folder of the model: a topology with a manifest of weights, and the weights in base64, each as a CommonJS module. */
function folder(): string {
  try {
    return join(dirname(require.resolve('nsfwjs')), '..', 'models', 'mobilenet_v2');
  } catch {
    console.error('The model is not installed. Install it with:\n  npm ci --prefix examples/tfjs/nsfw --ignore-scripts --legacy-peer-deps');
    process.exit(1);
  }
}

/** As in the package: topology, and the weights with 8 bits each. */
export function readModel() {
  const path = folder(), { modelTopology, weightsManifest } = require(join(path, 'model.min.js'));
  const weightData = new Uint8Array(Buffer.from(require(join(path, 'group1-shard1of1.min.js')), 'base64'));
  return { modelTopology, weightSpecs: weightsManifest[0].weights, weightData };
}

/** With the layers that are registered now. */
export async function loadModel(): Promise<LayersModel> {
  const { weightData, ...model } = readModel();
  return tf.loadLayersModel({ load: async () => ({ ...model, weightData: weightData.buffer }) });
}
