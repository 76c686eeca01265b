/**
 * Writes mobilenet-v2.json and mobilenet-v2.bin, what the page ships of the MobileNet v2 in the npm package nsfwjs:
 * `node --import tsx demo/finetune/weights-file.ts`, after it has been installed as examples/tfjs/README.md says.
 *
 * The topology up to the last activation before the pooling, for smaller images and with every layer thawed; and of the weights
 * those of these layers, with 8 bits each as they come.
 */
import { writeFileSync } from 'node:fs';
import { readModel } from '../../examples/tfjs/nsfw.js';

/** Height and width of the images: a step at 224 takes five times as long. */
const SIDE = 96;

interface Layer { readonly class_name: string; readonly name: string; config: Record<string, unknown> }
interface Spec { readonly name: string; readonly shape: readonly number[]; readonly quantization: { readonly dtype: 'uint8' } }

const { modelTopology, weightSpecs, weightData } = readModel();
const { config } = modelTopology.model_config as { config: { layers: Layer[]; output_layers: unknown } };
const layers = config.layers.slice(0, config.layers.findIndex(({ class_name }) => class_name === 'AveragePooling2D'));
for (const layer of layers) layer.config.trainable = true;
layers[0]!.config.batch_input_shape = [null, SIDE, SIDE, 3];
config.layers = layers;
config.output_layers = [[layers.at(-1)!.name, 0, 0]];

const names = new Set(layers.map(({ name }) => name)), specs: Spec[] = [], chunks: Uint8Array[] = [];
let offset = 0;
for (const spec of weightSpecs as Spec[]) {
  const length = spec.shape.reduce((product, size) => product * size, 1);
  if (names.has(spec.name.split('/')[0]!)) {
    specs.push(spec);
    chunks.push(weightData.subarray(offset, offset + length));
  }
  offset += length;
}
writeFileSync(new URL('mobilenet-v2.json', import.meta.url), `${JSON.stringify({ modelTopology, weightSpecs: specs })}\n`);
writeFileSync(new URL('mobilenet-v2.bin', import.meta.url), Buffer.concat(chunks));
