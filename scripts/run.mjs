// Runs a program on what the sources are now: `node scripts/run.mjs bench modes`. Further arguments are the program's.
import { spawnSync } from 'node:child_process';
import build from './build.mjs';

/** By script of package.json and first argument; '' stands for no name. */
const PROGRAMS = {
  bench: {
    '': 'bench/main.ts',
    accuracy: 'bench/accuracy.ts',
    compare: 'bench/compare.ts',
    modes: 'bench/modes.ts',
    peers: 'bench/peers/install.mjs',
    scaling: 'bench/scaling.ts',
    sync: 'bench/sync.ts',
    tfjs: 'bench/tfjs.ts',
    'tfjs-training': 'bench/tfjs-training.ts',
    threads: 'bench/threads.ts',
  },
  example: {
    'data-parallel': 'examples/data-parallel/main.ts',
    digits: 'examples/digits/main.ts',
    experiments: 'examples/experiments/main.ts',
    mnist: 'examples/mnist/main.ts',
    'port-torch': 'examples/port-torch/main.ts',
    recalibrate: 'examples/recalibrate/main.ts',
    tfjs: 'examples/tfjs/main.ts',
    'tfjs-finetune': 'examples/tfjs/finetune.ts',
    'tfjs-browser': 'examples/tfjs-browser/serve.ts',
    'tfjs-model': 'examples/tfjs/model.ts',
    xor: 'examples/xor/main.ts',
  },
  fuzz: {
    '': 'test/fuzz/main.ts',
  },
  mutants: { '': 'test/mutants/main.ts' },
};

const [script, ...args] = process.argv.slice(2), programs = PROGRAMS[script];
const name = args[0] === undefined || args[0].startsWith('-') ? '' : args.shift();
if (Object.keys(programs).includes(name)) {
  await build();
  process.exitCode = spawnSync(process.execPath, ['--import', 'tsx', programs[name], ...args], { stdio: 'inherit' }).status ?? 1;
} else {
  console.error(`npm run ${script} expected one of these after "--": ${Object.keys(programs).filter(Boolean).join(', ')}`);
  process.exitCode = 1;
}
