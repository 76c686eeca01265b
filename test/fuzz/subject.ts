/** A layer under test on one machine, the arrays that it was given, and the forwards that it has made. */
import { BatchNorm, type BatchNormOptions, type Floats, type ForwardContext, type Tensor } from '../../src/index.js';
import { random } from '../random.js';
import { everything } from '../setup.js';
import type { Batch } from './data.js';
import { hold, type Outcome, sameNumbers } from './laws.js';
import type { Machine, Placed } from './machine.js';
import type { Channel } from './oracle.js';
import type { Forward, LayerScenario } from './scenario.js';

/** A forward that may be differentiated. */
export interface Past {
  readonly step: Forward;
  readonly batch: Batch;
  readonly plan: Plan;
  /** One for each part. */
  readonly contexts: readonly ForwardContext[];
  readonly weight: Floats | null;
  readonly y: Floats;
  /** Whether x was not written over. */
  readonly kept: boolean;
}

/** What a forward must do. */
export interface Plan {
  readonly mode: 'batch' | 'running';
  /** Values per channel that are not masked. */
  readonly count: number;
  /** null where statistics are not finite. */
  readonly channels: readonly (Channel | null)[];
  /** Why it is refused, or null. */
  readonly refused: string | null;
}

export class Subject {
  readonly layer: LayerScenario;
  readonly machine: Machine;
  readonly bn: BatchNorm;
  readonly past: Past[] = [];
  readonly #placed: Placed[] = [];
  readonly #made: Tensor[] = [];

  constructor(layer: LayerScenario, machine: Machine) {
    const { channels, seed, renorm, ...options } = layer;
    this.layer = layer;
    this.machine = machine;
    this.bn = new BatchNorm(channels, { ...options, ...(renorm && { renorm: { ...renorm } }), runtime: machine.runtime } as BatchNormOptions);
    const uniform = random(seed), { weight, bias, runningMean, runningVar } = this.bn;
    for (const array of [weight, bias, runningMean]) for (let c = 0; array && c < channels; c++) array[c] = 4 * uniform() - 2;
    for (let c = 0; runningVar && c < channels; c++) runningVar[c] = 0.1 + 2 * uniform();
  }

  /** Values for the machine, with red zones that are looked at in the end. */
  place(values: ArrayLike<number>, shape: readonly number[], offset = 0): Placed {
    const placed = this.machine.place(this.layer.dtype, values, shape, offset);
    this.#placed.push(placed);
    return placed;
  }

  /** The numbers of a result. A tensor that the package made is given back at the end. */
  numbersOf(result: Floats | Tensor, given: Placed | null): Floats {
    if (!('data' in result)) return result;
    if (given === null) this.#made.push(result);
    return result.data;
  }

  /** The class of what a call throws; nothing has changed. */
  refused(call: () => unknown, why: string): Outcome {
    const before = everything(this.bn);
    let refused: string | null = null;
    try {
      call();
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
      refused = error.name;
    }
    hold(refused !== null, () => `${why}: is refused`);
    this.unchanged(before, () => `${why}: changes nothing`);
    return { refused, numbers: [] };
  }

  unchanged(before: ReturnType<typeof everything>, law: () => string): void {
    const now = everything(this.bn), names = Object.keys(before.state);
    const listOf = (value: Floats | number) => (typeof value === 'number' ? [value] : value);
    const same = names.every((name) => sameNumbers(listOf(before.state[name]!), listOf(now.state[name]!)));
    hold(same && before.training === now.training && before.batches === now.batches && before.context === now.context, law);
  }

  end(): void {
    const fenced = this.#placed.every((placed) => placed.isFenced());
    for (const placed of this.#placed) placed.release();
    for (const tensor of this.#made) tensor.dispose();
    this.bn.dispose();
    hold(fenced, () => 'nothing is written beside an array');
  }
}
