// Installs the peers of the benchmark: npm packages from the lock file, and the oneDNN side if Debian's library is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';

const APT = 'apt-get install -y python3-torch libdnnl-dev g++';

const run = (command, ...args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0;

if (!run('npm', '--prefix', 'bench/peers', 'ci', '--ignore-scripts')) process.exit(1);

if (existsSync('/usr/include/oneapi/dnnl/dnnl.hpp')) {
  mkdirSync('bench/peers/build', { recursive: true });
  const source = ['-O2', '-std=c++17', '-Wall', '-Wextra', 'bench/peers/onednn.cpp', '-ldnnl'];
  if (!run('g++', ...source, '-o', 'bench/peers/build/onednn')) process.exit(1);
} else {
  console.log(`oneDNN is not installed: ${APT}`);
}
if (spawnSync('/usr/bin/python3', ['-c', 'import torch']).status !== 0) console.log(`PyTorch is not installed: ${APT}`);
