/** A module as its calls see it: what everybody may read of it, and what it keeps to itself. */
import { disposed } from './checks.js';
import type { Context } from './context.js';
import type { Engine } from './engine.js';
import type { DType, Floats } from './kernels.js';
import type { Settings } from './options.js';
import { Runner } from './run.js';
import { sharedRuntime } from './runtime.js';
import type { Layout } from './shape.js';

/** The public fields of a BatchNorm, where they are described. */
export interface Module {
  readonly channels: number;
  readonly eps: number;
  readonly momentum: number | null;
  readonly layout: Layout;
  readonly dtype: DType;
  readonly weight: Floats | null;
  readonly bias: Floats | null;
  readonly runningMean: Floats | null;
  readonly runningVar: Floats | null;
  numBatchesTracked: number;
}

/** What a BatchNorm keeps to itself from call to call. */
export class Internals {
  readonly settings: Settings;
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
  #runtime: Engine | undefined;
  #runner: Runner | undefined;
  #disposed = false;

  constructor(settings: Settings, runtime: Engine | undefined) {
    this.settings = settings;
    this.#runtime = runtime;
  }

  /** What computes. @throws {TypeError} after dispose, the module's or its own. */
  engine(): Engine {
    if (this.#disposed) throw disposed('BatchNorm');
    this.#runtime ??= sharedRuntime();
    this.#runtime.checkAlive();
    return this.#runtime;
  }

  runner(engine: Engine): Runner {
    this.#runner ??= new Runner(engine, this.settings.dtype);
    return this.#runner;
  }

  dispose(): void {
    this.#disposed = true;
    this.context = null;
    this.replaceable = null;
  }
}
