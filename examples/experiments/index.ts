/** All experiments, in the order of the README. */
import { batchSize } from './batch-size.js';
import { biasGrowth } from './bias.js';
import { depth } from './depth.js';
import { initialSpread } from './initial-spread.js';
import { learningRate } from './learning-rate.js';
import { scaleInvariance } from './scale.js';
import { runningStatistics } from './statistics.js';
import { synchronisedBatches } from './synchronised.js';

export const EXPERIMENTS = [learningRate, initialSpread, depth, scaleInvariance, biasGrowth, runningStatistics, batchSize, synchronisedBatches];
