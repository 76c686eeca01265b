import { BatchNorm } from 'batchnorm-wasm';

const bn = new BatchNorm(3);               // channels; PyTorch's defaults
const x = Float32Array.from({ length: 24 }, (_, i) => i), shape = [4, 3, 2];
const y = bn.forward(x, shape);            // normalised by this batch
const { dx, dweight } = bn.backward(y);    // gradients, here for dy = y
bn.weight.forEach((_, c) => { bn.weight[c] -= 0.1 * dweight[c]; });

bn.eval();                                 // running statistics from here on
console.log(bn.forward(x, shape).length, dx.length, bn.weight[0].toFixed(2));
