/** Runs a convolutional net from a checkpoint of PyTorch, then again with its batch norms folded into its convolutions. */
import { readFileSync } from 'node:fs';
import { foldAll, layersFromSafetensors, readSafetensors } from 'batchnorm-wasm';

const read = (name: string) => readFileSync(new URL(name, import.meta.url));
const bytes = read('model.safetensors'), tensors = readSafetensors(bytes), sample = readSafetensors(read('sample.safetensors'));
const weight = (name: string) => tensors.get(name)!.read() as Float32Array;

// eps is in no checkpoint of PyTorch: it is what the model was made with.
const { layers, taken, left, notes } = layersFromSafetensors(bytes, { eps: 1e-3 });
console.log(`taken: ${taken.join(', ')}\nleft: ${left.join(', ')}\nnotes: ${notes.length}`);
const { bn1, bn2 } = layers;
for (const bn of [bn1!, bn2!]) bn.eval();

/** x [N, C, H, W] with zeros around it, by w [K, C, 3, 3]: [N, K, H, W]. */
function convolution(x: Float32Array, [N, C, H, W]: readonly number[], w: ArrayLike<number>, bias?: ArrayLike<number>): Float32Array {
  const K = w.length / (C! * 9), y = new Float32Array(N! * K * H! * W!);
  for (let n = 0; n < N!; n++) for (let k = 0; k < K; k++) for (let i = 0; i < H!; i++) for (let j = 0; j < W!; j++) {
    let sum = bias?.[k] ?? 0;
    for (let c = 0; c < C!; c++) for (let a = Math.max(0, 1 - i); a < Math.min(3, H! + 1 - i); a++) {
      for (let b = Math.max(0, 1 - j); b < Math.min(3, W! + 1 - j); b++) {
        sum += w[((k * C! + c) * 3 + a) * 3 + b]! * x[((n * C! + c) * H! + i + a - 1) * W! + j + b - 1]!;
      }
    }
    y[((n * K + k) * H! + i) * W! + j] = sum;
  }
  return y;
}

/** Means over the positions of each channel, then the linear layer. */
function scores(x: Float32Array, [N, C, H, W]: readonly number[]): number[] {
  const positions = H! * W!, w = weight('fc.weight'), bias = weight('fc.bias'), pooled = new Float32Array(N! * C!);
  x.forEach((value, at) => { pooled[Math.floor(at / positions)]! += value / positions; });
  return Array.from({ length: N! * bias.length }, (_, i) => {
    const n = Math.floor(i / bias.length), k = i % bias.length;
    return pooled.subarray(n * C!, (n + 1) * C!).reduce((sum, value, c) => sum + value * w[k * C! + c]!, bias[k]!);
  });
}

const relu = (x: Float32Array) => x.map((value) => Math.max(value, 0));
const difference = (ours: number[]) => Math.max(...ours.map((value, i) => Math.abs(value - expected[i]!))).toExponential(0);
const images = sample.get('images')!.read() as Float32Array, expected = sample.get('scores')!.read() as Float32Array;
const shape1 = [2, 4, 8, 8], shape2 = [2, 8, 8, 8];

const y1 = relu(bn1!.forward(convolution(images, [2, 1, 8, 8], weight('conv1.weight')), shape1));
const y2 = relu(bn2!.forward(convolution(y1, shape1, weight('conv2.weight')), shape2));
console.log(`largest difference from PyTorch: ${difference(scores(y2, shape2))}`);

const [first, second] = foldAll([[bn1!, { weight: weight('conv1.weight') }], [bn2!, { weight: weight('conv2.weight') }]]);
const folded1 = relu(convolution(images, [2, 1, 8, 8], first!.weight, first!.bias));
const folded2 = relu(convolution(folded1, shape1, second!.weight, second!.bias));
console.log(`the same, batch norms folded: ${difference(scores(folded2, shape2))}`);
