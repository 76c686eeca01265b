import { disposed } from '../checks.js';
import type { ChannelTable } from '../passes/channel-table.js';
import { lastingTable } from '../passes/channel-table.js';
import { floatsOf } from '../passes/values.js';
import { LastingWorkspace, type Workspace } from '../passes/workspace.js';
import type { Engine } from '../runtime/engine.js';
import type { FloatsOf } from '../runtime/kernels.js';
import { sharedRuntime } from '../runtime/runtime.js';
import type { Context } from './context.js';
import type { Settings } from './options.js';

const NONE = { weight: null, bias: null };

/** What a BatchNorm keeps from call to call: settings, parameters, running statistics, mode and the latest context. */
export class LayerState {
  readonly channels: number;
  readonly settings: Settings;
  readonly weight: FloatsOf | null;
  readonly bias: FloatsOf | null;
  readonly runningMean: FloatsOf | null;
  readonly runningVar: FloatsOf | null;
  numBatchesTracked = 0;
  training = true;
  frozen = false;
  /** Of the latest forward. */
  context: Context | null = null;
  /**
   * The same where nobody has asked for it: it is about to be replaced, and its arrays may be written over. So a training
   * loop allocates nothing per channel or position (60x100: a quarter of the time when caches are cold; a mask of 400,000
   * bytes: 4 ns each). Nothing throws once a pass has begun to write into them.
   */
  replaceable: Context | null = null;
  /** Of the latest backward: the arrays that it returned. */
  gradients: { readonly weight: FloatsOf | null; readonly bias: FloatsOf | null } = NONE;
  #runtime: Engine | undefined;
  readonly #workspace: LastingWorkspace;
  #disposed = false;

  constructor(channels: number, settings: Settings, runtime: Engine | undefined) {
    const { dtype, weight, bias, trackRunningStats } = settings;
    const zeros = (wanted: boolean) => (wanted ? floatsOf(dtype, channels) : null);
    this.channels = channels;
    this.settings = settings;
    this.weight = zeros(weight);
    this.bias = zeros(bias);
    this.runningMean = zeros(trackRunningStats);
    this.runningVar = zeros(trackRunningStats);
    // Once there is memory for all of them.
    this.weight?.fill(1);
    this.runningVar?.fill(1);
    this.#runtime = runtime;
    this.#workspace = new LastingWorkspace(dtype);
  }

  /** The runtime that computes. @throws {TypeError} the layer or the runtime has been disposed. */
  engine(): Engine {
    if (this.#disposed) throw disposed('BatchNorm');
    this.#runtime ??= sharedRuntime();
    this.#runtime.checkAlive();
    return this.#runtime;
  }

  workspace(engine: Engine): Workspace {
    return this.#workspace.on(engine);
  }

  /**
   * A table to be filled; NaN where an empty batch leaves it so. Copying one is the fastest way to another (400 numbers:
   * 0.3 us), and that of the latest forward is there anyway: one kept for it would be 40 bytes per channel more.
   */
  newTable(count: number): ChannelTable {
    return this.context !== null && count > 0 ? this.context.normalisation.table.slice() : lastingTable(this.channels);
  }

  dispose(): void {
    this.#disposed = true;
    this.context = null;
    this.replaceable = null;
    this.gradients = NONE;
  }
}
