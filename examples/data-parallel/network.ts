/** The network of section 4.1 by hand, so that its forward can wait for other processes: 784, 3 x 100 sigmoid units, 10 classes. */
import { BatchNorm, type DType, type Floats, type Gradients } from 'batchnorm-wasm';
import { type Group, sumOver, syncBackward, syncForward, syncStep } from 'batchnorm-wasm/sync';
import { random, standardNormal } from '../../test/random.js';
import { CLASSES, PIXELS } from '../mnist/dataset.js';

const SIZES = [PIXELS, 100, 100, 100, CLASSES];
const STDDEV = 0.1;

/** Images [N, 784] of 0 and 1, and their digits [N]. N may be 0. */
export interface Part {
  readonly images: Floats;
  readonly labels: Uint8Array;
}

interface Layer {
  /** [inputs, units] */
  readonly weight: Floats;
  /** null in the output layer, which has a bias instead. */
  readonly norm: BatchNorm | null;
}

export class Network {
  readonly norms: readonly BatchNorm[];
  readonly #layers: readonly Layer[];
  /** Of the output layer, [10]. */
  readonly #bias: Floats;
  readonly #dtype: DType;
  readonly #learningRate: number;

  constructor(dtype: DType, learningRate = 0.5, seed = 1) {
    const normal = standardNormal(random(seed));
    this.#dtype = dtype;
    this.#learningRate = learningRate;
    this.#layers = SIZES.slice(1).map((units, i) => ({
      weight: this.#array(SIZES[i]! * units).map(() => STDDEV * normal()) as Floats,
      norm: units === CLASSES ? null : new BatchNorm(units, { dtype, convention: 'paper' }),
    }));
    this.norms = this.#layers.flatMap(({ norm }) => norm ?? []);
    this.#bias = this.#array(CLASSES);
  }

  /** All numbers that training changes, live. */
  state(): Floats[] {
    const norms = this.norms.flatMap(({ weight, bias, runningMean, runningVar }) => [weight!, bias!, runningMean!, runningVar!]);
    return [...this.#layers.map(({ weight }) => weight), this.#bias, ...norms];
  }

  /**
   * One step on a part of a batch of `total` images.
   *
   * @param group - the ranks that have the other parts; null where there are none
   * @returns the cross-entropy of this part's images, divided by `total`
   */
  async trainStep({ images, labels }: Part, total: number, group: Group | null): Promise<number> {
    const step = async () => {
      const { activations, loss, dlogits } = await this.#forward(images, labels, total, group);
      return { loss, gradients: await this.#backward(activations, dlogits, labels.length, group) };
    };
    const { loss, gradients } = group === null ? await step() : await syncStep(group, this.norms, step);
    // All ranks have got here with the same gradients: only now may parameters move.
    for (const { value, gradient } of gradients) for (let i = 0; i < value.length; i++) value[i]! -= this.#learningRate * gradient[i]!;
    return loss;
  }

  /** The inputs of all layers; batch norm uses the statistics of this batch and leaves the running ones alone. */
  observe(images: Floats): void {
    let x = images;
    for (const { weight, norm } of this.#layers.slice(0, -1)) {
      const count = x.length / (weight.length / norm!.channels);
      const y = norm!.forward(product(x, weight, count, norm!.channels) as Float64Array, [count, norm!.channels], { updateStats: false });
      x = y.map(sigmoid) as Floats;
    }
  }

  async #forward(images: Floats, labels: Uint8Array, total: number, group: Group | null) {
    const count = labels.length, activations: Floats[] = [images];
    for (const { weight, norm } of this.#layers.slice(0, -1)) {
      const shape = [count, norm!.channels], x = product(activations.at(-1)!, weight, count, norm!.channels) as Float64Array;
      const y = group === null ? norm!.forward(x, shape) : await syncForward(norm!, group, x, shape);
      activations.push(y.map(sigmoid) as Floats);
    }
    const logits = product(activations.at(-1)!, this.#layers.at(-1)!.weight, count, CLASSES), dlogits = this.#array(count * CLASSES);
    let loss = 0;
    for (let n = 0; n < count; n++) {
      const row = logits.subarray(n * CLASSES, (n + 1) * CLASSES).map((value, c) => value + this.#bias[c]!), largest = Math.max(...row);
      const powers = Array.from(row, (value) => Math.exp(value - largest)), sum = powers.reduce((all, power) => all + power, 0);
      powers.forEach((power, c) => { dlogits[n * CLASSES + c] = (power / sum - (labels[n] === c ? 1 : 0)) / total; });
      loss += (Math.log(sum) + largest - row[labels[n]!]!) / total;
    }
    return { activations, loss, dlogits };
  }

  /** Gradients of the whole batch: batch norm makes its own so, the others are added up. */
  async #backward(activations: readonly Floats[], dlogits: Floats, count: number, group: Group | null) {
    const output = this.#layers.at(-1)!;
    const own = [
      { value: output.weight, gradient: ofWeight(activations.at(-1)!, dlogits, output.weight, count, CLASSES) },
      { value: this.#bias, gradient: columns(dlogits, CLASSES) },
    ];
    const whole: { value: Floats; gradient: Floats }[] = [];
    let dy = ofInput(dlogits, output.weight, count, CLASSES);
    for (let i = this.norms.length - 1; i >= 0; i--) {
      const { weight, norm } = this.#layers[i]! as { weight: Floats; norm: BatchNorm }, y = activations[i + 1]!;
      const through = dy.map((value, k) => value * y[k]! * (1 - y[k]!)) as Float64Array;
      const gradients: Gradients<Floats> = group === null ? norm.backward(through) : await syncBackward(norm, group, through);
      whole.push({ value: norm.weight!, gradient: gradients.dweight! }, { value: norm.bias!, gradient: gradients.dbias! });
      own.push({ value: weight, gradient: ofWeight(activations[i]!, gradients.dx, weight, count, norm.channels) });
      if (i > 0) dy = ofInput(gradients.dx, weight, count, norm.channels);
    }
    const sums = group === null ? own.map(({ gradient }) => gradient) : await sumOver(group, own.map(({ gradient }) => gradient));
    return [...own.map(({ value }, i) => ({ value, gradient: sums[i]! })), ...whole];
  }

  #array(length: number): Floats {
    return this.#dtype === 'float32' ? new Float32Array(length) : new Float64Array(length);
  }
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

function like(values: Floats, length: number): Floats {
  return values instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
}

/** x [N, inputs] times weight [inputs, units]. */
function product(x: Floats, weight: Floats, count: number, units: number): Floats {
  const y = like(weight, count * units), inputs = weight.length / units;
  for (let n = 0; n < count; n++) for (let i = 0; i < inputs; i++) {
    const value = x[n * inputs + i]!;
    if (value !== 0) for (let u = 0; u < units; u++) y[n * units + u]! += value * weight[i * units + u]!;
  }
  return y;
}

/** The gradient of weight [inputs, units], from x [N, inputs] and dy [N, units]; in f64, since other parts are added to it. */
function ofWeight(x: Floats, dy: Floats, weight: Floats, count: number, units: number): Float64Array {
  const inputs = weight.length / units, dweight = new Float64Array(weight.length);
  for (let n = 0; n < count; n++) for (let i = 0; i < inputs; i++) {
    const value = x[n * inputs + i]!;
    if (value !== 0) for (let u = 0; u < units; u++) dweight[i * units + u]! += value * dy[n * units + u]!;
  }
  return dweight;
}

/** The gradient of x [N, inputs]. */
function ofInput(dy: Floats, weight: Floats, count: number, units: number): Floats {
  const inputs = weight.length / units, dx = like(weight, count * inputs);
  for (let n = 0; n < count; n++) for (let i = 0; i < inputs; i++) {
    let sum = 0;
    for (let u = 0; u < units; u++) sum += dy[n * units + u]! * weight[i * units + u]!;
    dx[n * inputs + i] = sum;
  }
  return dx;
}

function columns(values: Floats, width: number): Float64Array {
  const sums = new Float64Array(width);
  values.forEach((value, i) => { sums[i % width]! += value; });
  return sums;
}
