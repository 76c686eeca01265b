/** The experiment of Ioffe & Szegedy 2015, arXiv 1502.03167, section 4.1 and Figure 1. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startBackend } from './backend.js';
import { THRESHOLD } from './data.js';
import { BATCH_SIZE, type Run, runExperiment, type Settings, STATISTICS_BATCHES, STDDEV } from './experiment.js';
import { figure1 } from './figure.js';
import { duration, Progress } from './progress.js';
import { table } from './table.js';

const FIGURE = fileURLToPath(new URL('../../out/figure1.svg', import.meta.url));

const HELP = `Usage: npm start -- [options]

Trains the MNIST network of Ioffe & Szegedy 2015 (section 4.1) with and without batch norm, and draws
Figure 1 to out/figure1.svg.

  --steps <n>   training steps of each network (default 6000)
  --lr <rate>   learning rate of both networks (default 0.1)
  --seed <n>    for the initial weights and the order of the images, 0 to 4294967295 (default 1)
  --help        this text
`;

/** @throws {Error} for an unknown option or a value out of range. */
function readArguments(): Settings | 'help' {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '6000' },
      lr: { type: 'string', default: '0.1' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    steps: readNumber('steps', values.steps, 'an integer of 1 or more', (n) => Number.isSafeInteger(n) && n >= 1),
    lr: readNumber('lr', values.lr, 'a number above 0', (n) => n > 0 && n < Number.POSITIVE_INFINITY),
    seed: readNumber('seed', values.seed, 'an integer from 0 to 4294967295', (n) => n >>> 0 === n),
  };
}

function readNumber(name: string, text: string, expected: string, valid: (value: number) => boolean): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!valid(value)) throw new Error(`--${name} expected ${expected}, got "${text}"`);
  return value;
}

function describe({ steps, lr, seed }: Settings): string {
  return `Ioffe & Szegedy 2015, arXiv 1502.03167, section 4.1: MNIST, 784 binary pixels, 3 x 100 sigmoid units,
10 classes, without and with batch norm before each sigmoid. Both networks start from the same weights and
see the same ${steps} batches of ${BATCH_SIZE} images. Accuracy is measured on all 10,000 test images; with batch norm,
using the statistics of Alg. 2 from ${STATISTICS_BATCHES} training batches.

Choices that the paper leaves open:
  optimiser        plain SGD, learning rate ${lr} for both networks
  initial values   Gaussian weights with standard deviation ${STDDEV}, biases and beta 0, gamma 1; seed ${seed}
  binary pixels    1 for grey levels (0 to 255) of at least ${THRESHOLD}
  eps              1e-5
  typical sigmoid  the first unit of the last hidden layer, over the test images
`;
}

function runWithProgress(settings: Settings): readonly [Run, Run] {
  const progress = new Progress(settings.steps);
  try {
    return runExperiment(settings, progress);
  } finally {
    progress.stop();
  }
}

async function main(): Promise<void> {
  const start = performance.now();
  const settings = readArguments();
  if (settings === 'help') {
    console.log(HELP);
    return;
  }
  console.log(describe(settings));
  await startBackend();
  const runs = runWithProgress(settings);
  mkdirSync(dirname(FIGURE), { recursive: true });
  writeFileSync(FIGURE, figure1(runs));
  console.log(`\n${table(runs)}\n`);
  console.log(`wrote ${relative('', FIGURE)}; ${duration((performance.now() - start) / 1000)} in total`);
}

try {
  await main();
} catch (error) {
  // Some messages of parseArgs have several lines.
  console.error(error instanceof Error ? error.message.replaceAll('\n', ' ') : error);
  process.exitCode = 1;
}
