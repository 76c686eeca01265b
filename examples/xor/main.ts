/** A network that learns XOR: a linear map, batch norm with ReLU, and a linear map with a sigmoid. Plain SGD. */
import { BatchNorm } from 'batchnorm-wasm';

const INPUTS = [[0, 0], [0, 1], [1, 0], [1, 1]], TARGETS = [0, 1, 1, 0], N = 4, HIDDEN = 8, RATE = 0.5, STEPS = 200;
const first = Float32Array.from({ length: 2 * HIDDEN }, (_, i) => Math.sin(i + 1)), last = new Float32Array(HIDDEN);
const bn = new BatchNorm(HIDDEN, { activation: 'relu' });

/** [N, HIDDEN]. Batch norm has a bias, so this map needs none. */
function hidden(): Float32Array {
  return Float32Array.from({ length: N * HIDDEN }, (_, i) => INPUTS[Math.floor(i / HIDDEN)]!.reduce(
    (sum, input, k) => sum + input * first[k * HIDDEN + i % HIDDEN]!, 0));
}

function probabilities(y: Float32Array): number[] {
  return INPUTS.map((_, n) => 1 / (1 + Math.exp(-last.reduce((sum, weight, h) => sum + weight * y[n * HIDDEN + h]!, 0))));
}

for (let step = 0; step <= STEPS; step++) {
  const y = bn.forward(hidden(), [N, HIDDEN]), p = probabilities(y);
  const dscore = p.map((value, n) => (value - TARGETS[n]!) / N);
  const { dx } = bn.backward(Float32Array.from(y, (_, i) => dscore[Math.floor(i / HIDDEN)]! * last[i % HIDDEN]!));
  const dlast = last.map((_, h) => dscore.reduce((sum, slope, n) => sum + slope * y[n * HIDDEN + h]!, 0));
  const dfirst = first.map((_, i) => INPUTS.reduce((sum, input, n) => (
    sum + input[Math.floor(i / HIDDEN)]! * dx[n * HIDDEN + i % HIDDEN]!), 0));
  for (const { value, gradient } of [...bn.parameters(), { value: first, gradient: dfirst }, { value: last, gradient: dlast }]) {
    gradient!.forEach((slope, i) => { value[i]! -= RATE * slope; });
  }
  if (step % 50 === 0) {
    console.log(`step ${step}: loss ${(-p.reduce((sum, value, n) => sum + Math.log(TARGETS[n] ? value : 1 - value), 0) / N).toFixed(3)}`);
  }
}

bn.eval();
const learnt = probabilities(bn.forward(hidden(), [N, HIDDEN]));
INPUTS.forEach((input, n) => { console.log(`${input.join(' xor ')} = ${learnt[n]!.toFixed(2)}`); });
