// Installs the hosts that package-lock.json names, unless they are there. Binaries come as packages: no script is run.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';

const lock = new URL('package-lock.json', import.meta.url), installed = new URL('node_modules/.package-lock.json', import.meta.url);
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  const options = { cwd: new URL('.', import.meta.url), stdio: ['ignore', 'inherit', 'inherit'] };
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], options);
}
